"""Masks out of scores: of all masks that agree with what was kept, the ones that the scores like best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from tallymark.core.projection import project
from tallymark.engine.evidence import Evidence
from tallymark.engine.neighbours import neighbours_say
from tallymark.engine.pieces import STREWN, in_large_pieces, in_touch
from tallymark.grow.order import order_of, rank
from tallymark.grow.together import share

# Out of the reach of any logit, but still in the order of the scores.
_BEYOND = 1e3
_FLAT = 2


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
    large: float = STREWN,
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
        touching: masks hold together, with their marks or with their large pieces (:mod:`tallymark.engine.pieces`).
        large: how large, of a structure that has not grown.

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
    ranked = Scored(
        score.astype(np.float64),
        evidence.least,
        evidence.most,
        forced=evidence.marks if trust else np.zeros_like(evidence.marks),
        barred=np.broadcast_to(evidence.excluded, evidence.marks.shape),
    )
    return _held_together(ranked, evidence, large) if touching else ranked


def _held_together(ranked: Scored, evidence: Evidence, large: float) -> Scored:
    guessed = ~evidence.grew
    first = _alone(ranked) if guessed.any() else ranked.forced
    held = [
        # No path leads through what is not the structure.
        in_large_pieces(np.where(barred, score.min(), score), mask, marks, large)
        if alone
        else in_touch(score, marks, order)
        for score, mask, barred, alone, marks, order in zip(
            ranked.score, first, ranked.barred, guessed, evidence.marks, evidence.order, strict=True
        )
    ]
    return ranked._replace(score=np.stack(held))


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
