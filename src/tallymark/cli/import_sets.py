"""``import``: published data sets, and marks that people made in other tools."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tallymark.cli.output import JsonOption, print_json, progress_console

if TYPE_CHECKING:
    from tallymark.datasets.label_marks import LabelMarksReport
    from tallymark.datasets.pairs import ImportReport

Study = Annotated[Path, typer.Argument(help="The study folder to make.", metavar="STUDY")]
Kidney = Annotated[str, typer.Option(help="Whether the kidney excludes or includes the tumours and cysts in it.")]
Ratio = Annotated[bool, typer.Option("--ratio", help="Have the ratio tumour / (kidney and tumour) as a number too.")]


def register(app: typer.Typer) -> None:
    """Add these commands to ``import``."""
    app.command("kits23")(kits23)
    app.command("kits-slices")(kits_slices)
    app.command("acdc")(acdc)
    app.command("phantoms")(phantoms)
    app.command("nuclei")(nuclei)
    app.command("pets")(pets)
    app.command("marks")(marks)


def kits23(
    folder: Annotated[Path, typer.Argument(help="The folder with case_00000, case_00001 ...", metavar="KITS23")],
    study: Study,
    kidney: Kidney = "excludes",
    largest: Annotated[
        str, typer.Option(help="Which region is largest on the slice: tumour or kidney-and-tumour.")
    ] = "tumour",
    window: Annotated[tuple[float, float], typer.Option(help="Hounsfield units that become black and white.")] = (
        -160.0,
        240.0,
    ),
    ratio: Ratio = False,
    json: JsonOption = False,
) -> None:
    """CT of the kidneys (KiTS23): of each case the axial slice with the largest tumour, written into the study.

    Example: `tallymark import kits23 kits23/dataset my-study`
    """
    from tallymark.datasets.kits23 import import_kits23

    report = import_kits23(folder, study, kidney=kidney, largest=largest, window=window, ratio=ratio, track=_progress)
    _say(report, json)


def kits_slices(
    folder: Annotated[Path, typer.Argument(help="Folder with images, labels and index.csv.", metavar="FOLDER")],
    study: Study,
    largest: Annotated[
        bool, typer.Option("--largest", help="Of each case only the slice with the largest tumour.")
    ] = False,
    kidney: Kidney = "excludes",
    ratio: Ratio = False,
    json: JsonOption = False,
) -> None:
    """Prepared CT slices of KiTS: pictures, label pictures and a table that names the case of each.

    Example: `tallymark import kits-slices --largest kits19_slices my-study`
    """
    from tallymark.datasets.kits_slices import import_kits_slices

    report = import_kits_slices(folder, study, largest=largest, kidney=kidney, ratio=ratio, track=_progress)
    _say(report, json)


def acdc(
    folder: Annotated[Path, typer.Argument(help="The folder with patient001, patient002 ...", metavar="ACDC")],
    study: Study,
    slices: Annotated[
        bool, typer.Option("--slices/--volumes", help="Every slice is an image, or every volume.")
    ] = True,
    spacing: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="mm per plane, row and column, where the headers hold a placeholder.", metavar="P R C"),
    ] = None,
    background_marks: Annotated[
        bool,
        typer.Option(
            "--background-marks/--no-background-marks", help="Scribbles of the background mean 'none of these'."
        ),
    ] = True,
    ratio: Annotated[
        bool, typer.Option("--ratio", help="Have the ratio myocardium / (myocardium and left ventricle) too.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """MRI of the heart (ACDC), with the scribbles that people drew as the mark set 'scribble'.

    Example: `tallymark import acdc --spacing 10 1.5 1.5 ACDC my-study`
    """
    from tallymark.datasets.acdc import import_acdc

    report = import_acdc(
        folder, study, slices=slices, spacing=spacing, background_marks=background_marks, ratio=ratio, track=_progress
    )
    _say(report, json)


def phantoms(
    study: Study,
    kind: Annotated[
        Literal["lesion", "marbled", "atrium"],
        typer.Option(
            help="Ultrasound-like lesions; muscle with streaks of fat and the ratio fat / (fat + muscle); or atria of "
            "the heart, irregular and faint, among chambers that are as bright."
        ),
    ] = "lesion",
    cases: Annotated[int, typer.Option(min=1, help="Synthetic images.")] = 240,
    size: Annotated[int, typer.Option(min=32, help="Side of an image in pixels.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Another one gives other patients.")] = 0,
    json: JsonOption = False,
) -> None:
    """Synthetic images with known masks, drawn into STUDY/source; nobody's body is in them.

    Example: `tallymark import phantoms --kind marbled my-study`
    """
    from tallymark.datasets.atria import write_atria
    from tallymark.datasets.marbled import write_marbled
    from tallymark.datasets.pairs import import_pairs, parse_codes, parse_ratio
    from tallymark.datasets.phantom import write_phantoms

    write = {"lesion": write_phantoms, "marbled": write_marbled, "atrium": write_atria}[kind]
    root = write(study / "source", cases, seed, size=size)
    coded = {"marbled": "fat=1,muscle=2", "atrium": "atrium=1"}.get(kind)
    ratios = [parse_ratio("fat/fat+muscle")] if kind == "marbled" else []
    groups = root / "groups.csv"
    report = import_pairs(
        root / "images",
        root / "masks",
        study,
        groups=groups,
        codes=None if coded is None else parse_codes(coded),
        statistics=ratios,
        track=_progress,
    )
    _say(report, json)


def nuclei(
    folder: Annotated[Path, typer.Argument(help="Folder with images and instances.", metavar="FOLDER")],
    study: Study,
    groups: Annotated[
        Path | None, typer.Option(help="CSV with columns id, group: images of one group are never split apart.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Microscopy of nuclei (2018 Data Science Bowl), every nucleus numbered.

    Example: `tallymark import nuclei dsb2018 my-study`
    """
    from tallymark.datasets.nuclei import import_nuclei

    _say(import_nuclei(folder, study, groups=groups, track=_progress), json)


