"""Cells of a clinic's table: what each shows, and why it cannot be used where it cannot."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallymark.errors import StudyError


@dataclass(frozen=True)
class Cell:
    """What a cell shows.

    Args:
        where: file, sheet, row and column, as an error names them.
        shown: the text as shown, without blanks around it; empty for an empty cell.
        number: the number as shown, where the cell holds a number and not a text; 12.3 for 0.123 shown as 12.3 %.
        suffix: what the number's format shows behind it, for example ``%`` or ``mm2``.
        fault: why the content cannot be used; empty if it can.
        remedy: against the fault.
    """

    where: str
    shown: str = ""
    number: float | None = None
    suffix: str = ""
    fault: str = ""
    remedy: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing at all is in it."""
        return not self.shown and not self.fault

    def refuse(self) -> None:
        """Raise what is wrong with the cell, if anything.

        Raises:
            StudyError: the cell holds nothing that can be used.

        Example:
            >>> Cell("kept.xlsx, row 2", "#DIV/0!", fault="this is an error of the spreadsheet").refuse()
            Traceback (most recent call last):
            ...
            tallymark.errors.StudyError: kept.xlsx, row 2: this is an error of the spreadsheet; found '#DIV/0!'
        """
        if self.fault:
            found = repr(self.shown) if self.shown else None
            raise StudyError(self.fault, where=self.where, found=found, remedy=self.remedy or None)


@dataclass(frozen=True)
class Grid:
    """A sheet before its header is found.

    Args:
        where: file and sheet.
        rows: cells from the first column on, by the number of the row; rows without content are absent.
        merged: merged ranges: first row, first column, last row, last column (columns from 0).
        hidden: numbers of hidden rows.
        notes: what a reader of the preview should know.
    """

    where: str
    rows: Mapping[int, Sequence[Cell]]
    merged: Sequence[tuple[int, int, int, int]] = ()
    hidden: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()

    def merge_at(self, row: int, column: int) -> tuple[int, int, int, int] | None:
        """The merged range that a cell lies in."""
        for first_row, first_column, last_row, last_column in self.merged:
            if first_row <= row <= last_row and first_column <= column <= last_column:
                return first_row, first_column, last_row, last_column
        return None

    def name_at(self, row: int, column: int) -> str:
        """The text of a header cell; a cell merged over several rows names its column in each of them."""
        merge = self.merge_at(row, column)
        if merge is not None and merge[1] == merge[3] == column:
            row = merge[0]
        cells = self.rows.get(row, ())
        return clean(cells[column].shown) if column < len(cells) else ""


def clean(text: str) -> str:
    r"""A text without what cannot be seen: blanks around it, doubled, unbreakable or of no width.

    Example:
        >>> clean(" fat\u00a0\n% \ufeff")
        'fat %'
    """
    visible = re.sub("[\u200b-\u200d\u2060\ufeff]", "", unicodedata.normalize("NFC", text))
    return " ".join(visible.split())


def column_letter(column: int) -> str:
    """The letter of a column, counted from 0.

    Example:
        >>> column_letter(0), column_letter(25), column_letter(26)
        ('A', 'Z', 'AA')
    """
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
