"""``experiment``: the tables of the paper and our own, each one command that resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tallymark.cli.output import JsonOption, print_json, progress_console
from tallymark.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Compute a table of results; stop and go on as you like.")


Data = Annotated[Path, typer.Option(help="The study folder, with full masks.")]
Profile = Annotated[str, typer.Option(help="How large: small (a CPU) or paper (a GPU).")]
Folds = Annotated[
    int | None,
    typer.Option(min=2, help="Instead: one run of each row on each of so many folds; every image is tested once."),
]
Part = Annotated[str, typer.Option(help="2/3: the second third of the rows, for several processes side by side.")]
Hours = Annotated[float | None, typer.Option(min=0, help="Begin no row after so many hours.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="One setting for every row.")]


@app.command("table1")
def table1(
    data: Data,
    profile: Profile = "small",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Runs of each row on one split, from seed 0; 3 unless given.")
    ] = None,
    folds: Folds = None,
    per: Annotated[
        Literal["image", "component"],
        typer.Option(help="Erode masks as a whole, as the paper does, or mark each connected component."),
    ] = "image",
    out: Annotated[Path | None, typer.Option(help="Where rows and table go; STUDY/experiments/table1-PROFILE.")] = None,
    paper: Annotated[str | None, typer.Option(help="Figures of the paper to show: BUSI or KiTS23.")] = None,
    readings: Annotated[bool, typer.Option(help="Both erosion readings and both reductions, too.")] = True,
    settings: Settings = None,
    json: JsonOption = False,
) -> None:
    """The paper's Table 1 with the floors under it; rows that are done are not computed again.

    Example: `tallymark experiment table1 --data my-study --profile small --seeds 3 --paper BUSI`
    """
    from tallymark.data.study import Study
    from tallymark.experiments.table1 import table1 as run_table1

    _either(seeds, folds)
    study = Study.open(data)
    folder = out or study.folder / "experiments" / f"table1-{profile}"
    table = run_table1(
        study,
        profile,
        seeds or 3,
        folder,
        folds=folds,
        per=per,
        paper=paper,
        readings=readings,
        settings=settings or [],
        console=progress_console(),
    )
    if json:
        print_json({"table": table, "csv": table.with_suffix(".csv")})
    else:
        typer.echo(table.read_text(encoding="utf-8"))


@app.command("marks")
def marks(
    data: Data,
    profile: Profile = "small",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Runs of each row on one split, from seed 0; 1 unless given.")
    ] = None,
    folds: Folds = None,
    kinds: Annotated[
        str | None,
        typer.Option(help="Which marks, with commas: eroded,deepest,stroke,dab,dab-unclipped,click,partial."),
    ] = None,
    recipes: Annotated[str, typer.Option(help="Which recipes, with commas; full is always there.")] = "grow,paper",
    per: Annotated[
        Literal["image", "component"], typer.Option(help="Mark a structure once, or each of its connected pieces.")
    ] = "image",
    part: Part = "1/1",
    tuned: Annotated[
        Path | None, typer.Option(help="The tuned.json of 'experiment tune': settings of each recipe.")
    ] = None,
    hours: Hours = None,
    out: Annotated[Path | None, typer.Option(help="Where rows and table go; STUDY/experiments/marks-PROFILE.")] = None,
    settings: Settings = None,
    json: JsonOption = False,
) -> None:
    """Every kind of marks with every recipe, beside full supervision and the floors; rows that are done stay.

    Example: `tallymark experiment marks --data my-study --kinds stroke,click --recipes grow,paper --seeds 3`
    """
    from tallymark.data.study import Study
    from tallymark.experiments.marks import MARKS
    from tallymark.experiments.marks import marks as run_marks

    _either(seeds, folds)
    study = Study.open(data)
    table = run_marks(
        study,
        profile,
        seeds or 1,
        out or study.folder / "experiments" / f"marks-{profile}",
        kinds=kinds.split(",") if kinds is not None else tuple(MARKS),
        recipes=recipes.split(","),
        folds=folds,
        per=per,
        part=_part(part),
        hours=hours,
        tuned=tuned,
        settings=settings or [],
        console=progress_console(),
    )
    _show(table, json)


@app.command("archive")
def archive(
    data: Data,
    profile: Profile = "small",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each row, from seed 0.")] = 1,
    shares: Annotated[
        str, typer.Option(help="Shares of the training images that are marked or masked, with commas.")
    ] = "0.01,0.02,0.05,0.1,0.25,1",
    minutes: Annotated[
        float, typer.Option(min=2, help="Of a person: what clicks, strokes and masks buy for them.")
    ] = 20,
    kept: Annotated[bool, typer.Option(help="Rounded, noisy, biased and missing numbers, too.")] = True,
    part: Part = "1/1",
    hours: Hours = None,
    out: Annotated[
        Path | None, typer.Option(help="Where rows and table go; STUDY/experiments/archive-PROFILE.")
    ] = None,
    settings: Settings = None,
    json: JsonOption = False,
) -> None:
    """Marks on a few images and numbers on all, numbers as they were kept, and what a person's time buys.

    Example: `tallymark experiment archive --data my-study --shares 0.05,0.1,0.25,1 --seeds 3`
    """
    from tallymark.data.study import Study
    from tallymark.experiments.archive import archive as run_archive

    study = Study.open(data)
    table = run_archive(
        study,
        profile,
        seeds,
        out or study.folder / "experiments" / f"archive-{profile}",
        shares=_shares(shares),
        minutes=minutes,
        kept=kept,
        part=_part(part),
        hours=hours,
        settings=settings or [],
        console=progress_console(),
    )
    _show(table, json)


@app.command("tune")
def tune(
    data: Annotated[Path, typer.Option(help="The study folder; it needs no full mask.")],
    marks: Annotated[str, typer.Option(help="The mark set to learn from and to judge by.")],
    recipes: Annotated[str, typer.Option(help="Which recipes, with commas.")] = "grow",
    profile: Profile = "small",
    seed: Annotated[int, typer.Option(min=0, help="Of every trial.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Where trials and table go; STUDY/experiments/tune-PROFILE.")] = None,
    settings: Settings = None,
    json: JsonOption = False,
) -> None:
    """Try a few settings of each recipe and choose by held-out numbers and marks; no mask is opened.

    Example: `tallymark experiment tune --data my-study --marks click --recipes grow,kervadec,nnpu`
    """
    from tallymark.data.study import Study
    from tallymark.experiments.tune import tune as run_tune

    study = Study.open(data)
    folder = out or study.folder / "experiments" / f"tune-{profile}"
    frame = run_tune(
        study,
        recipes.split(","),
        marks,
        profile,
        folder,
        seed=seed,
        settings=settings or [],
        console=progress_console(),
    )
    if json:
        print_json({"csv": folder / "tuned.csv", "tuned": folder / "tuned.json"})
    else:
        typer.echo(frame.to_string(index=False, float_format="{:.4f}".format))


def _either(seeds: int | None, folds: int | None) -> None:
    if seeds is not None and folds is not None:
        raise ConfigError(
            "seeds or folds, not both",
            found="--seeds and --folds",
            remedy="with --folds, the seed is the fold's number",
        )


def _show(table: Path | None, json: bool) -> None:
    if json:
        print_json({"table": table, "csv": table and table.with_suffix(".csv")})
    elif table is None:
        typer.echo("no table yet: the rows of full supervision are not all done")
    else:
        typer.echo(table.read_text(encoding="utf-8"))


def _shares(text: str) -> list[float]:
    try:
        shares = [float(word) for word in text.split(",")]
    except ValueError:
        shares = []
    if not shares or not all(0 < share <= 1 for share in shares):
        raise ConfigError(
            "not shares of the training images", where="--shares", found=text, expected="such as 0.05,0.1,1"
        )
    return shares


def _part(text: str) -> tuple[int, int]:
    number, slash, of = text.partition("/")
    if not slash or not number.isdecimal() or not of.isdecimal():
        raise ConfigError("not a part of the rows", where="--part", found=text, expected="such as 2/3")
    return int(number), int(of)
