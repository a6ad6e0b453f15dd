"""``experiment``: the tables of the paper and our own, each one command that resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tallymark.cli.output import JsonOption, print_json, progress_console

app = typer.Typer(no_args_is_help=True, help="Compute a table of results; stop and go on as you like.")


@app.command("table1")
def table1(
    data: Annotated[Path, typer.Option(help="The study folder, with full masks.")],
    profile: Annotated[str, typer.Option(help="How large: small (a CPU) or paper (a GPU).")] = "small",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Runs of each row on one split, from seed 0; 3 unless given.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Instead: one run of each row on each of so many folds; every image is tested once."),
    ] = None,
    per: Annotated[
        Literal["image", "component"],
        typer.Option(help="Erode masks as a whole, as the paper does, or mark each connected component."),
    ] = "image",
    out: Annotated[Path | None, typer.Option(help="Where rows and table go; STUDY/experiments/table1-PROFILE.")] = None,
    paper: Annotated[str | None, typer.Option(help="Figures of the paper to show: BUSI or KiTS23.")] = None,
    readings: Annotated[bool, typer.Option(help="Both erosion readings and both reductions, too.")] = True,
    settings: Annotated[list[str] | None, typer.Option("--set", help="One setting for every row.")] = None,
    json: JsonOption = False,
) -> None:
    """The paper's Table 1 with the floors under it; rows that are done are not computed again.

    Example: `tallymark experiment table1 --data my-study --profile small --seeds 3 --paper BUSI`
    """
    from tallymark.data.study import Study
    from tallymark.errors import ConfigError
    from tallymark.experiments.table1 import table1 as run_table1

    if seeds is not None and folds is not None:
        raise ConfigError(
            "seeds or folds, not both",
            found="--seeds and --folds",
            remedy="with --folds, the seed is the fold's number",
        )
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
