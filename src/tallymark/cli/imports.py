"""``import``: data sets and folders become a study; originals stay where they are."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallymark.cli import import_sets
from tallymark.cli.output import JsonOption, print_json, track

if TYPE_CHECKING:
    from tallymark.datasets.pairs import ImportReport

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
    codes: Annotated[str | None, typer.Option(help="Labels in the masks, for example kidney=1+2,tumour=2.")] = None,
    ratio: Annotated[
        list[str] | None, typer.Option(help="Have a ratio of structures as a number too, as fat/fat+muscle; repeat it.")
    ] = None,
    skip_empty: Annotated[bool, typer.Option("--skip-empty", help="Leave out images whose masks are empty.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the study; marks and runs are kept.")] = False,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Keep images that have no mask.")] = False,
    json: JsonOption = False,
) -> None:
    """A folder of images, with masks paired by name: NAME.png with NAME.png, NAME_mask.png or NAME_mask_1.png.

    Example: `tallymark import images --images photos --masks outlines my-study`
    """
    from tallymark.datasets.pairs import import_pairs, parse_codes, parse_ratio

    report = import_pairs(
        images,
        masks,
        study,
        groups=groups,
        structure=structure,
        codes=None if codes is None else parse_codes(codes),
        statistics=[parse_ratio(one) for one in ratio or []],
        allow_missing=allow_missing,
        skip_empty=skip_empty,
        overwrite=overwrite,
        track=track("reading"),
    )
    _say(report, json)


@app.command("busi")
def busi(
    folder: Annotated[Path, typer.Argument(help="Dataset_BUSI_with_GT, or the folder around it.", metavar="BUSI")],
    study: StudyArgument,
    normals: Annotated[bool, typer.Option("--normals", help="Keep the images without a lesion.")] = False,
    groups: Groups = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the study; marks and runs are kept.")] = False,
    json: JsonOption = False,
) -> None:
    """Breast ultrasound (BUSI): several masks an image are united; a groups.csv beside the images is used.

    Example: `tallymark import busi Dataset_BUSI_with_GT my-study`
    """
    from tallymark.datasets.busi import import_busi

    report = import_busi(folder, study, normals=normals, groups=groups, overwrite=overwrite, track=track("reading"))
    _say(report, json)


import_sets.register(app)


def _say(report: ImportReport, json: bool) -> None:
    if json:
        print_json(asdict(report))
    else:
        typer.echo(str(report))
