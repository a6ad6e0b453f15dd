"""``export``: what a study holds, for other tools."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from tallymark.cli.output import JsonOption, print_json, track

app = typer.Typer(no_args_is_help=True, help="Write marks for other tools.")


@app.command("marks")
def marks(
    study: Annotated[Path, typer.Argument(help="The study folder.", metavar="STUDY")],
    out: Annotated[Path, typer.Argument(help="The folder to make.", metavar="OUT")],
    mark_set: Annotated[str, typer.Option("--marks", help="The mark set.")] = "hand",
    format: Annotated[
        Literal["labels", "nnunet", "geojson", "label-studio"],
        typer.Option(help="Label images (napari, 3D Slicer, ITK-SNAP), nnU-Net, GeoJSON (QuPath) or Label Studio."),
    ] = "labels",
    author: Annotated[str | None, typer.Option(help="Of one author alone; else all are united.")] = None,
    json: JsonOption = False,
) -> None:
    """Marks as files, one for each image that has some, called like its case.

    Example: `tallymark export marks my-study labels --marks hand --format labels`
    """
    from tallymark.data.study import Study
    from tallymark.datasets.export_marks import export_marks

    report = export_marks(Study.open(study), mark_set, out, format, author=author, track=track("writing"))
    if json:
        print_json(asdict(report))
    else:
        typer.echo(str(report))
