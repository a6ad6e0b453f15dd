"""Scores after which masks hold together: with their marks, or, where there is none, with their own large pieces."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from skimage.morphology import reconstruction

# Share of a growth that may lie apart from the marks: pixels of marks that a coarser grid moved.
_APART = 0.02
STREWN, COMPACT = 0.02, 0.1
"""Pieces of so much of the largest one are believed without a mark: of what may be strewn over the image, and of what
is in one place wherever it was marked."""
# Logits that a step behind a bottleneck costs.
_BEHIND = 1e-6


def in_touch(
    score: Float[np.ndarray, "*space"], marks: Bool[np.ndarray, "*space"], order: Float[np.ndarray, "*space"]
) -> Float[np.ndarray, "*space"]:
    """Scores after which a mask keeps in touch with its marks, where its growth does.

    A pixel has no higher score than the best path from a mark to it has at its worst, so that every piece of a mask, of
    whatever size, holds a mark. Where the growth itself has found pieces without one, scores stay as they are.

    Args:
        score: of one structure.
        marks: of the structure.
        order: places in the order of growth; NaN throughout where nothing has grown.

    Source: the widest path, by grey-scale reconstruction from the marks (Vincent 1993, doi 10.1109/83.217222).

    Example:
        >>> marks, order = np.array([[False, True, False, False, False]]), np.array([[2.0, 0.5, 0.9, 3.0, 3.0]])
        >>> in_touch(np.array([[1.0, 0.0, 2.0, -3.0, 5.0]]), marks, order).round(1)
        array([[ 1.,  5.,  2., -3., -3.]])
    """
    if not marks.any() or not _one_piece(order < 1, marks):
        return score
    return _led_to(score, marks)


def in_large_pieces(
    score: Float[np.ndarray, "*space"],
    mask: Bool[np.ndarray, "*space"],
    marks: Bool[np.ndarray, "*space"],
    large: float,
) -> Float[np.ndarray, "*space"]:
    """Scores after which every piece of a mask holds a large piece of what the scores alone would give, or a mark.

    Where networks are unsure, specks all over the image are as likely to them as the structure. Pixels lead to a large
    piece as those of a structure that has grown lead to a mark. Where structures are in one place and this one is
    marked, though of unknown size, they lead to its marks alone.

    Args:
        score: of one structure.
        mask: that the scores alone give.
        marks: of the structure, which has not grown from them.
        large: pieces of at least so much of its largest one are large.

    Source: ours; docs/results/recover.md says what it is worth.

    Example:
        >>> score = np.array([[5.0] * 21 + [-1.0, 4.0, 4.0, 2.0]])
        >>> np.flatnonzero(in_large_pieces(score, score > 3, score > 9, COMPACT) > 3).tolist() == list(range(21))
        True
    """
    if marks.any() and large >= COMPACT:
        return _led_to(score, marks)
    pieces, count = label(mask, np.ones((3,) * mask.ndim))
    if count < 2:
        return score
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    believed = ((sizes >= large * sizes.max())[pieces] & mask) | marks
    # They come before all others as it is, and go on being ranked among themselves.
    return np.where(believed, score, _led_to(score, believed))


def _led_to(score: Float[np.ndarray, "*space"], seeds: Bool[np.ndarray, "*space"]) -> Float[np.ndarray, "*space"]:
    """Scores of which none is higher than the best path from a seed to its pixel has at its worst."""
    top = score.max()
    ceiling = np.where(seeds, top, score).astype(np.float64)
    reached = reconstruction(np.where(seeds, top, score.min()), ceiling, footprint=np.ones((3,) * score.ndim))
    return np.asarray(reached - _BEHIND * _steps_behind(reached, ceiling))


def _steps_behind(
    reached: Float[np.ndarray, "*space"], ceiling: Float[np.ndarray, "*space"]
) -> Float[np.ndarray, "*space"]:
    """How many steps a pixel lies behind the bottleneck that gives it its score; 0 where it is none's.

    Pixels behind one bottleneck have one score. They join in the order of their steps from it: in any other, some would
    come before those that lead to them.
    """
    behind = ceiling > reached
    number = np.cumsum(behind).reshape(behind.shape) * behind  # from 1; 0 is where all paths begin
    one, other = [], []
    for shift in itertools.product((-1, 0, 1), repeat=behind.ndim):
        here, there = (
            tuple(slice(max(0, sign * s), n + min(0, sign * s)) for s, n in zip(shift, behind.shape, strict=True))
            for sign in (1, -1)
        )
        # A step leads from a pixel that is not behind, or from another behind the same bottleneck.
        leads = behind[here] & (reached[there] >= reached[here]) & (any(shift))
        one.append(number[there][leads])
        other.append(number[here][leads])
    ends = np.concatenate(one), np.concatenate(other)
    graph = coo_array((np.ones(len(ends[0])), ends), shape=(int(behind.sum()) + 1,) * 2).tocsr()
    steps = dijkstra(graph, indices=0, unweighted=True)
    steps[~np.isfinite(steps)] = len(steps)
    return np.asarray(steps[number])


def _one_piece(growth: Bool[np.ndarray, "*space"], marks: Bool[np.ndarray, "*space"]) -> bool:
    """Whether a growth, up to a few pixels, holds together with the marks."""
    pieces, _ = label(growth | marks, np.ones((3,) * marks.ndim))
    apart = growth & ~np.isin(pieces, np.unique(pieces[marks]))
    return bool(growth.any() and apart.sum() <= _APART * growth.sum())
