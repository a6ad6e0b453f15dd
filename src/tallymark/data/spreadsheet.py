"""Reading a clinic's table, Excel or CSV, cell by cell, so that nothing about it has to be guessed.

A cell keeps how it is shown, because that is what its author saw: 0.123 formatted as ``0.0%`` is 12.3 with the sign
%, and 7 formatted as ``000`` is 007. Cells that hold no honest content (an error, a date where Excel made one, a
formula that was never computed, a part of a merged cell) say so and are refused by whoever needs them.
Rows are counted as the spreadsheet program shows them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tallymark.data.spreadsheet_files import read_grids
from tallymark.data.table_cells import Cell, Grid, clean, column_letter
from tallymark.errors import ConfigError, StudyError

Hidden = Literal["include", "skip"]

_HEADER_ROWS = 30  # a header that stands lower than this has to be pointed to


@dataclass(frozen=True)
class Row:
    """A row of data.

    Args:
        number: as the spreadsheet program counts.
        where: file, sheet and row.
        cells: by column name, of the columns that were asked for.
    """

    number: int
    where: str
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Sheet:
    """The rows under a header.

    Args:
        where: file and sheet.
        header: number of the header's row.
        columns: names of all columns.
        rows: those in which any of the columns asked for is filled.
        notes: what a reader of the preview should know.
    """

    where: str
    header: int
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Table:
    r"""A table of which it is not said yet what its columns mean.

    Args:
        grids: the sheet, or, of a text table, every way to cut it into cells.
        header: row of the header; None: only one row near the top holds all the names.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "kept.csv"
        >>> _ = path.write_text("Fat study 2019\nimage;fat %\na;12,3\n", encoding="utf-8")
        >>> Table.open(path).columns
        ('image', 'fat %')
    """

    grids: tuple[Grid, ...]
    header: int | None = None

    @classmethod
    def open(cls, path: Path | str, *, sheet: str | None = None, header: int | None = None) -> Table:
        """Open a table; the arguments and the errors are those of :func:`read_sheet`."""
        return cls(tuple(read_grids(Path(path), sheet)), header)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names that a person would choose from; which row is the header, the names that are chosen decide."""
        return tuple(name for name in _names(*_likely_header(self.grids, (), self.header)) if name)

    def holding(self, columns: Sequence[str]) -> list[tuple[Grid, list[int]]]:
        """The sheets that hold all these columns, each with the rows that could be the header.

        Raises:
            StudyError: a column is in none.
        """
        wanted = [clean(name) for name in columns]
        found = [(grid, rows) for grid in self.grids if (rows := _header_rows(grid, wanted, self.header))]
        if not found:
            raise _missing_column(self.grids, wanted, self.header)
        return found


def read_sheet(
    path: Path | str,
    columns: Sequence[str],
    *,
    sheet: str | None = None,
    header: int | None = None,
    hidden: Hidden | None = None,
) -> Sheet:
    r"""Read the named columns of a table.

    Args:
        path: an Excel workbook (.xlsx, .xlsm) or a text table (comma, semicolon, tab or | between the cells); its
            content decides, not its suffix.
        columns: names as in the header, at least one.
        sheet: of a workbook; may be left away where only one visible sheet is filled.
        header: row of the header; may be left away where only one row near the top holds all the names.
        hidden: whether rows that the workbook hides count; has to be said where there are any.

    Returns:
        The rows.

    Raises:
        ReadError: missing, empty, protected, of an old or foreign kind, or damaged.
        ConfigError: no such sheet, or which sheet or header is meant has to be said.
        StudyError: a column is missing, there twice or merged with another; a row does not fit the header; hidden rows.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "kept.csv"
        >>> _ = path.write_text("Fat study 2019\nimage;fat %\na;12,3\n", encoding="utf-8")
        >>> sheet = read_sheet(path, ["image", "fat %"])
        >>> sheet.header, [cell.shown for cell in sheet.rows[0].cells.values()]
        (2, ['a', '12,3'])
    """
    wanted = [clean(name) for name in dict.fromkeys(columns)]
    found = Table.open(path, sheet=sheet, header=header).holding(wanted)
    # Of several ways to cut a text into cells the one with the most cells under the names is the one that was meant.
    grid, rows = max(found, key=lambda entry: _width(entry[0]))
    if len(rows) > 1:
        raise ConfigError(
            "several rows could be the header",
            where=grid.where,
            found=f"rows {', '.join(map(str, rows))}",
            remedy="say which with --header ROW",
        )
    places = _places(grid, rows[0], wanted)
    return _below(grid, rows[0], places, hidden)


def _width(grid: Grid) -> int:
    return max((len(cells) for cells in grid.rows.values()), default=0)


def _names(grid: Grid, row: int) -> list[str]:
    # A name merged over two rows counts in the lower one too, whose own list of cells may be shorter.
    above = max((merge[3] + 1 for merge in grid.merged if merge[0] < row <= merge[2]), default=0)
    return [grid.name_at(row, column) for column in range(max(len(grid.rows.get(row, ())), above))]


