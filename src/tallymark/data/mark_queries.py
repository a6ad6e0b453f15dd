"""What marks are asked for, in the SQL that all databases share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallymark.data.mark_tables import Connection, MarkTables

SETS = "SELECT name, origin FROM mark_set ORDER BY (SELECT MIN(number) FROM mark WHERE mark_set = name)"
"""Name and origin of the sets, in the order in which they were made: a set is made by its first mark."""

COLUMNS = ("uuid", "time", "author", "mark_set", "kind", "case_id", "structure", "payload")
"""Of a row, but for its number, which the database gives."""

_INSERT = f"INSERT INTO mark ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{name}' for name in COLUMNS)})"

_LAST = """\
(SELECT MAX(r.number) FROM mark r
 WHERE r.mark_set = m.mark_set AND r.case_id = m.case_id AND r.kind = '{}' AND {})"""


def after_clear(row: str) -> str:
    """The condition that a row comes after the last clear of its set, or of its case in it."""
    return f"""\
{row}.number > COALESCE(
    (SELECT MAX(c.number) FROM mark c WHERE c.mark_set = {row}.mark_set AND c.kind = 'clear'
     AND (c.case_id IS NULL OR c.case_id = {row}.case_id)), 0)"""


def visible(tables: MarkTables) -> str:
    """The part of a query that finds the marks ``m`` after the last clear that their author has not taken back."""
    taken_back, brought_back = (_LAST.format(kind, tables.about) for kind in ("retract", "restore"))
    return f"""
FROM mark m WHERE m.mark_set = :mark_set AND m.kind IN ('raster', 'stroke', 'erase', 'nothing')
AND {after_clear("m")}
AND COALESCE({taken_back}, 0) <= COALESCE({brought_back}, 0)
"""


def insert(connection: Connection, row: Mapping[str, object]) -> None:
    """Add a row; it has all :data:`COLUMNS`."""
    connection.execute(_INSERT, row)


def origin_of(connection: Connection, mark_set: str, origin: str) -> str:
    """The origin of a set, which is made with this one if it is new."""
    found = connection.execute("SELECT origin FROM mark_set WHERE name = :name", {"name": mark_set}).fetchone()
    if found is not None:
        return str(found[0])
    values = {"name": mark_set, "origin": origin}
    connection.execute("INSERT INTO mark_set (name, origin) VALUES (:name, :origin)", values)
    return origin


def content_of(connection: Connection, uuid: str) -> tuple[Any, ...] | None:
    """Set, kind, case, structure and payload of a row; None if there is no such row."""
    query = "SELECT mark_set, kind, case_id, structure, payload FROM mark WHERE uuid = :uuid"
    found = connection.execute(query, {"uuid": uuid}).fetchone()
    return None if found is None else tuple(found)
