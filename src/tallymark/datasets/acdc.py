"""ACDC: cine MRI of the heart with labels of both ventricles and the myocardium, and scribbles drawn by people.

Bernard et al. 2018, Deep learning techniques for automatic MRI cardiac multi-structures segmentation and diagnosis,
IEEE TMI 37(11), doi:10.1109/TMI.2018.2837502. Scribbles: Valvano, Leo and Tsaftaris 2021, Learning to segment from
scribbles using multi-scale adversarial attention gates, IEEE TMI 40(8), doi:10.1109/TMI.2021.3069634.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from tallymark.data.cases import Case, stored_path
from tallymark.data.findings import some
from tallymark.data.formats import Geometry
from tallymark.data.images import file_sha256, read_image
from tallymark.data.mark_place import MARKS
from tallymark.data.marks import EXCLUDED, MarkStore
from tallymark.data.settings import SplitSettings
from tallymark.data.study import Study
from tallymark.datasets.derived import IMAGES, TRUTH, Source, derived_files, write_sources
from tallymark.datasets.label_marks import Pixels, add_marks, pixels_of, require_new_set
from tallymark.datasets.labelled import (
    Labelled,
    each,
    known_labels,
    refuse_study,
    require_folder,
    study_of_labelled,
)
from tallymark.datasets.pairs import ImportReport, Track
from tallymark.datasets.volumes import read_label_grid, require_grid, write_labels, write_plane
from tallymark.errors import ConfigError, GeometryError, ReadError
from tallymark.measure.definition import Statistic

CODES = {"RV": (1,), "MYO": (2,), "LV": (3,)}
"""Right ventricle, myocardium and left ventricle."""

MYO_SHARE = Statistic("MYO_share", "area_ratio", of=("MYO",), over=("MYO", "LV"))
"""Myocardium as a share of myocardium and left ventricle together: a ratio of two structures."""

SCRIBBLE_SET = "scribble"
_AUTHOR = "ACDC scribbles"
_UNMARKED = 4
# As the scribbles' publisher names files, and as ACDC itself does.
_NAME = re.compile(r"(?P<id>(?P<patient>patient\d{3})_frame\d{2})(?P<image>_image)?\.nii(?P<gz>\.gz)?")


def import_acdc(
    folder: Path | str,
    study: Path | str,
    *,
    slices: bool = True,
    spacing: Sequence[float] | None = None,
    background_marks: bool = True,
    ratio: bool = False,
    split: SplitSettings | None = None,
    track: Track = iter,
) -> ImportReport:
    """Make a study of ACDC, slice by slice or of whole volumes, with the scribbles as a mark set.

    Volumes are read where they are; slices are written into the study (``images/*.tif`` with the stored values,
    ``truth/*.png``, and ``sources.csv``), as they lie in the file: a short-axis plane has no up. Patients are groups;
    patients who share an identical volume are one. Scribbles become the real mark set ``scribble``; the label 4 in them
    means not marked.

    Args:
        folder: with ``patientNNN/patientNNN_frameMM_image.nii.gz``, ``..._label.nii.gz`` and, where they were drawn,
            ``..._scribble.nii.gz``. ACDC's own names, ``..._frameMM.nii.gz`` and ``..._gt.nii.gz``, are read too.
        study: the study folder to make.
        slices: every slice is an image (2-D); else every volume is (3-D).
        spacing: mm per plane, row and column, of all volumes. None: that of the header, but a header of 1 x 1 x 1 mm
            is a placeholder, and the spacing then unknown.
        background_marks: scribbles of the background become marks of "none of these"; else they are left out.
        ratio: have the statistic ``MYO_share`` too, the myocardium as a share of myocardium and left ventricle.
        split: shares of the splits.
        track: wraps the volumes while they are read, to show progress.

    Returns:
        What was made.

    Raises:
        ReadError: this is not ACDC, or a file is missing or cannot be read.
        GeometryError: an image, its labels and its scribbles that do not lie on one grid.
        StudyError: labels that ACDC does not have, a study that is there already.
        ConfigError: a spacing of other than three positive edges.
    """
    folder, study = Path(folder), Path(study)
    if spacing is not None and (len(spacing) != 3 or not all(0 < edge < np.inf for edge in spacing)):
        raise ConfigError(
            "this is no spacing", where="spacing", found=spacing, expected="three edges in mm: plane, row, column"
        )
    refuse_study(study)
    frames = _frames(folder)
    require_new_set(MarkStore(study / MARKS), SCRIBBLE_SET)
    wanted: Mapping[int, str] = {code: name for name, (code,) in CODES.items()}
    if background_marks:
        wanted = {0: EXCLUDED, **wanted}
    declared = None if spacing is None else tuple(float(edge) for edge in spacing)

    def make() -> ImportReport:
        taken = each(
            frames,
            lambda frame: _take(frame, study, slices, declared, wanted),
            track=track,
            what="some volumes cannot be used",
        )
        if slices:
            write_sources(study, [source for one in taken for source in one.sources])
        marks = [mark for one in taken for mark in one.marks]
        items = [item for one in taken for item in one.items]
        report = study_of_labelled(
            items,
            CODES,
            study,
            name="acdc",
            split=split,
            statistics=(MYO_SHARE,) if ratio else (),
            notes=_notes(items, marks, background_marks),
        )
        if marks:
            add_marks(Study.open(study), SCRIBBLE_SET, marks, author=_AUTHOR)
        return report

    if not slices:
        return make()
    with derived_files(study):
        return make()


@dataclass(frozen=True)
class _Frame:
    id: str
    patient: str
    image: Path
    labels: Path
    scribble: Path | None


@dataclass(frozen=True)
class _Taken:
    items: list[Labelled]
    marks: list[Pixels]
    sources: list[Source]


def _frames(folder: Path) -> list[_Frame]:
    require_folder(folder, "the folder of ACDC")
    frames: dict[str, _Frame] = {}
    without = []
    for path in sorted(folder.rglob("patient*.nii*")):
        match = _NAME.fullmatch(path.name)
        if match is None or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        suffix = ".nii.gz" if match["gz"] else ".nii"
        name = match["id"]
        labels, scribble = (
            path.with_name(f"{name}_{what}{suffix}") for what in ("label" if match["image"] else "gt", "scribble")
        )
        if name in frames:
            raise ReadError("this volume is there twice", where=path, found=frames[name].image, remedy="remove one")
        if not labels.is_file():
            without.append(labels.name)
        frames[name] = _Frame(name, match["patient"], path, labels, scribble if scribble.is_file() else None)
    if not frames:
        raise ReadError(
            "this is not the ACDC data set",
            where=folder,
            expected="files patientNNN_frameMM_image.nii.gz and patientNNN_frameMM_label.nii.gz",
            remedy="name the folder that was unpacked",
        )
    if without:
        raise ReadError(
            "volumes without labels",
            where=folder,
            found=f"{len(without)} missing: {some(without)}",
            remedy="take these volumes out of the folder, or add their labels",
        )
    return list(frames.values())


def _take(
    frame: _Frame, study: Path, slices: bool, declared: tuple[float, ...] | None, wanted: Mapping[int, str]
) -> _Taken:
    image = read_image(frame.image)
    labels, labels_found = _labels(frame.labels, frame, image.space, image.geometry, (0, 1, 2, 3))
    if len(image.space) != 3 or image.pixels.shape[-1] != 1:
        raise GeometryError("this is no volume", where=frame.image, found=image.pixels.shape, expected="three axes")
    scribble = None
    if frame.scribble is not None:
        scribble, _ = _labels(frame.scribble, frame, image.space, image.geometry, (0, 1, 2, 3, _UNMARKED))
    spacing = declared
    if spacing is None and image.spacing is not None and set(image.spacing) != {1.0}:
        spacing = image.spacing
    image_sha256, labels_sha256 = file_sha256(frame.image), file_sha256(frame.labels)
    if not slices:
        case = Case(frame.id, frame.image, image_sha256, group=frame.patient, spacing=spacing)
        item = Labelled(case, frame.labels, labels_sha256, labels_found, axes=3)
        return _Taken([item], [] if scribble is None else pixels_of(frame.id, scribble, wanted), [])
    taken = _Taken([], [], [])
    digits = max(2, len(str(len(labels) - 1)))
    for index, (plane, plane_labels) in enumerate(zip(image.pixels[..., 0], labels, strict=True)):
        name = f"{frame.id}_slice_{index:0{digits}d}"
        image_out, labels_out = study / IMAGES / f"{name}.tif", study / TRUTH / f"{name}.png"
        write_plane(image_out, plane)
        write_labels(labels_out, plane_labels)
        case = Case(
            name,
            image_out,
            file_sha256(image_out),
            group=frame.patient,
            spacing=None if spacing is None else spacing[1:],
        )
        found = frozenset(np.unique(plane_labels).tolist())
        labels_digest = file_sha256(labels_out)
        taken.items.append(Labelled(case, labels_out, labels_digest, found, axes=2, source_sha256=image_sha256))
        taken.sources.append(
            Source(
                name,
                stored_path(frame.image.resolve(), study),
                image_sha256,
                stored_path(frame.labels.resolve(), study),
                labels_sha256,
                axis=2,
                slice=index,
            )
        )
        if scribble is not None:
            taken.marks.extend(pixels_of(name, scribble[index], wanted))
    return taken


def _labels(
    path: Path, frame: _Frame, space: tuple[int, ...], geometry: Geometry | None, known: Sequence[int]
) -> tuple[Integer[np.ndarray, "*space"], frozenset[int]]:
    values, own = read_label_grid(path)
    require_grid(path, values.shape, own, frame.image, space, geometry)
    return values, known_labels(values, known, path)


def _notes(items: Sequence[Labelled], marks: Sequence[Pixels], background_marks: bool) -> list[str]:
    notes = []
    unknown = sum(item.case.spacing is None for item in items)
    if unknown:
        notes.append(
            f"The size of a pixel is unknown in {unknown} of {len(items)} images (the headers hold a placeholder); "
            "declare it with --spacing if you know it."
        )
    if marks:
        images = len({mark.case_id for mark in marks})
        kept = "marks of 'none of these'" if background_marks else "left out"
        notes.append(f"Scribbles on {images} images are the mark set '{SCRIBBLE_SET}'; those of the background {kept}.")
    return notes
