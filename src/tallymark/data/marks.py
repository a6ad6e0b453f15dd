"""``marks.sqlite``: every mark that was ever made. Nothing is changed or deleted; what is shown is derived.

A mark belongs to a *mark set*, which is either real (people made it) or simulated (from full masks), never both.
Unmarked is never background: "not any of these" is a mark of its own, :data:`EXCLUDED`.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import uuid as uuids
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Num

from tallymark.data.database import check_whole, reading, transaction
from tallymark.data.strokes import Stroke, decode_runs, encode_runs
from tallymark.errors import GeometryError, ReadError, StudyError

EXCLUDED = "(none of these)"
"""The structure of pixels that someone marked as none of the structures."""

Origin = Literal["real", "simulated"]

_VERSION = 1

_SCHEMA = """\
CREATE TABLE mark_set (
    name TEXT PRIMARY KEY,
    origin TEXT NOT NULL CHECK (origin IN ('real', 'simulated'))
);

CREATE TABLE mark (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    time TEXT NOT NULL,
    author TEXT NOT NULL,
    mark_set TEXT NOT NULL REFERENCES mark_set (name),
    kind TEXT NOT NULL CHECK (kind IN ('raster', 'stroke', 'clear')),
    case_id TEXT,
    structure TEXT,
    payload BLOB
);

CREATE INDEX mark_by_case ON mark (mark_set, case_id, number);

CREATE TRIGGER mark_is_never_changed BEFORE UPDATE ON mark BEGIN SELECT RAISE(ABORT, 'marks are append-only'); END;

CREATE TRIGGER mark_is_never_deleted BEFORE DELETE ON mark BEGIN SELECT RAISE(ABORT, 'marks are append-only'); END"""

# Marks after the last clear of their set, or of their case in it.
_VISIBLE = """
FROM mark AS m WHERE m.mark_set = :mark_set AND m.kind <> 'clear' AND m.number > COALESCE(
    (SELECT MAX(c.number) FROM mark AS c WHERE c.mark_set = m.mark_set AND c.kind = 'clear'
     AND (c.case_id IS NULL OR c.case_id = m.case_id)), 0)
