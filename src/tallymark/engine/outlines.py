"""Masks out of scores: of all masks that agree with what was kept, the ones that the scores like best."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from skimage.morphology import reconstruction

from tallymark.core.projection import project
from tallymark.engine.evidence import Evidence
from tallymark.engine.neighbours import neighbours_say
from tallymark.grow.order import order_of, rank
from tallymark.grow.together import share

# Out of the reach of any logit, but still in the order of the scores.
_BEYOND = 1e3
# Share of a growth that may lie apart from the marks: pixels of marks that a coarser grid moved.
_APART = 0.02
_FLAT = 2
# Logits that a step behind a bottleneck costs.
_BEHIND = 1e-6


class Scored(NamedTuple):
    """An image, its pixels ranked, and what its masks must agree with.

    Attributes:
        score: the higher the sooner; above 0 where a structure is believed to be.
        least: pixels of each structure, at least; NaN where nothing is known.
        most: pixels of each structure, at most; NaN where nothing is known.
        forced: pixels of the mask in any case.
        barred: pixels that are never of the mask, unless forced.
    """

    score: Float[np.ndarray, "k *space"]
    least: Float[np.ndarray, " k"]
    most: Float[np.ndarray, " k"]
    forced: Bool[np.ndarray, "k *space"]
    barred: Bool[np.ndarray, "k *space"]


def scored(
    evidence: Evidence,
    pulls: Float[np.ndarray, " k"],
    *,
    image: Float[np.ndarray, "*space c"] | None = None,
    reach: float = 3.0,
    trust: bool = True,
    touching: bool = True,
) -> Scored:
    """Rank the pixels of an image by networks and growth together: ``logit + pull * (1 - order)``.

    At the outline of the growth the order is 1 and the networks alone decide; a structure that has not grown is ranked
    by them alone.

    Args:
        evidence: of the image.
        pulls: logits that a place in the order of growth is worth, by structure.
        image: its intensities; in 2-D near pixels that look alike then belong together
            (:func:`tallymark.engine.neighbours.neighbours_say`). None: pixels are ranked one by one.
        reach: pixels beyond so many times the area, in the order of growth, come after all others.
        trust: marked pixels belong to the mask in any case.
        touching: see :func:`in_touch`.

    Example:
        >>> from pathlib import Path
        >>> from tallymark.data.study import Case
        >>> row = lambda *values: np.array([[values]], dtype=np.float32)
        >>> marked = row(0, 0, 0, 0, 0, 1) > 0
        >>> evidence = Evidence(
        ...     Case("a", Path("a.png")), logits=row(-1, 2, 1, -1, 0, -3)[None], order=row(0.5, 1, 2, 3, 1, 0.1),
        ...     marks=marked, excluded=~marked[0] & marked[0], least=np.array([3.0]), most=np.array([3.0]),
        ...     shared=np.array([False]),
        ... )
        >>> scored(evidence, np.array([2.0]), reach=9.0).score.round(1)
        array([[[ 0. ,  2. , -1. , -5. ,  0. , -1.2]]])
        >>> outlines([scored(evidence, np.array([2.0]))])[0].astype(int).tolist()  # the marked pixel is forced
        [[[1, 1, 0, 0, 0, 1]]]
    """
    each = (-1, *(1,) * evidence.excluded.ndim)
    order = np.where(evidence.grew.reshape(each), evidence.order, 1.0)
    farthest = reach ** (1 / evidence.excluded.ndim)
    score = evidence.logit + np.reshape(pulls, each) * (1 - order)
    if image is not None and evidence.excluded.ndim == _FLAT:
        believed = np.where(evidence.excluded, -_BEYOND, np.where(evidence.marks & trust, _BEYOND, score))
        score = score + neighbours_say(believed, image, evidence.least, evidence.most)
    score = score - _BEYOND * (order > farthest)
    if touching:
        score = np.stack([in_touch(*one) for one in zip(score, evidence.marks, evidence.order, strict=True)])
    return Scored(
        score.astype(np.float64),
        evidence.least,
        evidence.most,
        forced=evidence.marks if trust else np.zeros_like(evidence.marks),
        barred=np.broadcast_to(evidence.excluded, evidence.marks.shape),
    )


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
    top = score.max()
    ceiling = np.where(marks, top, score).astype(np.float64)
    reached = reconstruction(np.where(marks, top, score.min()), ceiling, footprint=np.ones((3,) * score.ndim))
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


def outlines(cases: Sequence[Scored]) -> list[Bool[np.ndarray, "k *space"]]:
    """The masks of some images: each of its size, with the largest sum of scores, and no pixel in two of an image.

    This is the one place where scores become masks. Sizes are known image by image, so that each image is cut alone.

    Args:
        cases: images whose sizes may depend on each other.

    Returns:
        One array an image. A structure of which nothing is known has the pixels with a score above 0 that no other
        holds. Fewer pixels than the size says where so many are barred.

    Source: projection to the known size as :func:`tallymark.core.projection.project`; structures that want the same
        pixels share them out by deferred acceptance, as growth does (:func:`tallymark.grow.together.share`).

    Example:
        >>> nothing = np.zeros((2, 1, 4), dtype=bool)
        >>> wanted = np.array([[[3.0, 2.0, 1.0, -1.0]], [[-1.0, 1.5, 2.0, 1.0]]])
        >>> left, right = outlines([Scored(wanted, np.full(2, 2.0), np.full(2, 2.0), nothing, nothing)])[0]
        >>> left.astype(int).tolist(), right.astype(int).tolist()
        ([[1, 1, 0, 0]], [[0, 0, 1, 1]])
    """
    return [_apart(case, _alone(case)) for case in cases]


def _alone(case: Scored) -> Bool[np.ndarray, "k *space"]:
    """Each structure as if there were no other."""
    pixels = case.barred[0].size
    low, high = (torch.from_numpy(end[None] / pixels) for end in (case.least, case.most))
    forced, barred = (torch.tensor(region)[None] for region in (case.forced, case.barred))
    mask = project(
        torch.from_numpy(case.score)[None], torch.full_like(low, torch.nan), low, high, forced=forced, barred=barred
    )
    return np.asarray(mask[0].numpy() > 0)


def _apart(case: Scored, masks: Bool[np.ndarray, "k *space"]) -> Bool[np.ndarray, "k *space"]:
    """Masks that share no pixel, each of the size that it has alone."""
    if not (masks.sum(axis=0) > 1).any():
        return masks
    sized = np.flatnonzero(~np.isnan(case.least) & masks.reshape(len(masks), -1).any(axis=1))
    counts = [int(masks[k].sum()) for k in sized]
    orders = []
    for k, count in zip(sized, counts, strict=True):
        forced = case.forced[k]
        others = case.forced[np.arange(len(masks)) != k].any(axis=0) & ~forced
        cost = np.where((case.barred[k] & ~forced) | others, np.inf, -case.score[k])
        orders.append(order_of(rank(cost, forced), count).ravel())
    apart = np.zeros_like(masks)
    taken = np.zeros(masks.shape[1:], dtype=bool)
    if len(sized):
        owner = share(np.stack(orders), counts).reshape(masks.shape[1:])
        apart[sized] = owner == np.arange(len(sized)).reshape(-1, *(1,) * owner.ndim)
        taken = owner >= 0
    best = np.where(masks, case.score, -np.inf).argmax(axis=0)
    for j in set(range(len(masks))) - set(sized.tolist()):
        apart[j] = masks[j] & ~taken & (best == j)
    return apart