def pets(
    folder: Annotated[Path, typer.Argument(help="Folder with images and annotations.", metavar="PETS")],
    study: Study,
    border: Annotated[
        str, typer.Option(help="Whether the pet includes or excludes the undecided border of the trimap.")
    ] = "includes",
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out photographs that cannot be read.")
    ] = False,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the data set (800 MB) into PETS first, if it is not there.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Photographs of cats and dogs (Oxford-IIIT Pet). Nothing is fetched unless you say --download.

    Example: `tallymark import pets --download pets my-study`
    """
    from tallymark.datasets.pets import import_pets

    if download:
        _fetch_pets(folder)
    report = import_pets(folder, study, border=border, skip_unreadable=skip_unreadable, track=_progress)
    _say(report, json)


def marks(
    study: Annotated[Path, typer.Argument(help="The study folder.", metavar="STUDY")],
    folder: Annotated[Path, typer.Argument(help="Label images, each called like its case.", metavar="FOLDER")],
    mark_set: Annotated[str, typer.Option("--as", help="Name of the new mark set.")],
    codes: Annotated[
        list[str] | None, typer.Option(help="What a label means: STRUCTURE=LABEL; give it once per structure.")
    ] = None,
    none_of_these: Annotated[
        list[int] | None, typer.Option(help="Label of what is none of the structures; may be repeated.")
    ] = None,
    unmarked: Annotated[
        list[int] | None, typer.Option(help="Label that means nothing at all (0 unless given); may be repeated.")
    ] = None,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Cases may have no label image.")] = False,
    author: Annotated[str, typer.Option(help="Who marked.")] = "",
    format: Annotated[
        Literal["labels", "geojson", "label-studio"],
        typer.Option(help="Label images; or documents whose classes are the structures: QuPath, Label Studio."),
    ] = "labels",
    json: JsonOption = False,
) -> None:
    """Marks made in any tool, as label images. Every label is explained; what is unmarked is never background.

    Example: `tallymark import marks my-study labels --as reader1 --codes lesion=1 --none-of-these 2`
    """
    from tallymark.data.study import Study
    from tallymark.datasets.label_marks import import_marks, parse_label_codes

    if format != "labels":
        from tallymark.datasets.exchanged import import_documents

        opened = Study.open(study)
        _say(import_documents(opened, folder, mark_set, format, author=author, track=_progress), json)
        return
    report = import_marks(
        Study.open(study),
        folder,
        mark_set,
        parse_label_codes(codes or [], none_of_these or []),
        unmarked=unmarked if unmarked is not None else (0,),
        allow_missing=allow_missing,
        author=author,
        track=_progress,
    )
    _say(report, json)


def _fetch_pets(folder: Path) -> None:
    """Fill the folder through torchvision, which knows where the set is and checks what comes."""
    from torchvision.datasets import OxfordIIITPet

    from tallymark.errors import ReadError

    folder.mkdir(parents=True, exist_ok=True)
    try:
        OxfordIIITPet(root=folder, target_types="segmentation", download=True)
    except (OSError, RuntimeError) as error:
        raise ReadError(
            "the data set could not be fetched",
            where=folder,
            found=error,
            remedy="try again, or fetch it by hand and name the folder with images and annotations",
        ) from error


def _progress(items: Iterable[Any]) -> Iterable[Any]:
    """A progress bar on standard error."""
    from rich.progress import track

    return track(items, description="reading", console=progress_console(), transient=True)


def _say(report: ImportReport | LabelMarksReport, json: bool) -> None:
    if json:
        print_json(asdict(report))
    else:
        typer.echo(str(report))
