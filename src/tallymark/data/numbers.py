"""``statistics.csv``: the numbers that were kept, as they were kept, and the ones simulated from masks."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tallymark.data.tables import read_table, write_table
from tallymark.errors import StudyError
from tallymark.measure.definition import Statistic

RECORDED = "recorded"
"""The variant of the numbers that a clinic kept; every other variant is simulated."""

COLUMNS = ("level", "id", "statistic", "structure", "value", "low", "high", "variant")
LEVELS = ("image", "group")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Number:
    """A kept number in the canonical unit of its statistic; NaN for what was not kept.

    Args:
        value: the number.
        low: lower end of the interval it lies in.
        high: upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class NumberRow:
    """A row of ``statistics.csv``, in the unit of the table.

    Args:
        id: of the case, or of the group where ``level`` is ``"group"``.
        statistic: its name.
        value: NaN if only an interval, or nothing, was kept.
        low: lower end of the interval; NaN if none was kept.
        high: upper end; NaN if none was kept.
        structure: for the reader of the table; empty, or one of the structures that the statistic is of.
        level: ``"image"`` or ``"group"``.
        variant: ``"recorded"`` or the name of a simulation.
    """

    id: str
    statistic: str
    value: float | int = math.nan
    low: float | int = math.nan
    high: float | int = math.nan
    structure: str = ""
    level: str = "image"
    variant: str = RECORDED

    def canonical(self, scale: float) -> Number:
        """The number in the canonical unit.

        Example:
            >>> NumberRow("a", "fat", value=25).canonical(scale=0.01)
            Number(value=0.25, low=nan, high=nan)
        """
        return Number(self.value * scale, self.low * scale, self.high * scale)


@dataclass(frozen=True)
class NumberRules:
    """What a number is checked against.

    Args:
        statistics: by name.
        case_ids: that may occur at the level of images.
        groups: that may occur at the level of groups.
    """

    statistics: Mapping[str, Statistic]
    case_ids: Collection[str]
    groups: Collection[str]

    def check(self, rows: Sequence[NumberRow], wheres: Sequence[str]) -> None:
        """Refuse rows that contradict the study, themselves or each other.

        Args:
            rows: to be checked.
            wheres: what to call each in an error.

        Raises:
            StudyError: the first fault found.
        """
        seen: dict[tuple[str, str, str, str], str] = {}
        for row, where in zip(rows, wheres, strict=True):
            self._check_names(row, where)
            self._check_values(row, where)
            before = seen.setdefault((row.level, row.id, row.statistic, row.variant), where)
            if before != where:
                raise StudyError(
                    "this number is there twice",
                    where=where,
                    found=f"'{row.statistic}' of '{row.id}', as in {before}",
                    remedy="keep one of the two rows",
                )

    def _check_names(self, row: NumberRow, where: str) -> None:
        if row.level not in LEVELS:
            expected = " or ".join(LEVELS)
            raise StudyError("unknown level", where=f"{where}, column level", found=repr(row.level), expected=expected)
        if row.id not in (self.case_ids if row.level == "image" else self.groups):
            kind = "id of a case" if row.level == "image" else "group"
            raise StudyError(
                f"no such {kind} in cases.csv", where=f"{where}, column id", found=repr(row.id), remedy="correct it"
            )
        if row.statistic not in self.statistics:
            raise StudyError(
                "unknown statistic",
                where=f"{where}, column statistic",
                found=repr(row.statistic),
                expected=", ".join(self.statistics) or "none: study.toml defines no statistic",
            )
        of = self.statistics[row.statistic].of
        if row.structure and row.structure not in of:
            raise StudyError(
                f"the statistic '{row.statistic}' is not of this structure",
                where=f"{where}, column structure",
                found=repr(row.structure),
                expected=f"empty or {', '.join(of)}",
            )
        if not row.variant:
            raise StudyError("the variant is missing", where=f"{where}, column variant", expected=RECORDED)

    def _check_values(self, row: NumberRow, where: str) -> None:
        statistic = self.statistics[row.statistic]
        lowest, highest = (bound / statistic.scale for bound in statistic.bounds)
        slack = 1e-9 * (highest if math.isfinite(highest) else 1.0)
        for column in ("value", "low", "high"):
            value = getattr(row, column)
            if math.isinf(value) or value < lowest - slack or value > highest + slack:
                percent = "; if the values are percent, say so in study.toml (unit)" if highest == 1 else ""
                raise StudyError(
                    f"this is no {statistic.kind} in the unit {statistic.unit}",
                    where=f"{where}, column {column}",
                    found=f"{value:g}",
                    expected=f"{lowest:g} to {highest:g}",
                    remedy=f"correct the number{percent}",
                )
        if row.low > row.high:
            found = f"low {row.low:g}, high {row.high:g}"
            raise StudyError("the interval is empty", where=where, found=found, expected="low <= high")
        if row.value < row.low or row.value > row.high:
            raise StudyError(
                "the value lies outside of its interval",
                where=f"{where}, column value",
                found=f"{row.value:g}",
                expected=f"{row.low:g} to {row.high:g}",
            )


def read_numbers(path: Path, rules: NumberRules) -> tuple[NumberRow, ...]:
    """Read and check ``statistics.csv``.

    Args:
        path: the table.
        rules: what its rows are checked against.

    Returns:
        The rows in the order of the table.

    Raises:
        ReadError: the file cannot be read.
        StudyError: the first fault found, with its row.
    """
    required = tuple(name for name in COLUMNS if name != "structure")
    table = read_table(path, required, ("structure",))
    wheres = [f"{path}, row {row}" for row in table.index]
    rows = []
    for where, (level, name, statistic, structure, value, low, high, variant) in zip(
        wheres, table[list(COLUMNS)].itertuples(index=False, name=None), strict=True
    ):
        numbers = {
            column: parse_cell(cell, f"{where}, column {column}")
            for column, cell in (("value", value), ("low", low), ("high", high))
        }
        rows.append(NumberRow(name, statistic, **numbers, structure=structure, level=level, variant=variant))
    rules.check(rows, wheres)
    return tuple(rows)


def write_numbers(path: Path, rows: Iterable[NumberRow]) -> None:
    """Write ``statistics.csv``, all or nothing; every number reads back exactly.

    Args:
        path: the table.
        rows: its rows.

    Raises:
        StorageError: it cannot be written; the old table is intact.
    """
    cells = [[_cell(getattr(row, name)) for name in COLUMNS] for row in rows]
    write_table(path, pd.DataFrame(cells, columns=list(COLUMNS), dtype=object))


def _cell(value: str | float | int) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else repr(float(value))


def parse_cell(cell: str, where: str) -> float:
    """A number as a spreadsheet writes it; a text that only resembles one is never taken for it."""
    if not cell:
        return math.nan
    if _NUMBER.fullmatch(cell):
        return float(cell)
    remedy = "write the number alone"
    if cell.endswith("%"):
        remedy = "write the number without the % sign, and the unit percent into study.toml"
    elif _NUMBER.fullmatch(cell.replace(",", ".")):
        remedy = "write a point in place of the comma"
    raise StudyError("this is not a number", where=where, found=repr(cell), remedy=remedy)
