"""The SQLite file of marks: its tables, which grow and never forget, and connections to it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tallymark.data.database import check_whole, reading, transaction

_VERSION = 3

_TABLE = """\
CREATE TABLE mark (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    time TEXT NOT NULL,
    author TEXT NOT NULL,
    mark_set TEXT NOT NULL REFERENCES mark_set (name),
    kind TEXT NOT NULL CHECK (kind IN (
        'raster', 'stroke', 'erase', 'nothing', 'clear', 'retract', 'restore', 'diameter', 'visit', 'verdict')),
    case_id TEXT,
    structure TEXT,
    payload BLOB
)"""

_GUARDS = """\
CREATE INDEX mark_by_case ON mark (mark_set, case_id, number);

CREATE INDEX mark_by_kind ON mark (mark_set, kind, case_id, number);

CREATE TRIGGER mark_is_never_changed BEFORE UPDATE ON mark BEGIN SELECT RAISE(ABORT, 'marks are append-only'); END;

CREATE TRIGGER mark_is_never_deleted BEFORE DELETE ON mark BEGIN SELECT RAISE(ABORT, 'marks are append-only'); END"""

_SCHEMA = f"""\
CREATE TABLE mark_set (
    name TEXT PRIMARY KEY,
    origin TEXT NOT NULL CHECK (origin IN ('real', 'simulated'))
);

{_TABLE};

{_GUARDS}"""

# Version 1 knew rasters, strokes and clears alone, version 2 no verdicts. SQLite changes a CHECK only by making the
# table anew.
_ANEW = f"""\
ALTER TABLE mark RENAME TO mark_before;

{_TABLE};

INSERT INTO mark SELECT * FROM mark_before;

DROP TABLE mark_before;

{_GUARDS}"""

_UPGRADES = {1: _ANEW, 2: _ANEW}

_READABLE = (*_UPGRADES, _VERSION)


class MarkFile:
    """The SQLite file; made at the first mark, brought to the newest format at the first mark after that.

    Args:
        path: the file.

    Attributes:
        place: where the marks are, in words for people.
        about: the condition that row ``r`` takes back, or brings back, the mark ``m``.
    """

    about = "r.payload = CAST(m.uuid AS BLOB)"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)
        self._batch = threading.local()
        self._checked = False

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The transaction that is under way in this thread, or one of its own.

        Raises:
            StorageError: the file cannot be written; nothing of the transaction is stored.
            ReadError: the file is damaged or of another version.
        """
        current = getattr(self._batch, "connection", None)
        if current is not None:
            yield current
            return
        self._check()
        with transaction(self.path, _SCHEMA, _VERSION, _UPGRADES) as connection:
            self._batch.connection = connection
            try:
                yield connection
            finally:
                self._batch.connection = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection that sees what the transaction under way in this thread has written; None if there is no file.

        Raises:
            ReadError: the file is damaged or of another version.
        """
        current = getattr(self._batch, "connection", None)
        if current is not None:
            yield current
            return
        self._check()
        with reading(self.path, _READABLE) as connection:
            yield connection

    def hold(self) -> sqlite3.Connection | None:
        """Open the file and keep it open, for whoever writes often; None if there is no file yet.

        SQLite folds the write-ahead log into the file when the last connection closes. While one stays open, a
        transaction costs one write to the log alone. Close it in the thread that opened it.
        """
        if not self.path.exists():
            return None
        connection = sqlite3.connect(self.path)
        connection.execute("PRAGMA user_version").fetchone()
        return connection

    def rows(self, query: str, **values: object) -> list[Any]:
        """All rows that a query finds; none if there is no file."""
        with self.reading() as connection:
            return [] if connection is None else connection.execute(query, values).fetchall()

    def _check(self) -> None:
        """Look for damage once, before the first use."""
        if not self._checked:
            check_whole(self.path, _READABLE)
            self._checked = True
