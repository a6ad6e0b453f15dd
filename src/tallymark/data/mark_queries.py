"""What marks are asked for, in the SQL that all databases share."""

from __future__ import annotations

from tallymark.data.mark_tables import MarkTables

SETS = "SELECT name, origin FROM mark_set ORDER BY (SELECT MIN(number) FROM mark WHERE mark_set = name)"
"""Name and origin of the sets, in the order in which they were made: a set is made by its first mark."""

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
