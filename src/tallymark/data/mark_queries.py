"""What marks are asked for, in the SQL that all databases share."""

from __future__ import annotations

from tallymark.data.mark_tables import MarkTables

SETS = "SELECT name, origin FROM mark_set ORDER BY (SELECT MIN(number) FROM mark WHERE mark_set = name)"
"""Name and origin of the sets, in the order in which they were made: a set is made by its first mark."""

_VISIBLE = """
FROM mark m WHERE m.mark_set = :mark_set AND m.kind IN ('raster', 'stroke', 'erase', 'nothing')
AND m.number > COALESCE(
    (SELECT MAX(c.number) FROM mark c WHERE c.mark_set = m.mark_set AND c.kind = 'clear'
     AND (c.case_id IS NULL OR c.case_id = m.case_id)), 0)
AND COALESCE({taken_back}, 0) <= COALESCE({brought_back}, 0)
"""

_LAST = """\
(SELECT MAX(r.number) FROM mark r
 WHERE r.mark_set = m.mark_set AND r.case_id = m.case_id AND r.kind = '{}' AND {})"""


def visible(tables: MarkTables) -> str:
    """The part of a query that finds the marks ``m`` after the last clear of their set, or of their case in it, that
    their author has not taken back.
    """
    taken_back, brought_back = (_LAST.format(kind, tables.about) for kind in ("retract", "restore"))
    return _VISIBLE.format(taken_back=taken_back, brought_back=brought_back)
