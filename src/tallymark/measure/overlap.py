"""How well two masks agree: counts of pixels first, scores from the counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from tallymark.measure.statistics import require_same_shape


@dataclass(frozen=True)
class Overlap:
    """Pixels of a predicted and a true mask, counted; the overlaps of several images add up to the pooled one.

    Args:
        tp: pixels in both masks (true positives).
        fp: pixels in the predicted mask only.
        fn: pixels in the true mask only.

    Example:
        >>> one, other = Overlap(tp=1, fp=1, fn=0), Overlap(tp=3, fp=0, fn=1)
        >>> one.iou(), other.iou()
        (0.5, 0.75)
        >>> pooled = one + other
        >>> round(pooled.iou(), 4), pooled == sum([one, other], Overlap())  # 4 of 6 pixels
        (0.6667, True)
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    @classmethod
    def of(
        cls,
        predicted: Bool[np.ndarray, "*space"],
        truth: Bool[np.ndarray, "*space"],
        known: Bool[np.ndarray, "*space"] | None = None,
    ) -> Overlap:
        """Count the pixels of two masks.

        Args:
            predicted: True inside.
            truth: True inside.
            known: pixels whose truth is known; the others are left out. All by default.

        Raises:
            GeometryError: masks of different shapes.

        Example:
            >>> Overlap.of(np.array([True, True, False]), np.array([True, False, True]))
            Overlap(tp=1, fp=1, fn=1)
        """
        require_same_shape(predicted, truth)
        if known is not None:
            require_same_shape(predicted, known)
            predicted, truth = predicted & known, truth & known
        both = int((predicted & truth).sum())
        return cls(tp=both, fp=int(predicted.sum()) - both, fn=int(truth.sum()) - both)

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def both(self) -> int:
        """Pixels of the intersection."""
        return self.tp

    @property
    def either(self) -> int:
        """Pixels of the union."""
        return self.tp + self.fp + self.fn

    @property
    def predicted(self) -> int:
        """Pixels of the predicted mask."""
        return self.tp + self.fp

    @property
    def true(self) -> int:
        """Pixels of the true mask."""
        return self.tp + self.fn

    def iou(self, *, empty: float = 1.0) -> float:
        """Intersection over union (Jaccard index), in [0, 1].

        Args:
            empty: the score where both masks are empty. 1: an absence that was seen is right; NaN: leave it out. Where
                one of them is empty the score is 0.

        Example:
            >>> Overlap(tp=1, fp=2, fn=1).iou(), Overlap().iou(), Overlap(fp=1).iou()
            (0.25, 1.0, 0.0)
        """
        return self.tp / self.either if self.either else empty

    def dice(self, *, empty: float = 1.0) -> float:
        """Dice coefficient (F1 of the pixels), in [0, 1].

        Args:
            empty: the score where both masks are empty, as for :meth:`iou`.

        Example:
            >>> Overlap(tp=1, fp=1, fn=1).dice(), Overlap().dice(), Overlap(fn=1).dice()
            (0.5, 1.0, 0.0)
        """
        return 2 * self.tp / (self.predicted + self.true) if self.either else empty


def iou(
    predicted: Bool[np.ndarray, "*space"],
    truth: Bool[np.ndarray, "*space"],
    *,
    known: Bool[np.ndarray, "*space"] | None = None,
    empty: float = 1.0,
) -> float:
    """Intersection over union of two masks.

    Args:
        predicted: True inside.
        truth: True inside.
        known: pixels whose truth is known; the others are left out. All by default.
        empty: the score where both masks are empty.

    Returns:
        In [0, 1], or ``empty``.

    Raises:
        GeometryError: masks of different shapes.

    Example:
        >>> iou(np.array([True, True, False]), np.array([True, False, False]))
        0.5
    """
    return Overlap.of(predicted, truth, known).iou(empty=empty)


def dice(
    predicted: Bool[np.ndarray, "*space"],
    truth: Bool[np.ndarray, "*space"],
    *,
    known: Bool[np.ndarray, "*space"] | None = None,
    empty: float = 1.0,
) -> float:
    """Dice coefficient of two masks.

    Args:
        predicted: True inside.
        truth: True inside.
        known: pixels whose truth is known; the others are left out. All by default.
        empty: the score where both masks are empty.

    Returns:
        In [0, 1], or ``empty``.

    Raises:
        GeometryError: masks of different shapes.

    Example:
        >>> dice(np.array([True, True, False]), np.array([True, False, True]))
        0.5
    """
    return Overlap.of(predicted, truth, known).dice(empty=empty)


def pooled_iou(intersections: Iterable[int], unions: Iterable[int], *, empty: float = 1.0) -> float:
    """Intersection over union of all pixels of all images taken together.

    Large structures weigh more than small ones; the mean over images weighs each image the same. The two may differ
    by many points, so a table gives both.

    Args:
        intersections: pixels in both masks, for each image.
        unions: pixels in either mask, for each image.
        empty: the score where all masks are empty.

    Returns:
        In [0, 1], or ``empty``.

    Example:
        >>> round(pooled_iou([1, 3], [2, 4]), 4)  # the mean over images is 0.625
        0.6667
    """
    union = sum(unions)
    return sum(intersections) / union if union else empty
