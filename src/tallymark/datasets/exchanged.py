"""Marks from QuPath and Label Studio: one document for each case, whose classes are the study's structures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tallymark.data.images import image_space
from tallymark.data.marks import EXCLUDED
from tallymark.data.study import Study
from tallymark.datasets.geojson_marks import from_geojson
from tallymark.datasets.label_marks import LabelMarksReport, Pixels, add_marks, require_new_set
from tallymark.datasets.label_studio import from_label_studio
from tallymark.datasets.labelled import require_folder
from tallymark.datasets.pairs import Track
from tallymark.errors import ConfigError, ReadError, StudyError

_Reader = Callable[[Any, tuple[int, int], object], dict[str, np.ndarray]]
READERS: dict[str, tuple[str, _Reader]] = {
    "geojson": (".geojson", from_geojson),
    "label-studio": (".json", from_label_studio),
}
"""Suffix of the files and their reader, by format."""


def import_documents(
    study: Study, folder: Path | str, mark_set: str, format: str, *, author: str = "", track: Track = iter
) -> LabelMarksReport:
    """Take documents as a new set of real marks, all of them or none.

    Args:
        study: whose cases are marked; its images are pictures.
        folder: with one file for each marked case, called like it.
        mark_set: what to call the set; there must be none of this name.
        format: one of :data:`READERS`.
        author: who marked.
        track: wraps the files, to show progress.

    Returns:
        What was stored.

    Raises:
        ConfigError: an unknown format.
        StudyError: no file, a file of no case, a class that is no structure of the study, a set of this name.
        ReadError: a file cannot be read.
        GeometryError: marks made on an image of another size.
    """
    folder = Path(folder)
    if format not in READERS:
        raise ConfigError("unknown format", where="--format", found=format, expected=", ".join(READERS))
    suffix, read = READERS[format]
    require_folder(folder, "the folder of the marks", "name the folder that holds them")
    require_new_set(study.marks, mark_set)
    paths = sorted(folder.glob(f"*{suffix}"))
    if not paths:
        raise StudyError("no marks are in this folder", where=folder, expected=f"files ending in {suffix}")
    names = (*study.structures, EXCLUDED)
    marks: list[Pixels] = []
    for path in track(paths):
        case = study.case(path.name[: -len(suffix)])
        space = image_space(case.image)
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ReadError("this is not a JSON file", where=path, found=str(error)[:120]) from error
        if len(space) != 2:
            raise ConfigError("this format holds pictures, no volumes", where=path, found=f"{len(space)} axes")
        for name, mask in read(document, (space[0], space[1]), path).items():
            if name not in names:
                expected = ", ".join(names)
                raise StudyError("unknown structure", where=path, found=repr(name), expected=expected)
            if mask.any():
                marks.append(Pixels(case.id, name, mask.shape, np.flatnonzero(mask)))
    add_marks(study, mark_set, marks, author=author)
    return LabelMarksReport(
        mark_set=mark_set,
        images=len(paths),
        marked=len({mark.case_id for mark in marks}),
        structures={name: count for name in names if (count := sum(mark.structure == name for mark in marks))},
        without_file=len(study.cases) - len(paths),
    )
