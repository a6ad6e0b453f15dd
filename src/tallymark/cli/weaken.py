"""``weaken``: from full masks to the marks and numbers that a clinic would have kept."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tallymark.cli.output import JsonOption, print_json, track

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def weaken(
    study: Annotated[Path, typer.Argument(help="The study folder.", metavar="STUDY")],
    name: Annotated[str, typer.Option("--as", help="Name of the mark set, or of the variant of the numbers.")],
    marks: Annotated[
        str | None, typer.Option(help="Kind of mark and its share of the structure, NAME[:SHARE].")
    ] = None,
    numbers: Annotated[
        str | None, typer.Option(help="Instead: how the numbers were kept, for example rounded:5% or noisy:20%.")
    ] = None,
    per: Annotated[
        Literal["image", "component"], typer.Option(help="Mark each structure once, or each of its components.")
    ] = "image",
    variant: Annotated[int, typer.Option(help="Another draw of the same kind.")] = 0,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what was simulated under this name.")] = False,
    picture: Annotated[
        bool, typer.Option(help="Draw some of the marked images into STUDY/pictures, to look the marks over.")
    ] = True,
    json: JsonOption = False,
) -> None:
    """Simulate what a clinic would have kept: marks and exact numbers from full masks, or numbers kept less exactly.

    Recorded numbers and marks that people made are never touched.

    Example: `tallymark weaken my-study --marks erosion:8% --as e8`
    """
    from tallymark.data.study import Study
    from tallymark.datasets.case_pictures import marks_picture
    from tallymark.datasets.kept_numbers import simulate_numbers
    from tallymark.datasets.weaken import weaken as run_weaken
    from tallymark.errors import ConfigError

    if (marks is None) == (numbers is None):
        raise ConfigError("simulate marks or numbers", expected="either --marks or --numbers")
    opened = Study.open(study)
    drawn = None
    if marks is not None:
        report: DataclassInstance = run_weaken(
            opened, marks, name, per=per, variant=variant, replace=replace, track=track("marking")
        )
        if picture and opened.marks.case_ids(name):
            drawn = marks_picture(opened, name)
    else:
        report = simulate_numbers(
            opened, str(numbers), name, draw=variant, replace=replace, track=track("measuring exact numbers")
        )
    if json:
        print_json(asdict(report) | {"picture": drawn})
    else:
        typer.echo(str(report) if drawn is None else f"{report}\nsome of them: {drawn}")
