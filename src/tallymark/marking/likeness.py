"""Which images look least like those that are marked already.

Farthest-first traversal (Gonzalez 1985, doi 10.1016/0304-3975(85)90224-5): the next image is the one whose nearest
marked image is farthest away. Distance is one less the correlation of two thumbnails, at best over the flips, as in
:mod:`tallymark.data.near_duplicates`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

import numpy as np
from jaxtyping import Float32

from tallymark.data.near_duplicates import standardised, thumbnail
from tallymark.data.study import Case
from tallymark.errors import TallymarkError

_FAR = 0.2
"""A distance from which on an image is said to be unlike the marked ones."""

Thumbnail = Float32[np.ndarray, "*small"]


class Likeness:
    """Thumbnails of a study's images, made in the background; nothing is said before all are there.

    Args:
        cases: whose images.
        make: the thumbnail of a case, made wherever it likes.
    """

    def __init__(self, cases: Sequence[Case], make: Callable[[Case], Thumbnail]) -> None:
        self._cases, self._make = cases, make
        self._rows: dict[str, int] = {}
        self._guard = threading.Lock()
        self._seen: set[int] = set()
        self._nearest = np.zeros(0, np.float32)  # of each image, the distance to the nearest of those seen
        self._flat = np.zeros((0, 0), np.float32)
        self._flips = np.zeros((0, 0, 0), np.float32)
        self._stopped = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, name="likeness", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until all thumbnails are there."""
        self._ready.wait()

    def close(self) -> None:
        """Make no more thumbnails."""
        self._stopped.set()

    def farthest(self, candidates: Sequence[str], marked: Collection[str], count: int) -> list[tuple[str, str]]:
        """The candidates that are farthest from all that is marked, and from each other.

        Args:
            candidates: ids of images.
            marked: ids of those that are marked.
            count: how many at most.

        Returns:
            Ids with the reason, the farthest first; none before anything is marked.
        """
        rows = {self._rows[name] for name in marked if name in self._rows}
        known = [name for name in candidates if name in self._rows]
        if not self._ready.is_set() or not rows or not known:
            return []
        own = np.array([self._rows[name] for name in known])
        distance = self._to_nearest(rows)[own]
        found = []
        for _ in range(min(count, len(known))):
            farthest = int(distance.argmax())
            if distance[farthest] < _FAR:
                break
            found.append((known[farthest], "far from others: unlike all that is marked"))
            distance = np.minimum(distance, self._distances(int(own[farthest]))[own])
            distance[farthest] = -1
        return found

    def _to_nearest(self, rows: set[int]) -> Float32[np.ndarray, "image"]:
        """The distance of each image to the nearest of some; what was seen before is not computed again."""
        with self._guard:
            if not self._seen <= rows or not self._seen:  # marks were cleared, or this is the first time
                self._seen, self._nearest = set(), np.full(len(self._flat), np.inf, np.float32)
            for row in rows - self._seen:
                self._nearest = np.minimum(self._nearest, self._distances(row))
            self._seen = set(rows)
            return self._nearest

    def _distances(self, row: int) -> Float32[np.ndarray, "image"]:
        return np.asarray(1 - (self._flips @ self._flat[row]).max(axis=0))

    def _work(self) -> None:
        found: dict[str, np.ndarray] = {}
        for case in self._cases:
            if self._stopped.is_set():
                return
            try:
                found[case.id] = self._make(case)
            except (TallymarkError, RuntimeError):
                continue  # it is told when it comes up to be marked; or the study was closed
        shapes = {small.shape for small in found.values()}
        if len(shapes) == 1:
            stack = np.stack(list(found.values()))
            self._flips = np.stack([standardised(np.flip(stack, axes)) for axes in ((), (-1,), (-2,), (-2, -1))])
            self._flat = self._flips[0]
            self._rows = {name: row for row, name in enumerate(found)}
        self._ready.set()


def thumbnail_of(case: Case) -> Thumbnail:
    """The thumbnail of a case.

    Raises:
        ReadError: the image cannot be read.
        GeometryError: it has neither 1 nor 3 channels.
    """
    return thumbnail(case.read())
