"""What one person does on the marking page: marks, taken back or not, and visits, kept as rows that are only added."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Bool

from tallymark.data.mark_layer import Mark, decode_mark
from tallymark.data.mark_queries import after_clear, visible
from tallymark.data.marks import MarkStore
from tallymark.data.strokes import Stroke, encode_runs
from tallymark.errors import ReadError, StudyError

T = TypeVar("T", "Visit", "Verdict")
Outcome = Literal["done", "skip", "unsure"]
Judgement = Literal["accepted", "returned"]


@dataclass(frozen=True)
class Visit:
    """One look at an image, from its appearance to the next image.

    Args:
        outcome: marked as far as it goes, passed over, or "can't tell".
        seconds: that the image was looked at, pauses left out.
        reason: of "can't tell".
        model: what was seen of the model's outline: ``none`` (there is none), ``blind`` (kept hidden on purpose),
            ``hidden`` (not looked at) or ``shown``.
        judgement: of the model's outline: ``right``, ``fix`` or none.
        warned: more was marked than the number allows.
    """

    outcome: Outcome
    seconds: float
    reason: str = ""
    model: Literal["none", "blind", "hidden", "shown"] = "none"
    judgement: Literal["", "right", "fix"] = ""
    warned: bool = False


@dataclass(frozen=True)
class Verdict:
    """What a reviewer says of somebody's marks on an image.

    Args:
        of: whose marks.
        outcome: accepted, or sent back to be looked at again.
        reason: in the reviewer's words.
    """

    of: str
    outcome: Judgement
    reason: str = ""


@dataclass(frozen=True)
class Entry:
    """A mark as it was made.

    Args:
        number: of its row, which tells the order.
        uuid: of the mark.
        kind: ``raster``, ``stroke``, ``erase``, ``nothing`` or ``diameter``.
        structure: what was marked, where it is a structure.
        mark: the stroke or the pixels; of a diameter the line between its ends.
        retracted: when it was taken back, as the number of that row; 0 if it counts.
    """

    number: int
    uuid: str
    kind: str
    structure: str | None
    mark: Mark
    retracted: int


@dataclass
class Progress:
    """How far an image is.

    Args:
        marks: how many count, by author.
        visits: the last visit, by author.
        verdicts: on an author's last visit, by author, with the name of the reviewer; a later visit asks for another.
    """

    marks: dict[str, int] = field(default_factory=dict)
    visits: dict[str, Visit] = field(default_factory=dict)
    verdicts: dict[str, tuple[Verdict, str]] = field(default_factory=dict)


class Annotator:
    """The layer of one author in one set of real marks.

    Every method that stores takes a uuid that the caller made: what is sent twice is stored once. When a method
    returns, what it was given is on the disk.

    Args:
        store: of the study.
        mark_set: the set; made at the first mark.
        author: whose layer.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> store = MarkStore(Path(tempfile.mkdtemp()) / "marks.sqlite")
        >>> reader = Annotator(store, "hand", "reader 1")
        >>> reader.draw("a", "lesion", Stroke(np.array([[0.0, 1.0]]), 1, (1, 3)), "u1")
        >>> reader.retract("a", "u1", "u2")
        >>> store.labels("a", "hand"), reader.history("a")[0].retracted
        ({}, 2)
        >>> reader.restore("a", "u1", "u3")
        >>> store.labels("a", "hand")["lesion"].astype(int).tolist()
        [[0, 1, 0]]
    """

    def __init__(self, store: MarkStore, mark_set: str, author: str) -> None:
        self.store = store
        self.mark_set = mark_set
        self.author = author

    def draw(self, case_id: str, structure: str | None, stroke: Stroke, uuid: str) -> None:
        """Mark a structure, :data:`tallymark.data.mark_layer.EXCLUDED` or, with None, erase of the own layer.

        Raises:
            StudyError: an unknown case or structure, another mark with this uuid, a set of simulated marks.
            StorageError: it cannot be written.
        """
        self._append("stroke" if structure else "erase", case_id, structure, stroke.encode(), uuid)

    def adopt(self, case_id: str, structure: str, mask: Bool[np.ndarray, "*space"], uuid: str) -> None:
        """Mark all pixels of a mask that someone else, or a model, made; they can be erased like any others."""
        self._append("raster", case_id, structure, encode_runs(mask), uuid)

    def nothing_here(self, case_id: str, shape: Sequence[int], uuid: str) -> None:
        """Say that an image of this shape shows none of the structures, but for what is marked."""
        self._append("nothing", case_id, None, encode_runs(np.ones(tuple(shape), bool)), uuid)

    def measure(self, case_id: str, structure: str, line: Stroke, uuid: str) -> None:
        """Keep a diameter: a line of two points. It marks nothing."""
        self._append("diameter", case_id, structure, line.encode(), uuid)

    def visit(self, case_id: str, visit: Visit, uuid: str) -> None:
        """Keep what a look at an image came to."""
        self._append("visit", case_id, None, json.dumps(asdict(visit)).encode(), uuid)

    def judge(self, case_id: str, verdict: Verdict, uuid: str) -> bool:
        """Keep what this author, as a reviewer, says of somebody's marks.

        Returns:
            Whether it is new.

        Raises:
            StudyError: it is of the own marks, or nobody of this name has left this image as done.
        """
        theirs = self.progress().get(case_id, Progress()).visits.get(verdict.of)
        if verdict.of == self.author or theirs is None or theirs.outcome == "skip":
            raise StudyError("there is nothing of this person to be judged on this image")
        return self._append("verdict", case_id, None, json.dumps(asdict(verdict)).encode(), uuid)

    def retract(self, case_id: str, target: str, uuid: str) -> None:
        """Take back an own mark; it stays in the file.

        Raises:
            StudyError: the author has no such mark on this image.
            StorageError: it cannot be written.
        """
        self._about("retract", case_id, target, uuid)

    def restore(self, case_id: str, target: str, uuid: str) -> None:
        """Let a mark count again that was taken back; else as :meth:`retract`."""
        self._about("restore", case_id, target, uuid)

    def history(self, case_id: str) -> tuple[Entry, ...]:
        """The own marks since the last clear, in their order, also those that were taken back.

        Raises:
            ReadError: a mark is damaged.
        """
        rows = self.store.tables.rows(
            "SELECT m.number, m.uuid, m.kind, m.structure, m.payload FROM mark m WHERE m.mark_set = :mark_set"
            " AND m.case_id = :case_id AND m.author = :author AND m.kind NOT IN ('visit', 'verdict')"
            f" AND {after_clear('m')} ORDER BY m.number",
            mark_set=self.mark_set,
            case_id=case_id,
            author=self.author,
        )
        retracted: dict[str, int] = {}
        for number, _, kind, _, payload in rows:
            if kind in ("retract", "restore"):
                retracted[payload.decode()] = number if kind == "retract" else 0
        return tuple(
            Entry(number, uuid, kind, structure, self._mark(kind, payload), retracted.get(uuid, 0))
            for number, uuid, kind, structure, payload in rows
            if kind not in ("retract", "restore", "clear")
        )

    def labels(self, case_id: str) -> dict[str, Bool[np.ndarray, "*space"]]:
        """What the own layer comes to; see :meth:`MarkStore.labels`. Empty before the first mark of the set."""
        known = self.store.tables.rows("SELECT 1 FROM mark_set WHERE name = :mark_set", mark_set=self.mark_set)
        return self.store.labels(case_id, self.mark_set, self.author) if known else {}

    def progress(self) -> dict[str, Progress]:
        """How far every image of the set is since the last clear, of all authors; images nobody touched are absent."""
        found: dict[str, Progress] = {}
        marks = f"SELECT m.case_id, m.author, COUNT(*) {visible(self.store.tables)} GROUP BY m.case_id, m.author"
        for case_id, author, count in self.store.tables.rows(marks, mark_set=self.mark_set):
            found.setdefault(case_id, Progress()).marks[author] = count
        visits = (
            "SELECT v.case_id, v.author, v.kind, v.payload FROM mark v WHERE v.mark_set = :mark_set"
            f" AND v.kind IN ('visit', 'verdict') AND {after_clear('v')} ORDER BY v.number"
        )
        for case_id, author, kind, payload in self.store.tables.rows(visits, mark_set=self.mark_set):
            progress = found.setdefault(case_id, Progress())
            if kind == "visit":
                progress.visits[author] = parsed(Visit, payload)
                progress.verdicts.pop(author, None)
            else:
                verdict = parsed(Verdict, payload)
                progress.verdicts[verdict.of] = verdict, author
        return found

    def _append(self, kind: str, case_id: str, structure: str | None, payload: bytes, uuid: str) -> bool:
        return self.store.append(self.mark_set, kind, case_id, structure, payload, self.author, uuid)

    def _about(self, kind: str, case_id: str, target: str, uuid: str) -> None:
        own = self.store.tables.rows(
            "SELECT 1 FROM mark WHERE uuid = :target AND author = :author AND mark_set = :mark_set"
            " AND case_id = :case_id AND kind NOT IN ('retract', 'restore', 'clear', 'visit', 'verdict')",
            target=target,
            author=self.author,
            mark_set=self.mark_set,
            case_id=case_id,
        )
        if not own:
            raise StudyError(f"'{self.author}' has no such mark on this image", found=target)
        self._append(kind, case_id, None, target.encode(), uuid)

    def _mark(self, kind: str, payload: bytes) -> Mark:
        return decode_mark("stroke" if kind == "diameter" else kind, payload)


@lru_cache(maxsize=100_000)  # all visits are read again whenever someone asks what comes next
def parsed(kind: type[T], payload: bytes) -> T:
    """A visit or a verdict from its row.

    Raises:
        ReadError: it is damaged.
    """
    try:
        return kind(**json.loads(payload))
    except (ValueError, TypeError) as error:
        raise ReadError(f"a {kind.__name__.lower()} is damaged", found=error) from error
