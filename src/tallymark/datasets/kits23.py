"""KiTS23: CT of the kidneys with labels of kidney, tumour and cyst, one axial slice of each case.

Heller et al. 2023, The KiTS21 Challenge: automatic segmentation of kidneys, renal tumors, and renal cysts in
corticomedullary-phase CT, arXiv 2307.01984; KiTS23 is its continuation and has the same layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tallymark.data.cases import Case, stored_path
from tallymark.data.findings import some
from tallymark.data.images import file_sha256, read_image
from tallymark.data.settings import ImageSettings, SplitSettings
from tallymark.datasets.derived import IMAGES, TRUTH, Source, derived_files, write_sources
from tallymark.datasets.labelled import (
    Labelled,
    each,
    known_labels,
    refuse_study,
    require_folder,
    study_of_labelled,
)
from tallymark.datasets.pairs import ImportReport, Track
from tallymark.datasets.volumes import (
    axial_stack,
    read_label_grid,
    require_grid,
    require_orientation,
    write_labels,
    write_plane,
)
from tallymark.errors import ConfigError, GeometryError, ReadError, StudyError
from tallymark.measure.definition import Statistic

KIDNEYS = ("excludes", "includes")
REGIONS = ("tumour", "kidney-and-tumour")

WINDOW = (-160.0, 240.0)
"""Hounsfield units that become black and white: soft tissue, level 40 and width 400."""

KIDNEY, TUMOUR, CYST = 1, 2, 3
TUMOUR_SHARE = Statistic("tumour_share", "area_ratio", of=("tumour",), over=("kidney", "tumour"))
"""Tumour as a share of kidney and tumour together: a ratio of two structures."""

_IMAGE, _LABELS = "imaging.nii.gz", "segmentation.nii.gz"


def kits_codes(kidney: str) -> dict[str, tuple[int, ...]]:
    """The labels of each structure.

    Args:
        kidney: "excludes": the label kidney alone, as published; "includes": with the tumours and cysts in it, the
            first of the challenge's three nested regions.

    Raises:
        ConfigError: neither.

    Example:
        >>> kits_codes("excludes"), kits_codes("includes")
        ({'kidney': (1,), 'tumour': (2,)}, {'kidney': (1, 2, 3), 'tumour': (2,)})
    """
    if kidney not in KIDNEYS:
        raise ConfigError(
            "what the kidney is, is not clear", where="kidney", found=repr(kidney), expected=" or ".join(KIDNEYS)
        )
    return {"kidney": (KIDNEY,) if kidney == "excludes" else (KIDNEY, TUMOUR, CYST), "tumour": (TUMOUR,)}


def import_kits23(
    folder: Path | str,
    study: Path | str,
    *,
    kidney: str = "excludes",
    largest: str = "tumour",
    window: tuple[float, float] = WINDOW,
    ratio: bool = False,
    split: SplitSettings | None = None,
    track: Track = iter,
) -> ImportReport:
    """Make a 2-D study of KiTS23: of each case the axial slice with the largest region.

    The slices are written into the study: ``images/case_NNNNN.tif`` in Hounsfield units (16 bits, signed), patient
    anterior up and patient left on the right, ``truth/case_NNNNN.png`` with the published labels. ``sources.csv``
    says which slice of which volume each is. The edges of a pixel in mm are in ``cases.csv``.

    Args:
        folder: with the folders ``case_NNNNN``, or the folder around ``dataset``.
        study: the study folder to make.
        kidney: whether the kidney includes the tumours and cysts in it; see :func:`kits_codes`.
        largest: which region is largest on the slice: the tumour (what the paper's two structures need), or kidney and
            tumour together. Of equal slices the first of the file counts.
        window: Hounsfield units that become 0 and 1; stored in ``study.toml``.
        ratio: have the statistic ``tumour_share`` too.
        split: shares of the splits.
        track: wraps the cases while they are read, to show progress.

    Returns:
        What was made. Cases without the region are left out and named in the notes.

    Raises:
        ReadError: this is not KiTS23, a volume is missing or cannot be read.
        GeometryError: image and labels that do not lie on one grid, or a volume that does not say how it lies.
        StudyError: labels that KiTS does not have, a study that is there already.
        ConfigError: an option out of range.

    Source: Kulkarni, Raff and Oates 2026, arXiv 2605.03059: "the slice with the largest region of interest", kidney
    and tumour as two outputs. It does not say which region, nor whether the kidney includes the tumour.
    """
    folder, study = Path(folder), Path(study)
    codes = kits_codes(kidney)
    if largest not in REGIONS:
        raise ConfigError("largest what?", where="largest", found=repr(largest), expected=" or ".join(REGIONS))
    region = (TUMOUR,) if largest == "tumour" else (KIDNEY, TUMOUR)
    ImageSettings(window=window)  # refuses a wrong one before the work
    refuse_study(study)
    cases = _cases(folder)
    with derived_files(study):
        # Two at a time: a case takes about a gigabyte while it is read.
        planes = each(
            cases,
            lambda case: _import_case(case, study, region),
            track=track,
            what="some cases cannot be used",
            workers=2,
        )
        kept = [plane for plane in planes if isinstance(plane, _Plane)]
        without = [plane for plane in planes if isinstance(plane, str)]
        write_sources(study, [plane.source for plane in kept])
        return study_of_labelled(
            [plane.item for plane in kept],
            codes,
            study,
            name="kits23",
            window=window,
            statistics=(TUMOUR_SHARE,) if ratio else (),
            split=split,
            left_out=len(without),
            notes=[f"Cases without the region ({largest}) were left out: {some(without)}."] if without else [],
        )


@dataclass(frozen=True)
class _Plane:
    item: Labelled
    source: Source


def _cases(folder: Path) -> list[Path]:
    require_folder(folder, "the folder of KiTS23")
    root = folder / "dataset" if (folder / "dataset").is_dir() else folder
    cases = sorted(path for path in root.glob("case_*") if path.is_dir())
    if not cases:
        raise ReadError(
            "this is not the KiTS23 data set",
            where=folder,
            expected=f"folders case_NNNNN with {_IMAGE} and {_LABELS}",
            remedy="name the folder 'dataset' of the repository",
        )
    for name, remedy in (
        (_IMAGE, "the images are not in the repository: run its download command"),
        (_LABELS, "take the case out of the folder, or add its labels"),
    ):
        missing = [case.name for case in cases if not (case / name).is_file()]
        if missing:
            raise ReadError(
                f"cases without {name}",
                where=root,
                found=f"{len(missing)} of {len(cases)}: {some(missing)}",
                remedy=remedy,
            )
    return cases


def _import_case(case: Path, study: Path, region: Sequence[int]) -> _Plane | str:
    """Write the slice with the largest region; the name of the case if it has none."""
    image_path, labels_path = case / _IMAGE, case / _LABELS
    for path in (image_path, labels_path):
        require_orientation(path)
    labels, labels_geometry = read_label_grid(labels_path)
    found = known_labels(labels, (0, KIDNEY, TUMOUR, CYST), labels_path)
    if labels_geometry is None or labels.ndim != 3:
        raise GeometryError("this is no volume", where=labels_path, found=labels.shape, expected="three axes")
    if not found.intersection(region):
        return case.name
    image = read_image(image_path)
    require_grid(labels_path, labels.shape, labels_geometry, image_path, image.space, image.geometry)
    if image.pixels.shape[-1] != 1:
        raise StudyError("CT has one channel", where=image_path, found=f"{image.pixels.shape[-1]} channels")
    stack = axial_stack(labels, labels_geometry, labels_path)
    index = int(np.isin(stack.values, region).sum(axis=(1, 2)).argmax())
    plane = axial_stack(image.pixels[..., 0], labels_geometry, image_path).values[index]
    image_out, labels_out = study / IMAGES / f"{case.name}.tif", study / TRUTH / f"{case.name}.png"
    write_plane(image_out, np.rint(plane).clip(-(2**15), 2**15 - 1).astype(np.int16))
    write_labels(labels_out, stack.values[index])
    image_sha256 = file_sha256(image_path)
    item = Labelled(
        case=Case(case.name, image_out, file_sha256(image_out), group=case.name, spacing=stack.spacing[1:]),
        labels=labels_out,
        labels_sha256=file_sha256(labels_out),
        found=frozenset(np.unique(stack.values[index]).tolist()),
        axes=2,
        source_sha256=image_sha256,
    )
    source = Source(
        id=case.name,
        image=stored_path(image_path.resolve(), study),
        image_sha256=image_sha256,
        labels=stored_path(labels_path.resolve(), study),
        labels_sha256=file_sha256(labels_path),
        axis=stack.file_axis,
        slice=index,
    )
    return _Plane(item, source)
