"""How far every image is, kept in memory: only what was added since is read when somebody asks."""

from __future__ import annotations

import threading

from tallymark.data.annotations import Annotator, Progress, Verdict, Visit, parsed
from tallymark.data.marks import MarkStore

_NEW = (
    "SELECT number, case_id, author, kind, payload FROM mark WHERE mark_set = :mark_set AND number > :last"
    " ORDER BY number"
)
_MARKS = ("raster", "stroke", "erase", "nothing")
_BACKWARDS = ("retract", "restore", "clear")


class Board:
    """The progress of a set of marks, as :meth:`Annotator.progress` tells it.

    Args:
        store: of the study.
        mark_set: the set.
    """

    def __init__(self, store: MarkStore, mark_set: str) -> None:
        self._everyone = Annotator(store, mark_set, "")
        self._last = 0
        self._found: dict[str, Progress] = {}
        self._guard = threading.Lock()

    def progress(self) -> dict[str, Progress]:
        """How far every image is; images nobody touched are absent. What is returned never changes."""
        with self._guard:
            own = self._everyone
            rows = own.store.tables.rows(_NEW, mark_set=own.mark_set, last=self._last)
            if self._last == 0 or any(row[3] in _BACKWARDS for row in rows):
                # Rows of others may come between; they are read again, which changes nothing but a count of marks.
                self._found = own.progress()
            else:
                for _, case_id, author, kind, payload in rows:
                    before = self._found.get(case_id, Progress())
                    self._found[case_id] = _after(before, author, kind, payload)
            self._last = rows[-1][0] if rows else self._last
            return dict(self._found)


def _after(before: Progress, author: str, kind: str, payload: bytes) -> Progress:
    """A new progress with one row more."""
    marks, visits, verdicts = dict(before.marks), dict(before.visits), dict(before.verdicts)
    if kind in _MARKS:
        marks[author] = marks.get(author, 0) + 1
    elif kind == "visit":
        visits[author] = parsed(Visit, payload)
        verdicts.pop(author, None)
    elif kind == "verdict":
        verdict = parsed(Verdict, payload)
        verdicts[verdict.of] = verdict, author
    return Progress(marks, visits, verdicts)
