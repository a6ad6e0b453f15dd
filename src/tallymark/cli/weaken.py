"""``weaken``: from full masks to the marks and numbers that a clinic would have kept."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from tallymark.cli.output import JsonOption, print_json, track


def weaken(
    study: Annotated[Path, typer.Argument(help="The study folder.", metavar="STUDY")],
    mark_set: Annotated[str, typer.Option("--as", help="Name of the mark set.")],
    marks: Annotated[
        str, typer.Option(help="Kind of mark and its share of the structure, NAME[:SHARE].")
    ] = "erosion:8%",
    per: Annotated[
        Literal["image", "component"], typer.Option(help="Mark each structure once, or each of its components.")
    ] = "image",
    variant: Annotated[int, typer.Option(help="Another draw of the same kind.")] = 0,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a simulated set of this name.")] = False,
    json: JsonOption = False,
) -> None:
    """Simulate marks, and the exact numbers, from the full masks of a study. Real marks are never touched.

    Example: `tallymark weaken my-study --marks erosion:8% --as e8`
    """
    from tallymark.data.study import Study
    from tallymark.datasets.weaken import weaken as run_weaken

    report = run_weaken(
        Study.open(study), marks, mark_set, per=per, variant=variant, replace=replace, track=track("marking")
    )
    if json:
        print_json(asdict(report))
    else:
        typer.echo(str(report))