"""


@dataclass(frozen=True)
class MarkSet:
    """What a mark set holds.

    Args:
        name: of the set.
        origin: ``"real"`` or ``"simulated"``.
        marks: number of marks that are not cleared.
        cases: number of cases that they are on.
    """

    name: str
    origin: Origin
    marks: int
    cases: int


class MarkStore:
    """The marks of a study.

    Args:
        path: the SQLite file; made at the first mark.
        structures: that may be marked besides :data:`EXCLUDED`; None allows any.
        case_ids: that may be marked; None allows any.

    Example:
        >>> import tempfile
        >>> store = MarkStore(Path(tempfile.mkdtemp()) / "marks.sqlite")
        >>> _ = store.add_raster("a", "first", "lesion", np.array([[False, True]]), author="reader 1")
        >>> _ = store.add_stroke("a", "first", "lesion", np.array([[0.0, 0.0]]), width=1, shape=(1, 2))
        >>> store.labels("a", "first")["lesion"].tolist()
        [[True, True]]
        >>> store.clear("first")
        >>> store.labels("a", "first"), store.sets()["first"].marks
        ({}, 0)
    """

    def __init__(
        self, path: Path | str, structures: Collection[str] | None = None, case_ids: Collection[str] | None = None
    ) -> None:
        self.path = Path(path)
        self._structures = structures
        self._case_ids = case_ids
        self._batch = threading.local()
        self._checked = False

    def add_raster(
        self,
        case_id: str,
        mark_set: str,
        structure: str,
        mask: Bool[np.ndarray, "*space"],
        *,
        author: str = "",
        origin: Origin = "real",
        uuid: str | None = None,
    ) -> str:
        """Add marked pixels.

        Args:
            case_id: of the image.
            mark_set: the set; made if it is new.
            structure: what was marked, or :data:`EXCLUDED`.
            mask: True where marked, at the original size of the image.
            author: who marked.
            origin: of the set.
            uuid: of the mark; the same mark may be sent twice and is stored once. None makes one.

        Returns:
            The uuid. Once it is returned (in a batch: once the batch has ended), the mark is on the disk.

        Raises:
            StudyError: an unknown case or structure, simulated marks for a real set or the reverse, or another mark
                with this uuid.
            StorageError: the file cannot be written; what was in it still is.
        """
        return self._add("raster", case_id, mark_set, structure, encode_runs(mask), author, origin, uuid)

    def add_stroke(
        self,
        case_id: str,
        mark_set: str,
        structure: str,
        points: Num[np.ndarray, "corner 2"],
        width: float | int,
        shape: Sequence[int],
        plane: int | None = None,
        *,
        author: str = "",
        origin: Origin = "real",
        uuid: str | None = None,
    ) -> str:
        """Add a stroke as it was drawn; see :class:`Stroke` for ``points``, ``width``, ``shape`` and ``plane``.

        Returns:
            The uuid; else as :meth:`add_raster`.

        Raises:
            GeometryError: the stroke is none, or no pixel of the image lies under it.
            StudyError: as :meth:`add_raster`.
            StorageError: as :meth:`add_raster`.
        """
        stroke = Stroke(points, float(width), tuple(int(length) for length in shape), plane)
        if not stroke.raster().any():
            raise GeometryError("the stroke lies outside of the image", found=points.tolist(), expected=stroke.shape)
        return self._add("stroke", case_id, mark_set, structure, stroke.encode(), author, origin, uuid)

    def clear(self, mark_set: str, case_id: str | None = None, *, author: str = "") -> None:
        """Hide the marks that a set holds now, of one case or of all. They stay in the file.

        Raises:
            StudyError: there is no such set.
            StorageError: the file cannot be written.
        """
        self._require(mark_set)
        with self._writing() as connection:
            values = (str(uuids.uuid4()), _now(), author, mark_set, case_id)
            connection.execute(
                "INSERT INTO mark (uuid, time, author, mark_set, kind, case_id) VALUES (?, ?, ?, ?, 'clear', ?)", values
            )

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Many marks in one transaction: all of them or, on any error, none.

        Raises:
            StorageError: the file cannot be written; none of the marks is stored.
        """
        with self._writing():
            yield

    def sets(self) -> dict[str, MarkSet]:
        """The mark sets by name, in the order in which they were made."""
        with self._reading() as connection:
            if connection is None:
                return {}
            found = {}
            for name, origin in connection.execute("SELECT name, origin FROM mark_set ORDER BY rowid").fetchall():
                query = f"SELECT COUNT(*), COUNT(DISTINCT m.case_id) {_VISIBLE}"
                marks, cases = connection.execute(query, {"mark_set": name}).fetchone()
                found[name] = MarkSet(name, origin, marks, cases)
            return found

    def labels(self, case_id: str, mark_set: str) -> dict[str, Bool[np.ndarray, "*space"]]:
        """What is marked on an image: the union of all marks of a structure since the last clear.

        Args:
            case_id: of the image.
            mark_set: of the marks.

        Returns:
            By structure (:data:`EXCLUDED` among them), True where marked; a structure without marks is absent.

        Raises:
            StudyError: there is no such set.
            GeometryError: two marks are on images of different shapes.
            ReadError: the file is damaged.
        """
        self._require(mark_set)
        query = f"SELECT m.kind, m.structure, m.payload {_VISIBLE} AND m.case_id = :case_id ORDER BY m.number"
        labels: dict[str, np.ndarray] = {}
        shape: tuple[int, ...] | None = None
        for kind, structure, payload in self._rows(query, mark_set=mark_set, case_id=case_id):
            raster = self._decoded(kind, payload)
            shape = shape or raster.shape
            if raster.shape != shape:
                raise GeometryError(
                    f"marks on '{case_id}' do not have the same shape",
                    where=self.path,
                    found=raster.shape,
                    expected=shape,
                )
            labels[structure] = labels[structure] | raster if structure in labels else raster
        return labels

    def case_ids(self, mark_set: str) -> tuple[str, ...]:
        """The cases that a set has marks on, sorted.

        Raises:
            StudyError: there is no such set.
        """
        self._require(mark_set)
        rows = self._rows(f"SELECT DISTINCT m.case_id {_VISIBLE} ORDER BY m.case_id", mark_set=mark_set)
        return tuple(row[0] for row in rows)

    def fingerprint(self, mark_set: str, case_ids: Collection[str]) -> str:
        """A digest that changes when the visible marks of these cases change.

        Raises:
            StudyError: there is no such set.
        """
        self._require(mark_set)
        wanted = frozenset(case_ids)
        digest = hashlib.sha256()
        query = f"SELECT m.case_id, m.kind, m.structure, m.payload {_VISIBLE} ORDER BY m.number"
        for case_id, *content in self._rows(query, mark_set=mark_set):
            if case_id in wanted:
                digest.update(repr((case_id, *content)).encode())
        return digest.hexdigest()

    def _add(
        self,
        kind: str,
        case_id: str,
        mark_set: str,
        structure: str,
        payload: bytes,
        author: str,
        origin: Origin,
        uuid: str | None,
    ) -> str:
        self._check_names(case_id, mark_set, structure)
        uuid = uuid or str(uuids.uuid4())
        content = (mark_set, kind, case_id, structure, payload)
        with self._writing() as connection:
            connection.execute("INSERT OR IGNORE INTO mark_set (name, origin) VALUES (?, ?)", (mark_set, origin))
            found = connection.execute("SELECT origin FROM mark_set WHERE name = ?", (mark_set,)).fetchone()[0]
            if found != origin:
                raise StudyError(
                    f"the mark set '{mark_set}' is {found}, these marks are {origin}",
                    where=self.path,
                    remedy="choose another name for the set",
                )
            stored = connection.execute(
                "SELECT mark_set, kind, case_id, structure, payload FROM mark WHERE uuid = ?", (uuid,)
            ).fetchone()
            if stored is None:
                connection.execute(
                    "INSERT INTO mark (uuid, time, author, mark_set, kind, case_id, structure, payload)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (uuid, _now(), author, *content),
                )
            elif stored != content:
                raise StudyError("another mark has this uuid", where=self.path, found=uuid, remedy="make a new uuid")
        return uuid

    def _check_names(self, case_id: str, mark_set: str, structure: str) -> None:
        if not mark_set.strip():
            raise StudyError("a mark set needs a name", where=self.path)
        if self._case_ids is not None and case_id not in self._case_ids:
            raise StudyError("no such case", where=self.path, found=repr(case_id))
        if self._structures is not None and structure not in (*self._structures, EXCLUDED):
            expected = ", ".join([*self._structures, EXCLUDED])
            raise StudyError("unknown structure", where=self.path, found=repr(structure), expected=expected)

    def _require(self, mark_set: str) -> None:
        known = [row[0] for row in self._rows("SELECT name FROM mark_set ORDER BY rowid")]
        if mark_set not in known:
            raise StudyError(
                f"no mark set '{mark_set}'", where=self.path, found=", ".join(known) or "no marks", remedy="name one"
            )

    def _decoded(self, kind: str, payload: bytes) -> np.ndarray:
        try:
            return decode_runs(payload) if kind == "raster" else Stroke.decode(payload).raster()
        except ReadError as error:
            raise ReadError(error.what, where=self.path, found=error.found) from error

    def _rows(self, query: str, **values: str) -> list[Any]:
        with self._reading() as connection:
            return [] if connection is None else connection.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """The transaction of the batch that is under way in this thread, or one of its own."""
        current = getattr(self._batch, "connection", None)
        if current is not None:
            yield current
            return
        self._check()
        with transaction(self.path, _SCHEMA, _VERSION) as connection:
            self._batch.connection = connection
            try:
                yield connection
            finally:
                self._batch.connection = None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection that sees what the batch under way in this thread has written; None if there is no file."""
        current = getattr(self._batch, "connection", None)
        if current is not None:
            yield current
            return
        self._check()
        with reading(self.path, _VERSION) as connection:
            yield connection

    def _check(self) -> None:
        """Look for damage once, before the first use."""
        if not self._checked:
            check_whole(self.path, _VERSION)
            self._checked = True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
