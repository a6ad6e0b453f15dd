"""``import``: data sets and folders become a study; originals stay where they are."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tallymark.cli.output import JsonOption, print_json

app = typer.Typer(no_args_is_help=True, help="Turn a data set or a folder of images into a study.")

StudyArgument = Annotated[Path, typer.Argument(help="The study folder to make.", metavar="STUDY")]
Groups = Annotated[
    Path | None, typer.Option(help="CSV with columns id, group: images of one group are never split apart.")
]


@app.command("images")
def images(
    study: StudyArgument,
    images: Annotated[Path, typer.Option(help="Folder of images; subfolders become strata.")],
    masks: Annotated[Path | None, typer.Option(help="Folder of masks, paired by name; may be the same folder.")] = None,
    groups: Groups = None,
    structure: Annotated[str, typer.Option(help="What the masks outline.")] = "lesion",
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Keep images that have no mask.")] = False,
    json: JsonOption = False,
) -> None:
    """A folder of images, with masks paired by name: NAME.png with NAME.png, NAME_mask.png or NAME_mask_1.png.

    Example: `tallymark import images --images photos --masks outlines my-study`
    """
    from tallymark.datasets.pairs import import_pairs

    report = import_pairs(images, masks, study, groups=groups, structure=structure, allow_missing=allow_missing)
    _say(report, json)


@app.command("busi")
def busi(
    folder: Annotated[Path, typer.Argument(help="Dataset_BUSI_with_GT, or the folder around it.", metavar="BUSI")],
    study: StudyArgument,
    normals: Annotated[bool, typer.Option("--normals", help="Keep the images without a lesion.")] = False,
    groups: Groups = None,
    json: JsonOption = False,
) -> None:
    """Breast ultrasound (BUSI): several masks an image are united; a groups.csv beside the images is used.

    Example: `tallymark import busi Dataset_BUSI_with_GT my-study`
    """
    from tallymark.datasets.busi import import_busi

    _say(import_busi(folder, study, normals=normals, groups=groups), json)


def _say(report: object, json: bool) -> None:
    from tallymark.datasets.pairs import ImportReport

    assert isinstance(report, ImportReport)
    if json:
        print_json(asdict(report))
    else:
        typer.echo(str(report))
