"""Files that an import makes inside a study folder: all of them, or none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pandas as pd

from tallymark.data.atomic import storage_error, write_text
from tallymark.data.tables import write_table
from tallymark.errors import StudyError

IMAGES, TRUTH, SOURCES = "images", "truth", "sources.csv"
_UNFINISHED = ".importing"


@dataclass(frozen=True)
class Source:
    """Where a plane that was written as an image of its own comes from; a row of ``sources.csv``.

    Args:
        id: of the case.
        image: path of the volume, as the table of cases would store it.
        image_sha256: its digest.
        labels: path of its labels.
        labels_sha256: their digest.
        axis: the axis of the file that planes lie on, counted from 0 as NIfTI counts them.
        slice: which plane, counted from 0 in the order of the file.
    """

    id: str
    image: str
    image_sha256: str
    labels: str
    labels_sha256: str
    axis: int
    slice: int


@contextmanager
def derived_files(study: Path) -> Iterator[None]:
    """Make ``images/``, ``truth/`` and ``sources.csv`` in a study folder, and the study with them, in this block.

    If the block fails, what it made is removed. If it is killed, the next import into this folder removes it: a file
    says until the end that the import is under way.

    Args:
        study: the study folder; made if missing.

    Raises:
        StudyError: the folder has such files already, and no import that was killed left them there.
        StorageError: the folder cannot be written.
    """
    unfinished = study / _UNFINISHED
    if unfinished.exists():
        _remove(study)
    for name in (IMAGES, TRUTH, SOURCES):
        if (study / name).exists():
            raise StudyError(
                "the files of this import would lie among others",
                where=study / name,
                expected="a folder without it",
                remedy="choose a new folder for the study",
            )
    try:
        write_text(unfinished, "An import is under way here, or was killed.\n")
        for name in (IMAGES, TRUTH):
            (study / name).mkdir()
        yield
        unfinished.unlink()
    except BaseException as error:
        with suppress(OSError):
            _remove(study)
            study.rmdir()  # only if nothing else is in it
        if isinstance(error, OSError):
            raise storage_error(study, error) from error
        raise


def write_sources(study: Path, sources: Sequence[Source]) -> None:
    """Write ``sources.csv``.

    Raises:
        StorageError: it cannot be written.
    """
    columns = [field.name for field in fields(Source)]
    write_table(study / SOURCES, pd.DataFrame([astuple(source) for source in sources], columns=columns, dtype=object))


def _remove(study: Path) -> None:
    for name in (IMAGES, TRUTH):
        shutil.rmtree(study / name, ignore_errors=True)
    for name in (SOURCES, _UNFINISHED):
        (study / name).unlink(missing_ok=True)
