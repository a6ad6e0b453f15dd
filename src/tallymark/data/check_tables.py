"""Reading the tables of a study to the end: a fault is noted and the next row is read, where opening it would stop.

The rules are those of :mod:`tallymark.data.cases` and :mod:`tallymark.data.numbers`, asked row by row: what a rule
refuses is replaced by something it allows, until nothing is left to refuse.
"""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tallymark.data.cases import COLUMNS as CASE_COLUMNS
from tallymark.data.cases import Case, check_cases, parse_spacing
from tallymark.data.findings import Finding
from tallymark.data.numbers import COLUMNS as NUMBER_COLUMNS
from tallymark.data.numbers import RECORDED, NumberRow, NumberRules, parse_cell
from tallymark.data.settings import SPLITS, StudySettings
from tallymark.data.tables import read_table
from tallymark.errors import StudyError, TallymarkError

_NO_DIGEST = "0" * 64


@dataclass
class Tables:
    """What could be read, and what is wrong with it.

    Args:
        settings: None if they cannot be read; then numbers are not judged.
        cases: all rows; a part that is wrong is replaced by a harmless one.
        numbers: the rows that are right.
        findings: in the order of the files.
    """

    settings: StudySettings | None = None
    cases: list[Case] = field(default_factory=list)
    numbers: list[NumberRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def note(self, error: TallymarkError, topic: str) -> None:
        """Add an error to the findings."""
        self.findings.append(Finding.of(error, topic))


def read_tables(folder: Path) -> Tables:
    r"""Read ``study.toml``, ``cases.csv`` and ``statistics.csv`` of a study, whatever is wrong with them.

    Args:
        folder: the study folder.

    Returns:
        What could be read, and the findings.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "study.toml").write_text('format = 1\nname = "x"\nstructures = ["fat"]\n')
        >>> rows = "id,image,sha256,group,split\na,a.png,1,,train\nb:,b.png,2,p,tset\n"
        >>> _ = (folder / "cases.csv").write_text(rows)
        >>> [finding.where.rpartition("row ")[2] for finding in read_tables(folder).findings]
        ['2, column sha256', '2, column group', '3, column id', '3, column sha256', '3, column split']
    """
    tables = Tables()
    try:
        tables.settings = StudySettings.from_toml(folder / "study.toml")
    except TallymarkError as error:
        tables.note(error, "settings")
    known = _read_cases(tables, folder / "cases.csv")
    if tables.settings is not None and (folder / "statistics.csv").exists():
        statistics = {statistic.name: statistic for statistic in tables.settings.statistics}
        groups = {case.group for case in tables.cases}
        _read_numbers(tables, folder / "statistics.csv", NumberRules(statistics, known, groups))
    return tables


def _read_cases(tables: Tables, path: Path) -> set[str]:
    """Fill in the cases; the ids as they stand in the table, so that a bad one is not reported for each number too."""
    try:
        table = read_table(path, ("id", "image", "sha256", "group", "split"), ("stratum", "spacing"))
    except TallymarkError as error:
        tables.note(error, "cases")
        return set()
    if table.empty:
        tables.note(StudyError("the study has no cases", where=path, remedy="make the study again"), "cases")
    dimension = tables.settings.image.dimension if tables.settings else 2
    folder = path.parent.resolve()
    wheres = [f"{path}, row {row}" for row in table.index]
    for where, (name, image, sha256, group, split, stratum, edges) in zip(
        wheres, table[list(CASE_COLUMNS)].itertuples(index=False, name=None), strict=True
    ):
        if not image:
            remedy = "write its path, from the study folder on"
            tables.note(StudyError("the image is missing", where=f"{where}, column image", remedy=remedy), "cases")
        spacing = _attempt(tables, "cases", parse_spacing, edges, where, None)
        case = Case(name, (folder / image).resolve(), sha256, group, split, stratum, spacing)
        harmless: dict[str, Any] = {"id": f"(row {where.rpartition(' ')[2]})", "sha256": _NO_DIGEST}
        harmless |= {"group": f"(none) {where}", "split": "train", "spacing": None}
        tables.cases.append(
            _mended(tables, "cases", case, where, harmless, lambda c, w: check_cases([c], [w], dimension))
        )
    _report_repeats(tables, path, table["id"].tolist(), wheres)
    _report_torn_groups(tables, path, zip(table["group"], table["split"], wheres, strict=True))
    return set(table["id"])


def _report_repeats(tables: Tables, path: Path, ids: Sequence[str], wheres: Sequence[str]) -> None:
    rows = _rows_by(zip((unicodedata.normalize("NFC", name).casefold() for name in ids), wheres, strict=True))
    for name, places in rows.items():
        if len(places) > 1 and name:
            tables.findings.append(
                Finding(
                    "error",
                    "cases",
                    f"{path}, column id",
                    "this id occurs twice",
                    "rename all but one",
                    _at(name, places),
                )
            )


def _report_torn_groups(tables: Tables, path: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    entries: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for group, split, where in rows:
        if group and split in SPLITS:
            entries[group][split].append(where)
    for group, splits in entries.items():
        if len(splits) > 1:
            found = "; ".join(_at(split, places) for split, places in splits.items())
            what = f"the group '{group}' is in {len(splits)} splits, so that the test is not honest"
            remedy = "put all cases of a group into one split"
            tables.findings.append(Finding("error", "splits", f"{path}, column split", what, remedy, found))


def _read_numbers(tables: Tables, path: Path, rules: NumberRules) -> None:
    try:
        table = read_table(path, tuple(name for name in NUMBER_COLUMNS if name != "structure"), ("structure",))
    except TallymarkError as error:
        tables.note(error, "numbers")
        return
    good: list[tuple[tuple[str, str, str, str], str]] = []
    for row, (level, name, statistic, structure, *cells, variant) in zip(
        table.index, table[list(NUMBER_COLUMNS)].itertuples(index=False, name=None), strict=True
    ):
        where = f"{path}, row {row}"
        before = len(tables.findings)
        value, low, high = (
            _attempt(tables, "numbers", parse_cell, cell, f"{where}, column {column}", math.nan)
            for cell, column in zip(cells, ("value", "low", "high"), strict=True)
        )
        number = NumberRow(name, statistic, value, low, high, structure, level, variant)
        ids = rules.groups if level == "group" else rules.case_ids
        harmless: dict[str, Any] = {"level": "image", "structure": "", "variant": RECORDED}
        harmless |= {"value": math.nan, "low": math.nan, "high": math.nan, "": math.nan}
        harmless |= {"id": next(iter(ids), ""), "statistic": next(iter(rules.statistics), "")}
        _mended(tables, "numbers", number, where, harmless, lambda n, w: rules.check([n], [w]))
        good.append(((level, name, statistic, variant), where))
        if len(tables.findings) == before:
            tables.numbers.append(number)
    for (_, name, statistic, variant), places in _rows_by(good).items():
        if len(places) > 1:
            what = f"the number '{statistic}' ({variant}) is there twice"
            tables.findings.append(
                Finding("error", "numbers", str(path), what, "keep one of the rows", _at(name, places))
            )


def _mended(
    tables: Tables, topic: str, entry: Any, where: str, harmless: dict[str, Any], check: Callable[[Any, str], None]
) -> Any:
    """Note what the rules refuse, replace it, and ask again."""
    for _ in range(len(harmless) + 1):
        try:
            check(entry, where)
        except StudyError as error:
            tables.note(error, topic)
            column = (error.where or "").partition("column ")[2]
            if column not in harmless or getattr(entry, column or "low") == harmless[column]:
                return entry
            entry = replace(entry, **({column: harmless[column]} if column else {"low": math.nan, "high": math.nan}))
        else:
            return entry
    return entry


def _attempt(
    tables: Tables, topic: str, parse: Callable[[str, str], Any], cell: str, where: str, otherwise: Any
) -> Any:
    try:
        return parse(cell, where)
    except StudyError as error:
        tables.note(error, topic)
        return otherwise


def _rows_by(entries: Iterable[tuple[Any, str]]) -> dict[Any, list[str]]:
    rows: dict[Any, list[str]] = defaultdict(list)
    for key, where in entries:
        rows[key].append(where)
    return rows


def _at(name: str, places: Sequence[str]) -> str:
    return f"{name} in row {', '.join(place.rpartition(' ')[2] for place in places)}"
