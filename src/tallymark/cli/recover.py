"""``recover``: the lost masks of an archive, given back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tallymark.cli.output import JsonOption, print_json, print_table, progress_console


def recover(
    study: Annotated[Path, typer.Argument(help="The study folder.", metavar="STUDY")],
    out: Annotated[Path, typer.Option(help="Where masks, maps and tables go: a new folder, or one to continue in.")],
    marks: Annotated[str | None, typer.Option(help="Mark set; the only one if left away.")] = None,
    numbers: Annotated[str | None, typer.Option(help="Number variant; recorded if left away.")] = None,
    profile: Annotated[str, typer.Option(help="How large the networks are: small (a CPU) or paper (a GPU).")] = "small",
    folds: Annotated[int, typer.Option(help="Networks, each trained without the part that it outlines.")] = 3,
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
    pull: Annotated[
        float | None, typer.Option(min=0, help="Weight of growth, in logits; chosen without masks if left away.")
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="Where the networks are kept; OUT/runs if left away.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with more settings of the networks.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, section.key=value; may be repeated.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Compare with the full masks of the study.")] = False,
    json: JsonOption = False,
) -> None:
    """Give back the lost masks: of every image whose number is known, and of exactly that number.

    Example: `tallymark recover my-study --marks clicks --out recovered`
    """
    from tallymark.data.findings import counted
    from tallymark.engine.recover import recover as run_recovery

    recovery = run_recovery(
        study,
        marks=marks,
        numbers=numbers,
        profile=profile,
        folds=folds,
        seed=seed,
        out=out,
        runs=runs,
        pull=pull,
        file=config,
        settings=settings or [],
        check=check,
        console=progress_console(),
    )
    summary = recovery.summary()
    if json:
        print_json(summary)
        return
    typer.echo(f"{counted(summary['cases'], 'image')}: {out / 'masks'}, {out / 'confidence'}")
    for words, count in (
        ("to look at", summary["to_look_at"]),
        ("without a number: the networks' own outline", summary["without_number"]),
        ("without a mark: the networks alone, and a rough expectation", summary["without_marks"]),
        ("whose number could not be reached", summary["number_not_reached"]),
    ):
        if count:
            typer.echo(f"  {count} {words}")
    typer.echo(f"worst first: {recovery.folder.cases_file}, {recovery.folder.worst_file}")
    print_table(
        "\nexpected overlap with the lost masks, estimated without one",
        ["structure", "expected IoU", "weight of growth"],
        [[name, value, recovery.pulls[name]] for name, value in summary["expected_iou"].items()],
    )
    if recovery.check is not None:
        _print_check(recovery.check.summary())


def _print_check(found: dict[str, dict[str, object]]) -> None:
    rows = [
        ("images with a full mask", "images"),
        ("IoU, mean per image", "iou_per_image"),
        ("IoU, pooled", "iou_pooled"),
        ("expected IoU, mean", "expected_iou"),
        ("mean abs. error of the expected IoU", "mean_absolute_error"),
        ("its rank correlation with the IoU", "rank_correlation"),
    ]
    print_table(
        "\nchecked against the full masks of the study",
        ["score", *found],
        [[label, *(of.get(key) for of in found.values())] for label, key in rows],
    )