def _header_rows(grid: Grid, wanted: Sequence[str], header: int | None) -> list[int]:
    candidates = list(grid.rows)[:_HEADER_ROWS] if header is None else [header]
    return [row for row in candidates if set(wanted) <= set(_names(grid, row))]


def _likely_header(grids: Sequence[Grid], wanted: Sequence[str], header: int | None) -> tuple[Grid, int]:
    """The sheet and the row that a person would call the header: with the most of the names asked for, then with the
    most names at all, which have a letter as a rule where numbers have none; of equal ones the first.
    """

    def names(place: tuple[Grid, int]) -> tuple[int, int]:
        found = _names(*place)
        return len(set(wanted) & set(found)), sum(any(c.isalpha() for c in name) for name in found)

    rows = ((grid, row) for grid in grids for row in (list(grid.rows)[:_HEADER_ROWS] if header is None else [header]))
    return max(rows, key=names)


def _missing_column(grids: Sequence[Grid], wanted: Sequence[str], header: int | None) -> StudyError:
    grid, row = _likely_header(grids, wanted, header)
    names = [name for name in _names(grid, row) if name]
    missing = next(name for name in wanted if name not in names)
    lowered = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(missing.casefold(), lowered, n=1)
    hint = f"name the column as in the header ('{lowered[near[0]]}'?)" if near else "name a column of the header"
    return StudyError(
        f"there is no column '{missing}'",
        where=f"{grid.where}, row {row}",
        found=", ".join(names) or "no names",
        remedy=f"{hint}, or say with --header ROW where the header is",
    )


def _places(grid: Grid, header: int, wanted: Sequence[str]) -> dict[str, int]:
    """The column of each name."""
    names = _names(grid, header)
    places = {}
    for name in wanted:
        columns = [column for column, other in enumerate(names) if other == name]
        if len(columns) > 1:
            raise StudyError(
                f"the column '{name}' is there {'twice' if len(columns) == 2 else f'{len(columns)} times'}",
                where=f"{grid.where}, row {header}",
                found=f"columns {', '.join(column_letter(column) for column in columns)}",
                remedy="rename all but one of them",
            )
        merge = grid.merge_at(header, columns[0])
        if merge is not None and merge[1] != merge[3]:
            raise StudyError(
                f"the header '{name}' is merged over several columns, so that it names none of them",
                where=f"{grid.where}, row {header}",
                found=f"{column_letter(merge[1])}{merge[0]}:{column_letter(merge[3])}{merge[2]}",
                remedy="unmerge it and give every column a name of its own",
            )
        places[name] = columns[0]
    return places


def _below(grid: Grid, header: int, places: Mapping[str, int], hidden: Hidden | None) -> Sheet:
    """The filled rows under the header."""
    names = _names(grid, header)
    rows = []
    unseen = []
    for number, cells in grid.rows.items():
        if number <= header:
            continue
        where = f"{grid.where}, row {number}"
        if any(not cell.empty for cell in cells[len(names) :]):
            raise StudyError(
                "this row has more cells than the header",
                where=where,
                found=f"{len(cells)} cells",
                expected=f"{len(names)}",
                remedy="name every column; in a comma-separated file write a point, not a comma, into numbers, "
                'or put texts that hold a comma into "double quotes"',
            )
        kept = {}
        for name, column in places.items():
            place = f"{where}, column {name} ({column_letter(column)})"
            cell = cells[column] if column < len(cells) else Cell(place)
            merge = grid.merge_at(number, column)
            if merge is not None and (number, column) != merge[:2]:
                span = f"{column_letter(merge[1])}{merge[0]}:{column_letter(merge[3])}{merge[2]}"
                cell = Cell(
                    place,
                    fault=f"this cell is a part of the merged cell {span}, so that it holds nothing itself",
                    remedy="unmerge it and write the content into every row it is meant for",
                )
            kept[name] = replace(cell, where=place)
        if all(cell.empty for cell in kept.values()):
            continue
        if number in grid.hidden:
            unseen.append(number)
            if hidden == "skip":
                continue
        rows.append(Row(number, where, kept))
    if unseen and hidden is None:
        raise StudyError(
            "this sheet hides rows (a filter?)",
            where=f"{grid.where}, row {unseen[0]}",
            found=f"{len(unseen)} hidden rows with content",
            remedy="say whether they count, with --hidden include or --hidden skip, or show them",
        )
    if not rows:
        remedy = "fill rows in, or say with --header ROW where the header is"
        raise StudyError("there is no row of data under the header", where=f"{grid.where}, row {header}", remedy=remedy)
    notes = (*grid.notes, f"{len(unseen)} hidden rows: {hidden}") if unseen else grid.notes
    return Sheet(grid.where, header, tuple(name for name in names if name), tuple(rows), notes)
