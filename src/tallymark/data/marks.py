"""Every mark that was ever made, in ``marks.sqlite`` or a database. Nothing is changed or deleted; what is shown is
derived.

A mark belongs to a *mark set*, which is either real (people made it) or simulated (from full masks), never both.
Unmarked is never background: "not any of these" is a mark of its own, :data:`EXCLUDED`.
"""

from __future__ import annotations

import hashlib
import uuid as uuids
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Num

from tallymark.data.mark_file import MarkFile
from tallymark.data.mark_layer import EXCLUDED, AuthoredMark, Mark, decode_mark, united
from tallymark.data.mark_queries import SETS, content_of, insert, origin_of, visible
from tallymark.data.mark_tables import MarkTables
from tallymark.data.strokes import Stroke, encode_runs
from tallymark.errors import GeometryError, ReadError, StudyError

__all__ = ["EXCLUDED", "MarkSet", "MarkStore", "Origin"]

Origin = Literal["real", "simulated"]


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
        place: the SQLite file, made at the first mark; or the tables on a server
            (:class:`tallymark.data.mark_server.MarkServer`).
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
        self,
        place: Path | str | MarkTables,
        structures: Collection[str] | None = None,
        case_ids: Collection[str] | None = None,
    ) -> None:
        self.tables: MarkTables = MarkFile(Path(place)) if isinstance(place, Path | str) else place
        self.place = self.tables.place
        self._structures = structures
        self._case_ids = case_ids

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
        filled: bool = False,
        author: str = "",
        origin: Origin = "real",
        uuid: str | None = None,
    ) -> str:
        """Add a stroke as it was drawn; see :class:`Stroke` for all that describes it.

        Returns:
            The uuid; else as :meth:`add_raster`.

        Raises:
            GeometryError: the stroke is none, or no pixel of the image lies under it.
            StudyError: as :meth:`add_raster`.
            StorageError: as :meth:`add_raster`.
        """
        stroke = Stroke(points, float(width), tuple(int(length) for length in shape), plane, filled)
        if not stroke.touches():
            raise GeometryError("the stroke lies outside of the image", found=points.tolist(), expected=stroke.shape)
        return self._add("stroke", case_id, mark_set, structure, stroke.encode(), author, origin, uuid)

    def clear(self, mark_set: str, case_id: str | None = None, *, author: str = "") -> None:
        """Hide the marks that a set holds now, of one case or of all. They stay in the file.

        Raises:
            StudyError: there is no such set.
            StorageError: the file cannot be written.
        """
        self.require(mark_set)
        with self.tables.writing() as connection:
            row = {"uuid": str(uuids.uuid4()), "time": _now(), "author": author, "mark_set": mark_set, "kind": "clear"}
            insert(connection, {**row, "case_id": case_id, "structure": None, "payload": None})

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Many marks in one transaction: all of them or, on any error, none.

        Raises:
            StorageError: the file cannot be written; none of the marks is stored.
        """
        with self.tables.writing():
            yield

    def sets(self) -> dict[str, MarkSet]:
        """The mark sets by name, in the order in which they were made."""
        with self.tables.reading() as connection:
            if connection is None:
                return {}
            found = {}
            query = f"SELECT COUNT(*), COUNT(DISTINCT m.case_id) {visible(self.tables)}"
            for name, origin in connection.execute(SETS, {}).fetchall():
                marks, cases = connection.execute(query, {"mark_set": name}).fetchone()
                found[name] = MarkSet(name, origin, marks, cases)
            return found

    def labels(
        self, case_id: str, mark_set: str | None, author: str | None = None
    ) -> dict[str, Bool[np.ndarray, "*space"]]:
        """What is marked on an image since the last clear.

        Each author has a layer: the union of the author's marks of a structure, less what the author erased after
        them. What was not taken back and says "nothing here" marks all that the author did not mark otherwise as
        :data:`EXCLUDED`. The layers are united.

        Args:
            case_id: of the image.
            mark_set: of the marks; None: of no set, in which nothing is marked.
            author: of the layer; None: all of them.

        Returns:
            By structure (:data:`EXCLUDED` among them), True where marked; a structure without marks is absent.

        Raises:
            StudyError: there is no such set.
            GeometryError: two marks are on images of different shapes.
            ReadError: the file is damaged.
        """
        return {} if mark_set is None else united(self.marks_on(case_id, mark_set, author))

    def marks_on(self, case_id: str, mark_set: str, author: str | None = None) -> tuple[AuthoredMark, ...]:
        """The marks that :meth:`labels` unites, as they were made and in their order, erasures among them.

        Raises:
            StudyError: as :meth:`labels`.
            GeometryError: as :meth:`labels`.
            ReadError: as :meth:`labels`.
        """
        self.require(mark_set)
        shown = visible(self.tables)
        query = f"SELECT m.author, m.kind, m.structure, m.payload {shown} AND m.case_id = :case_id ORDER BY m.number"
        rows = self.tables.rows(query, mark_set=mark_set, case_id=case_id)
        marks = tuple(
            (name, kind, structure, self._decoded(kind, payload))
            for name, kind, structure, payload in rows
            if author is None or name == author
        )
        shapes = list(dict.fromkeys(mark.shape for *_, mark in marks))
        if len(shapes) > 1:
            raise GeometryError(
                f"marks on '{case_id}' do not have the same shape",
                where=self.place,
                found=shapes[1],
                expected=shapes[0],
            )
        return marks

    def case_ids(self, mark_set: str) -> tuple[str, ...]:
        """The cases that a set has marks on, sorted.

        Raises:
            StudyError: there is no such set.
        """
        self.require(mark_set)
        rows = self.tables.rows(
            f"SELECT DISTINCT m.case_id {visible(self.tables)} ORDER BY m.case_id", mark_set=mark_set
        )
        return tuple(row[0] for row in rows)

    def fingerprint(self, mark_set: str | None, case_ids: Collection[str]) -> str:
        """A digest that changes when the visible marks of these cases change; empty for None, which is no set.

        Raises:
            StudyError: there is no such set.
        """
        if mark_set is None:
            return ""
        self.require(mark_set)
        wanted = frozenset(case_ids)
        digest = hashlib.sha256()
        query = f"SELECT m.author, m.case_id, m.kind, m.structure, m.payload {visible(self.tables)} ORDER BY m.number"
        rows = [row for row in self.tables.rows(query, mark_set=mark_set) if row[1] in wanted]
        # Who made a mark matters only where someone erased, which is of the own marks alone.
        layered = any(kind in ("erase", "nothing") for _, _, kind, _, _ in rows)
        for author, *content in rows:
            digest.update(repr((*content, author) if layered else tuple(content)).encode())
        return digest.hexdigest()

    def append(
        self, mark_set: str, kind: str, case_id: str, structure: str | None, payload: bytes, author: str, uuid: str
    ) -> bool:
        """Store a row of any kind in a set of real marks; the same row sent twice is stored once.

        Returns:
            Whether it is new.

        Raises:
            StudyError: an unknown case or structure, a set of simulated marks, another row with this uuid.
            StorageError: as :meth:`add_raster`.
        """
        self._check_names(case_id, mark_set, structure)
        return self._store(kind, case_id, mark_set, structure, payload, author, "real", uuid)

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
        self._store(kind, case_id, mark_set, structure, payload, author, origin, uuid)
        return uuid

    def _store(
        self,
        kind: str,
        case_id: str,
        mark_set: str,
        structure: str | None,
        payload: bytes,
        author: str,
        origin: Origin,
        uuid: str,
    ) -> bool:
        content = {
            "mark_set": mark_set,
            "kind": kind,
            "case_id": case_id,
            "structure": structure,
            "payload": payload,
        }
        with self.tables.writing() as connection:
            found = origin_of(connection, mark_set, origin)
            if found != origin:
                raise StudyError(
                    f"the mark set '{mark_set}' is {found}, these marks are {origin}",
                    where=self.place,
                    remedy="choose another name for the set",
                )
            stored = content_of(connection, uuid)
            if stored is None:
                insert(connection, {"uuid": uuid, "time": _now(), "author": author, **content})
            elif stored != tuple(content.values()):
                raise StudyError("another mark has this uuid", where=self.place, found=uuid, remedy="make a new uuid")
        return stored is None

    def _check_names(self, case_id: str, mark_set: str, structure: str | None) -> None:
        if not mark_set.strip():
            raise StudyError("a mark set needs a name", where=self.place)
        if self._case_ids is not None and case_id not in self._case_ids:
            raise StudyError("no such case", where=self.place, found=repr(case_id))
        if self._structures is not None and structure not in (*self._structures, EXCLUDED, None):
            expected = ", ".join([*self._structures, EXCLUDED])
            raise StudyError("unknown structure", where=self.place, found=repr(structure), expected=expected)

    def _decoded(self, kind: str, payload: bytes) -> Mark:
        try:
            return decode_mark(kind, payload)
        except ReadError as error:
            raise ReadError(error.what, where=self.place, found=error.found) from error

    def require(self, mark_set: str) -> None:
        """Refuse a mark set that is not there.

        Raises:
            StudyError: there is no such set.
        """
        known = [row[0] for row in self.tables.rows(SETS)]
        if mark_set not in known:
            raise StudyError(
                f"no mark set '{mark_set}'",
                where=self.place,
                found=", ".join(known) or "no marks",
                remedy="name one of these",
            )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
