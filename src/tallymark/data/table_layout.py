"""Where in a clinic's table stands what, as it was said and not guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tallymark.data.quantities import Decimal
from tallymark.data.spreadsheet import Hidden, Row
from tallymark.data.table_cells import clean
from tallymark.errors import ConfigError, StudyError

Level = Literal["image", "group"]


@dataclass(frozen=True)
class TableLayout:
    """Where in a table stands what.

    Args:
        id: the column that names the image, or a pattern of several: ``{patient}_{side}``. At the level of groups and
            without another ``group``: the column that names the group.
        value: the column of the numbers.
        group: the column that names the patient; None: every image is a patient of its own.
        groups: a second table, which says of which group each image is: columns ``id`` and ``group``.
        level: whether a number is of one image or of all images of a group together.
        sheet: of a workbook.
        header: row of the header.
        hidden: whether hidden rows count.
        decimal: what a comma or a point in a text means.
        missing: texts that stand for "not kept".
        ids_as_numbers: take 7 for 007.

    Example:
        >>> TableLayout(id="{patient}_{side}", value="fat").id_columns
        ('patient', 'side')
        >>> TableLayout(id="patient", value="total", group="patient", level="group").by_group
        True
    """

    id: str
    value: str
    group: str | None = None
    groups: Path | None = None
    level: Level = "image"
    sheet: str | None = None
    header: int | None = None
    hidden: Hidden | None = None
    decimal: Decimal | None = None
    missing: tuple[str, ...] = ()
    ids_as_numbers: bool = False

    @property
    def by_group(self) -> bool:
        """Whether a row is of a whole group, and names no image."""
        return _by_group(self.id, self.group, self.level)

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The columns that make up an id."""
        return _columns_of(self.id)

    def id_of(self, row: Row) -> str:
        """The id in a row.

        Raises:
            StudyError: a cell of it is empty or cannot be used.
        """
        what = "group" if self.by_group else "image"
        parts = {name: _said(row, name, what) for name in self.id_columns}
        if self.id in parts:
            return parts[self.id]
        return re.sub(r"\{([^{}]+)\}", lambda match: parts[match[1]], self.id)

    def group_of(self, row: Row) -> str:
        """The group in a row; empty if no column names it.

        Raises:
            StudyError: the cell is empty or cannot be used.
        """
        if self.by_group:
            return self.id_of(row)
        return "" if self.group is None else _said(row, self.group, "group")

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read.

        Raises:
            ConfigError: one is named for two purposes.
        """
        return named_columns(self.id, self.value, self.group, self.level)


def named_columns(id: str | None, value: str | None, group: str | None, level: Level) -> tuple[str, ...]:
    """All columns that were named so far; the arguments are those of :class:`TableLayout`, None: not yet named.

    Raises:
        ConfigError: one is named for two purposes.

    Example:
        >>> named_columns("{patient}_{side}", None, None, "image"), named_columns("patient", "fat", "patient", "group")
        (('patient', 'side'), ('patient', 'fat'))
    """
    beside = None if _by_group(id, group, level) else group
    named = [clean(name) for name in (*(_columns_of(id) if id else ()), value, beside) if name]
    if len(set(named)) < len(named):
        raise ConfigError(
            "a column is named twice",
            where="--id, --value, --group",
            found=", ".join(named),
            remedy="name one for each purpose",
        )
    return tuple(named)


def _columns_of(id: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\{([^{}]+)\}", id)) or (id,)


def _by_group(id: str | None, group: str | None, level: Level) -> bool:
    return level == "group" and group in (None, id)


def _said(row: Row, column: str, what: str) -> str:
    """What a cell shows, which must be something."""
    cell = row.cells[clean(column)]
    cell.refuse()
    if not cell.shown:
        raise StudyError(f"this row does not say its {what}", where=row.where, remedy="fill the cell in")
    return cell.shown
