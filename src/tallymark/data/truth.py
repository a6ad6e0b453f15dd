"""``truth.csv``: full masks, for those who may look: ``weaken``, ``evaluate`` and the supervised recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool

from tallymark.data.cases import Case, stored_path
from tallymark.data.images import file_sha256, image_space, read_mask
from tallymark.data.tables import read_table
from tallymark.errors import GeometryError, ReadError, StudyError

COLUMNS = ("id", "structure", "path", "codes", "sha256")


@dataclass(frozen=True)
class TruthRow:
    """A file that holds a mask, or a part of one.

    Args:
        id: of the case.
        structure: what the mask shows.
        path: absolute path of the file.
        codes: the labels in the file that belong to the structure; empty for a binary mask.
        sha256: of the file; empty where it was not noted.
    """

    id: str
    structure: str
    path: Path
    codes: tuple[int, ...] = ()
    sha256: str = ""


class Truth:
    """The full masks of a study, decoded one at a time when asked for.

    Args:
        path: ``truth.csv``.
        case_ids: of the study.
        structures: of the study.

    Raises:
        ReadError: the table cannot be read.
        StudyError: an unknown id, structure or code; the row is named.
    """

    def __init__(self, path: Path, case_ids: Collection[str], structures: Collection[str]) -> None:
        self.path = path
        self._rows: dict[tuple[str, str], list[TruthRow]] = {}
        if not path.exists():
            raise StudyError(
                "this study has no full masks",
                where=path,
                remedy="import it with masks, or leave away what needs them: numbers and marks train without",
            )
        table = read_table(path, ("id", "structure", "path"), ("codes", "sha256"))
        folder = path.parent.resolve()
        for row, (name, structure, file, codes, sha256) in zip(
            table.index, table[list(COLUMNS)].itertuples(index=False, name=None), strict=True
        ):
            where = f"{path}, row {row}"
            check_truth_names(name, structure, where, case_ids, structures)
            parsed = _parse_codes(codes, f"{where}, column codes")
            entry = TruthRow(name, structure, (folder / file).resolve(), parsed, sha256)
            self._rows.setdefault((name, structure), []).append(entry)

    def has(self, case_id: str, structure: str) -> bool:
        """Whether there is a mask of this structure, empty or not."""
        return (case_id, structure) in self._rows

    def rows(self, case_id: str, structure: str) -> tuple[TruthRow, ...]:
        """The files whose union is the mask.

        Raises:
            StudyError: there is none. That is not the same as an empty mask.
        """
        if not self.has(case_id, structure):
            raise StudyError(
                f"there is no full mask of '{structure}' for the case '{case_id}'",
                where=self.path,
                remedy="add a row with its file; the file of an empty mask is all zero",
            )
        return tuple(self._rows[case_id, structure])

    def mask(self, case: Case, structure: str) -> Bool[np.ndarray, "*space"]:
        """The full mask of a structure.

        Args:
            case: of the study.
            structure: of the study.

        Returns:
            The union of all files of this case and structure, at the original size of the image.

        Raises:
            StudyError: there is none.
            ReadError: a file cannot be read, or is not what it was when the study was made.
            GeometryError: a mask does not have the shape of its image.
        """
        space = image_space(case.image)
        union = np.zeros(space, bool)
        for row in self.rows(case.id, structure):
            if row.sha256 and file_sha256(row.path) != row.sha256:
                raise ReadError(
                    f"the mask of the case '{case.id}' has changed since the study was made",
                    where=row.path,
                    remedy="put the original back, or make the study again from the new masks",
                )
            mask = read_mask(row.path, row.codes or None)
            if mask.shape != space:
                raise GeometryError(
                    "the mask does not have the shape of its image",
                    where=row.path,
                    found=mask.shape,
                    expected=f"{space} as {case.image}",
                    remedy="export the mask at the size of the image",
                )
            union |= mask
        return union

    def fingerprint(self, case_id: str, structure: str) -> str:
        """A digest that changes when the files of this mask change.

        Raises:
            StudyError: there is no such mask.
        """
        digest = hashlib.sha256()
        for row in self.rows(case_id, structure):
            digest.update(f"{row.sha256 or file_sha256(row.path)} {row.codes}\n".encode())
        return digest.hexdigest()


def truth_table(rows: Iterable[TruthRow], folder: Path) -> pd.DataFrame:
    """The table that :class:`Truth` reads back from ``folder``.

    Args:
        rows: what to store.
        folder: the study folder; paths are stored relative to it where possible.

    Returns:
        One row per file.
    """
    cells = [
        (row.id, row.structure, stored_path(row.path, folder), " ".join(str(code) for code in row.codes), row.sha256)
        for row in rows
    ]
    return pd.DataFrame(cells, columns=list(COLUMNS), dtype=object)


def check_truth_names(
    name: str, structure: str, where: str, case_ids: Collection[str], structures: Collection[str]
) -> None:
    """Refuse a row of an unknown case or structure.

    Raises:
        StudyError: with ``where`` and the column.
    """
    if name not in case_ids:
        raise StudyError("no such id of a case in cases.csv", where=f"{where}, column id", found=repr(name))
    if structure not in structures:
        expected = ", ".join(structures)
        raise StudyError(
            "unknown structure", where=f"{where}, column structure", found=repr(structure), expected=expected
        )


def _parse_codes(cell: str, where: str) -> tuple[int, ...]:
    try:
        return tuple(int(code) for code in cell.split())
    except ValueError:
        raise StudyError(
            "the codes are not whole numbers", where=where, found=repr(cell), expected="labels between spaces, or empty"
        ) from None
