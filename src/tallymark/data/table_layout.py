"""Where in a clinic's table stands what, as it was said and not guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tallymark.data.quantities import Decimal
from tallymark.data.spreadsheet import Hidden, Row
from tallymark.data.table_cells import clean
from tallymark.errors import ConfigError

Level = Literal["image", "group"]


@dataclass(frozen=True)
class TableLayout:
    """Where in a table stands what.

    Args:
        id: the column that names the image, or a pattern of several: ``{patient}_{side}``. At the level of groups and
            without ``group``: the column that names the group.
        value: the column of the numbers.
        group: the column that names the patient; None: every image is a patient of its own.
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
    """

    id: str
    value: str
    group: str | None = None
    level: Level = "image"
    sheet: str | None = None
    header: int | None = None
    hidden: Hidden | None = None
    decimal: Decimal | None = None
    missing: tuple[str, ...] = ()
    ids_as_numbers: bool = False

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The columns that make up an id."""
        return tuple(re.findall(r"\{([^{}]+)\}", self.id)) or (self.id,)

    def id_of(self, row: Row) -> str:
        """The id in a row; empty if any part of it is.

        Raises:
            StudyError: a cell of it cannot be used.
        """
        parts = {}
        for name in self.id_columns:
            cell = row.cells[clean(name)]
            cell.refuse()
            parts[name] = cell.shown
        if not all(parts.values()):
            return ""
        if self.id in parts:
            return parts[self.id]
        return re.sub(r"\{([^{}]+)\}", lambda match: parts[match[1]], self.id)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read.

        Raises:
            ConfigError: one is named for two purposes.
        """
        named = [clean(name) for name in (*self.id_columns, self.value, *([self.group] if self.group else []))]
        if len(set(named)) < len(named):
            raise ConfigError(
                "a column is named twice",
                where="--id, --value, --group",
                found=", ".join(named),
                remedy="name one for each purpose",
            )
        return tuple(named)
