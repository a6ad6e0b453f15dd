"""Marks for other tools: as label images with the image's geometry, for nnU-Net, QuPath or Label Studio."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, UInt8

from tallymark.data.atomic import write_text
from tallymark.data.findings import counted
from tallymark.data.formats import VOLUMES, suffix_of
from tallymark.data.images import write_label_image
from tallymark.data.marks import EXCLUDED
from tallymark.data.study import Case, Study
from tallymark.datasets.geojson_marks import to_geojson
from tallymark.datasets.label_studio import to_label_studio
from tallymark.datasets.pairs import Track
from tallymark.errors import ConfigError, GeometryError, StudyError
from tallymark.pictures.palette import EXCLUSION, structure_colour

MarkFormat = Literal["labels", "nnunet", "geojson", "label-studio"]


@dataclass(frozen=True)
class ExportReport:
    """What :func:`export_marks` wrote.

    Args:
        images: how many files of marks.
        codes: label of each structure, where the format has labels.
        folder: where they are.
    """

    images: int
    codes: Mapping[str, int]
    folder: Path

    def __str__(self) -> str:
        codes = ", ".join(f"{name} = {code}" for name, code in self.codes.items())
        return f"marks of {counted(self.images, 'image')} in {self.folder}" + (f": {codes}" if codes else "")


def export_marks(
    study: Study,
    mark_set: str,
    out: Path | str,
    format: MarkFormat = "labels",
    *,
    author: str | None = None,
    track: Track = iter,
) -> ExportReport:
    """Write the marks of a set, one file for each image that has some, called like its case.

    ``labels``: TIFF for pictures, the format of the image for volumes; 0 unmarked, 1 to K the structures, K + 1 "none
    of these". ``nnunet``: ``labelsTr`` and ``dataset.json``; 0 is what someone marked as none of the structures, and
    all that is unmarked has the ignore label K + 1. ``geojson``: QuPath. ``label-studio``: a task with
    brushes, and a key point for each click that comes back as one to the bit.

    Args:
        study: the study.
        mark_set: which marks.
        out: a folder that is empty or not there.
        format: of the files.
        author: of the layer; None: all of them united.
        track: wraps the cases, to show progress.

    Raises:
        ConfigError: an unknown format, or a folder that holds something.
        StudyError: no such set, or a pixel that is marked as two structures where the format holds one.
        GeometryError: a volume for a format of pictures.
        StorageError: a file cannot be written.
    """
    out = Path(out)
    if format not in get_args(MarkFormat):
        raise ConfigError("unknown format", where="--format", found=format, expected=", ".join(get_args(MarkFormat)))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError("this folder holds something already", where=out, remedy="name a new one")
    names = (*study.structures, EXCLUDED)
    colours = {name: structure_colour(k) for k, name in enumerate(study.structures)} | {EXCLUDED: EXCLUSION}
    marked = set(study.marks.case_ids(mark_set))
    cases = [case for case in study.cases if case.id in marked]
    suffixes = set()
    for case in track(cases):
        if format in ("labels", "nnunet"):
            masks = study.marks.labels(case.id, mark_set, author)
            like = case.read()
            ending = suffix_of(case.image) if like.geometry is not None else (".tif" if format == "labels" else ".png")
            suffixes.add(ending)
            folder = out / "labelsTr" if format == "nnunet" else out
            labels = label_image(masks, names, like.space, case.id)
            write_label_image(
                folder / f"{case.id}{ending}", _ignored(labels, names) if format == "nnunet" else labels, like
            )
        else:
            _require_picture(case, format)
            if format == "geojson":
                ending, text = ".geojson", to_geojson(study.marks.labels(case.id, mark_set, author), colours)
            else:
                ending = ".json"
                text = to_label_studio(study.marks.marks_on(case.id, mark_set, author), case.image.name)
            write_text(out / f"{case.id}{ending}", json.dumps(text))
    if format == "nnunet":
        write_text(out / "dataset.json", json.dumps(_nnunet_dataset(study, len(cases), suffixes), indent=2))
        codes = {EXCLUDED: 0} | {name: k + 1 for k, name in enumerate(study.structures)} | {"unmarked": len(names)}
    else:
        codes = {name: k + 1 for k, name in enumerate(names)} if format == "labels" else {}
    return ExportReport(len(cases), codes, out)


def label_image(
    masks: Mapping[str, Bool[np.ndarray, "*space"]], names: tuple[str, ...], space: tuple[int, ...], case_id: str
) -> UInt8[np.ndarray, "*space"]:
    """One label for each pixel: 0 unmarked, else the place of the structure among the names, from 1.

    Raises:
        StudyError: a pixel is marked as two of them, or there are more than 254.

    Example:
        >>> label_image({"b": np.array([[False, True]])}, ("a", "b"), (1, 2), "case").tolist()
        [[0, 2]]
    """
    labels = np.zeros(space, np.uint8)
    if len(names) > 254:
        raise StudyError("a label image holds 254 structures at most", found=len(names))
    for number, name in enumerate(names, start=1):
        if name not in masks:
            continue
        twice = masks[name] & (labels > 0)
        if twice.any():
            other = names[int(labels[twice][0]) - 1]
            raise StudyError(
                "a pixel is marked as two structures, and a label image holds one",
                where=f"case '{case_id}'",
                found=f"{int(twice.sum())} pixels as {other} and {name}",
                remedy="erase one of the marks, export one author alone, or export geojson or label-studio",
            )
        labels[masks[name]] = number
    return labels


def _ignored(labels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """The labels of nnU-Net: marked as none of these is background, unmarked is ignored."""
    excluded = len(names)
    return np.where(labels == 0, excluded, np.where(labels == excluded, 0, labels)).astype(np.uint8)


def _nnunet_dataset(study: Study, count: int, suffixes: set[str]) -> dict[str, Any]:
    labels = {"background": 0} | {name: k + 1 for k, name in enumerate(study.structures)}
    channels = ["image"] if study.settings.image.channels == 1 else ["R", "G", "B"]
    return {
        "channel_names": {str(k): name for k, name in enumerate(channels)},
        "labels": labels | {"ignore": len(study.structures) + 1},
        "numTraining": count,
        "file_ending": min(suffixes, default=".png"),
    }


def _require_picture(case: Case, format: str) -> None:
    if suffix_of(case.image) in VOLUMES:
        raise GeometryError(f"{format} holds pictures, no volumes", where=case.image, remedy="export labels or nnunet")
