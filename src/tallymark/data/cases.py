"""``cases.csv``: which images a study has, which belong to one patient, and which split each is in."""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from tallymark.data.images import Image, file_sha256, read_image
from tallymark.data.settings import SPLITS
from tallymark.data.tables import read_table
from tallymark.errors import GeometryError, ReadError, StudyError

COLUMNS = ("id", "image", "sha256", "group", "split", "stratum", "spacing")

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # file names that Windows refuses


@dataclass(frozen=True)
class Case:
    """One image of a study.

    Args:
        id: names the case everywhere, also in the file names of predictions.
        image: absolute path; originals stay where they are.
        sha256: of the image file; empty only before :meth:`Study.create` has seen it.
        group: patient, or whatever else must not be on two sides of a split.
        split: one of :data:`SPLITS`.
        stratum: cases are dealt to splits evenly within each; may be empty.
        spacing: mm per axis, (plane,) row, column; None = unknown. It is what counts, whatever the image file says:
            headers hold placeholders.
    """

    id: str
    image: Path
    sha256: str = ""
    group: str = ""
    split: str = ""
    stratum: str = ""
    spacing: tuple[float, ...] | None = None

    def read(self) -> Image:
        """Decode the image.

        Returns:
            The image with the spacing of the case.

        Raises:
            ReadError: it cannot be decoded, or its content is not what it was when the study was made.
            GeometryError: the spacing of the case does not have one value per axis.
        """
        found = file_sha256(self.image)
        if found != self.sha256:
            raise ReadError(
                f"the image of the case '{self.id}' has changed since the study was made",
                where=self.image,
                found=f"SHA-256 {found[:12]}...",
                expected=f"{self.sha256[:12]}...",
                remedy="put the original back, or make the study again from the new images",
            )
        image = read_image(self.image)
        if self.spacing is not None and len(self.spacing) != len(image.space):
            raise GeometryError(
                f"the spacing of the case '{self.id}' does not fit its image",
                where=self.image,
                found=f"{len(self.spacing)} values",
                expected=f"{len(image.space)}",
            )
        return replace(image, spacing=self.spacing)


def read_cases(path: Path, dimension: int) -> tuple[Case, ...]:
    """Read and check ``cases.csv``.

    Args:
        path: the table; its folder is what relative image paths start from.
        dimension: number of axes of the study's images.

    Returns:
        The cases in the order of the table.

    Raises:
        ReadError: the file cannot be read.
        StudyError: an id that is not safe or occurs twice, an unknown split, a group in two splits, a wrong spacing
            or digest; the row is named.
    """
    table = read_table(path, ("id", "image", "sha256", "group", "split"), ("stratum", "spacing"))
    folder = path.parent.resolve()
    wheres = [f"{path}, row {row}" for row in table.index]
    cases = []
    for where, (name, image, sha256, group, split, stratum, spacing) in zip(
        wheres, table[list(COLUMNS)].itertuples(index=False, name=None), strict=True
    ):
        if not image:
            raise StudyError("the image is missing", where=f"{where}, column image")
        case = Case(name, (folder / image).resolve(), sha256, group, split, stratum, parse_spacing(spacing, where))
        cases.append(case)
    check_cases(cases, wheres, dimension)
    return tuple(cases)


def cases_table(cases: Sequence[Case], folder: Path) -> pd.DataFrame:
    """The table that :func:`read_cases` reads back from ``folder``.

    Args:
        cases: what to store.
        folder: the study folder; paths are stored relative to it, except those on another drive.

    Returns:
        One row per case.
    """
    rows = [
        (
            case.id,
            stored_path(case.image, folder),
            case.sha256,
            case.group,
            case.split,
            case.stratum,
            " ".join(repr(float(edge)) for edge in case.spacing or ()),
        )
        for case in cases
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


def check_cases(cases: Sequence[Case], wheres: Sequence[str], dimension: int) -> None:
    """Refuse cases that contradict themselves or each other.

    Args:
        cases: to be checked.
        wheres: what to call each in an error.
        dimension: number of axes of the study's images.

    Raises:
        StudyError: the first fault found.
    """
    if not cases:
        raise StudyError("the study has no cases", where=wheres[0] if wheres else None)
    seen: dict[str, str] = {}
    split_of: dict[str, tuple[str, str]] = {}
    for case, where in zip(cases, wheres, strict=True):
        _check_id(case.id, f"{where}, column id")
        # Some file systems hold a.png and A.png, or an accented letter in its two encodings, for the same file.
        key = unicodedata.normalize("NFC", case.id).casefold()
        if key in seen:
            raise StudyError(
                "this id occurs twice", where=f"{where}, column id", found=f"'{case.id}', as in {seen[key]}"
            )
        seen[key] = where
        if not re.fullmatch("[0-9a-f]{64}", case.sha256):
            expected = "64 hexadecimal digits"
            raise StudyError("no SHA-256", where=f"{where}, column sha256", found=repr(case.sha256), expected=expected)
        if case.split not in SPLITS:
            expected = ", ".join(SPLITS)
            raise StudyError("unknown split", where=f"{where}, column split", found=repr(case.split), expected=expected)
        if not case.group:
            raise StudyError(
                "the group is missing",
                where=f"{where}, column group",
                remedy="name the patient, or repeat the id where every image is of another patient",
            )
        other, before = split_of.setdefault(case.group, (case.split, where))
        if other != case.split:
            raise StudyError(
                f"the group '{case.group}' is in two splits",
                where=f"{where}, column split",
                found=f"{case.split}, but {other} in {before}",
                remedy="put all cases of a group into one split",
            )
        if case.spacing is not None and (
            len(case.spacing) != dimension or not all(0 < edge < math.inf for edge in case.spacing)
        ):
            found = " ".join(f"{edge:g}" for edge in case.spacing)
            raise StudyError(
                "the spacing does not fit",
                where=f"{where}, column spacing",
                found=repr(found),
                expected=f"{dimension} edges in mm, {'plane, ' if dimension == 3 else ''}row, column; empty if unknown",
            )


def stored_path(path: Path, folder: Path) -> str:
    """How a table of the study in ``folder`` names a file: relative where possible, with forward slashes.

    Example:
        >>> stored_path(Path("/data/images/a.png"), Path("/data/study"))
        '../images/a.png'
    """
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def parse_spacing(cell: str, where: str) -> tuple[float, ...] | None:
    """A cell of the column ``spacing``: mm per axis, with blanks between; None where it is empty.

    Raises:
        StudyError: not numbers; ``where`` is named.
    """
    try:
        return tuple(float(edge) for edge in cell.split()) or None
    except ValueError:
        raise StudyError(
            "the spacing is not a list of numbers",
            where=f"{where}, column spacing",
            found=repr(cell),
            expected="edges in mm between spaces, for example '0.8 0.8'; empty if unknown",
        ) from None


def _check_id(name: str, where: str) -> None:
    """An id names files on every system, so it holds nothing that one of them refuses."""
    wrong = sorted({c for c in name if c in '/\\:*?"<>|' or not c.isprintable()})
    if not name or wrong or name != name.strip() or name.endswith(".") or name.startswith("."):
        expected = 'an id without / \\ : * ? " < > |, that neither starts nor ends with a space or a point'
        raise StudyError("this id cannot name a file", where=where, found=repr(name), expected=expected)
    if len(name.encode()) > 200 or _RESERVED.fullmatch(name):
        raise StudyError(
            "this id cannot name a file", where=where, found=repr(name), remedy="choose a shorter or another one"
        )
