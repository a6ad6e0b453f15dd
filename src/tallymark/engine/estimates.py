"""How good a recovered mask is likely to be, without any mask to compare it with, and why it may not be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import label

from tallymark.engine.config import GrownTerm
from tallymark.engine.evidence import Evidence
from tallymark.engine.outlines import outlines, scored
from tallymark.measure import Overlap

# More logits than any network gives: growth alone ranks.
_ALONE = 1e4
BLIND = 0.65
"""Part of their steadiness that networks are worth without a mark, where no marked image tells it."""
UNSIZED = 0.7
"""Part of that which is left without a number, where no image of known size tells it."""
# Below these, a person should look.
_DISAGREE, _UNSTEADY = 0.5, 0.7
_BINS = 512
_HALVINGS = 30


class Trust(NamedTuple):
    """What networks by themselves are worth, by structure, in [0, 1]; see :func:`tallymark.engine.blind.trust`.

    Attributes:
        unmarked: of images without a mark, the part of their own steadiness.
        unsized: of images without a number, the part of what they would be worth with one.
    """

    unmarked: Float[np.ndarray, " k"]
    unsized: Float[np.ndarray, " k"]


@dataclass(frozen=True)
class Estimate:
    """What can be said of a recovered mask without the true one.

    Args:
        expected_iou: in [0, 1].
        agreement: overlap (IoU) of the growth's outline with that of the networks, both of the known size; NaN where
            there is only one of them.
        steadiness: mean overlap of the masks that single networks and views would give.
        reached: whether the mask has the known size, or one within the known interval.
        reasons: in words, why a person should look at it; none where nothing speaks against it.
    """

    expected_iou: float
    agreement: float
    steadiness: float
    reached: bool
    reasons: tuple[str, ...]


def estimates(
    evidence: Evidence,
    masks: Bool[np.ndarray, "k *space"],
    pulls: Float[np.ndarray, " k"],
    grown: GrownTerm,
    trust: Trust,
) -> list[Estimate]:
    """Estimate how good the masks of an image are.

    Args:
        evidence: of the image.
        masks: that were recovered.
        pulls: with which they were ranked, by structure.
        grown: settings of the growth.
        trust: what steadiness is worth where nothing has grown.
    """
    growth, networks = growth_outline(evidence, grown), networks_outline(evidence, grown)
    steady = steadiness_of(evidence, pulls, grown)
    worth = trust.unmarked * np.where(evidence.known, 1.0, trust.unsized)
    found = []
    for k, mask in enumerate(masks):
        agreement, with_growth = (
            Overlap.of(growth[k], other).iou() if evidence.grew[k] else math.nan for other in (networks[k], mask)
        )
        steadiness = float(steady[k])
        reached = not evidence.known[k] or evidence.least[k] <= mask.sum() <= evidence.most[k]
        found.append(
            Estimate(
                expected_iou=1.0
                if evidence.most[k] == 0 and not evidence.shared[k]  # an empty mask, which the number confirms
                else expected_iou(with_growth, Overlap.of(networks[k], mask).iou(), steadiness, float(worth[k])),
                agreement=agreement,
                steadiness=steadiness,
                reached=bool(reached),
                reasons=tuple(_reasons(evidence, k, mask, agreement, steadiness, bool(reached))),
            )
        )
    return found


def expected_iou(with_growth: float, with_networks: float, steadiness: float, blind: float = BLIND) -> float:
    """The overlap with the true mask that is to be expected: nine tenths of the mean overlap with its two sources.

    Growth and networks err in different ways: what they agree on is seldom wrong. Of a mask that has no growth, a part
    of how well the views of the networks agree, which is taken as 0.8 where there is one view.

    Args:
        with_growth: overlap of the mask with the outline of the growth; NaN where nothing has grown.
        with_networks: with the outline of the networks.
        steadiness: as in :class:`Estimate`.
        blind: that part, in [0, 1].

    Returns:
        In [0, 1].

    Source: ours. The constants were fixed once, on breast ultrasound and nuclei; docs/results/recover.md says how far
        the rule is off.

    Example:
        >>> expected_iou(0.8, 0.7, 0.9), round(expected_iou(math.nan, 1.0, 0.8, blind=0.5), 2)
        (0.675, 0.4)
    """
    if math.isnan(with_growth):
        return blind * (0.8 if math.isnan(steadiness) else steadiness)
    return 0.9 * (with_growth + with_networks) / 2


def probability(
    score: Float[np.ndarray, "*space"], mask: Bool[np.ndarray, "*space"], expected: float
) -> Float[np.ndarray, "*space"]:
    """Probability of every pixel to be of the structure, such that its sum is the size of the mask.

    sigmoid(score / t + b): b makes the sum the size of the mask, and t makes the mean inside the mask what the expected
    overlap says, 2 IoU / (1 + IoU) of masks of one size. A map of an empty mask is 0.

    Args:
        score: that ranked the pixels.
        mask: that was recovered.
        expected: overlap with the true mask, in [0, 1].

    Returns:
        float32 in [0, 1].

    Example:
        >>> score = np.linspace(4, -4, 100)
        >>> soft = probability(score, score > 1, expected=0.6)
        >>> round(float(soft.sum())), int((score > 1).sum()), round(float(soft[score > 1].mean()), 2)
        (38, 38, 0.75)
    """
    count = int(mask.sum())
    if count == 0 or count == mask.size:
        return mask.astype(np.float32)
    inside = 2 * expected / (1 + expected)
    # Where a mask ends is where its scores end; far from there a pixel is as sure as can be. Scores in bins are enough
    # to find both numbers.
    middle = (float(score[mask].min()) + float(score[~mask].max())) / 2
    offset = np.clip(score - middle, -30, 30)
    counts = [np.histogram(offset[part], bins=_BINS, range=(-30, 30))[0] for part in (mask, ~mask)]
    centres = (np.arange(_BINS) + 0.5) * 60 / _BINS - 30

    def shifted(temperature: float) -> float:
        low, high = -60.0 / temperature, 60.0 / temperature
        for _ in range(_HALVINGS):
            shift = (low + high) / 2
            enough = float(((counts[0] + counts[1]) * _sigmoid(centres / temperature + shift)).sum()) >= count
            low, high = (low, shift) if enough else (shift, high)
        return (low + high) / 2

    cold, warm = math.log(0.02), math.log(50.0)
    for _ in range(_HALVINGS):
        temperature = math.exp((cold + warm) / 2)
        soft = _sigmoid(centres / temperature + shifted(temperature))
        surer = float((counts[0] * soft).sum()) / count > inside
        cold, warm = (math.log(temperature), warm) if surer else (cold, math.log(temperature))
    return np.asarray(_sigmoid(offset / temperature + shifted(temperature)), dtype=np.float32)


def growth_outline(evidence: Evidence, grown: GrownTerm) -> Bool[np.ndarray, "k *space"]:
    """The outline of the growth, of the known size."""
    return _cut(evidence, np.full(len(evidence.marks), _ALONE), grown)


def networks_outline(evidence: Evidence, grown: GrownTerm) -> Bool[np.ndarray, "k *space"]:
    """The outline of the networks, of the known size."""
    return _cut(evidence, np.zeros(len(evidence.marks)), grown)


def steadiness_of(evidence: Evidence, pulls: Float[np.ndarray, " k"], grown: GrownTerm) -> Float[np.ndarray, " k"]:
    """As in :class:`Estimate`, by structure; NaN where there is one view."""
    views = np.stack([_cut(replace(evidence, logits=view[None]), pulls, grown) for view in evidence.logits])
    return np.array([_mean_overlap(views[:, k].reshape(len(views), -1)) for k in range(views.shape[1])])


def _mean_overlap(masks: Bool[np.ndarray, "v n"]) -> float:
    """Mean IoU of all pairs of some masks, 1 where both are empty; NaN of a single one.

    Example:
        >>> round(_mean_overlap(np.array([[True, True, False], [True, False, False], [True, True, True]])), 6)
        0.5
    """
    if len(masks) < 2:
        return math.nan
    # A product of matrices counts what all pairs have in common; pixels of none add nothing.
    flat = masks[:, masks.any(axis=0)].astype(np.float32)
    both = (flat @ flat.T).astype(np.float64)
    sizes = both.diagonal()
    either = sizes[:, None] + sizes - both
    pairs = np.triu_indices(len(masks), 1)
    return float(np.where(either == 0, 1.0, both / np.maximum(either, 1))[pairs].mean())


def overlaps(one: Bool[np.ndarray, "k *space"], other: Bool[np.ndarray, "k *space"]) -> Float[np.ndarray, " k"]:
    """Overlap (IoU) of the masks of each structure."""
    return np.array([Overlap.of(*both).iou() for both in zip(one, other, strict=True)])


def _cut(evidence: Evidence, pulls: Float[np.ndarray, " k"], grown: GrownTerm) -> Bool[np.ndarray, "k *space"]:
    return outlines([scored(evidence, pulls, reach=grown.reach, trust=grown.trust, touching=False)])[0]


def _reasons(
    evidence: Evidence, k: int, mask: np.ndarray, agreement: float, steadiness: float, reached: bool
) -> Sequence[str]:
    marked, found = int(evidence.marks[k].sum()), []
    if not evidence.known[k]:
        found.append("no number: the networks' own outline")
    elif evidence.most[k] == 0 and evidence.shared[k]:
        found.append("by the networks, others have all of the group's number")
    elif evidence.most[k] == 0:
        return [f"the number is 0, but {marked} pixels are marked"] if marked else []
    if not reached:
        found.append(f"number not reached: {int(mask.sum())} pixels of {int(evidence.least[k])}")
    if marked == 0:
        found.append("no mark: the networks alone")
    elif evidence.known[k] and marked > evidence.most[k]:
        found.append("more is marked than the number says")
    if agreement < _DISAGREE:
        found.append("networks and growth disagree")
    if steadiness < _UNSTEADY:
        found.append("the networks are unsure")
    if _touches_border(mask):
        found.append("touches the border of the image")
    return found


def _touches_border(mask: Bool[np.ndarray, "*space"]) -> bool:
    """Whether the pieces that reach the first or last row or column are most of a mask, which then goes on beyond.

    Of many small structures some always do. The first and last planes of a stack are no border.

    Example:
        >>> alone, strewn = np.zeros((2, 9, 9), dtype=bool)
        >>> alone[:3, 4:6] = True
        >>> strewn[0, 4], strewn[3:5, 2:4], strewn[6, 6] = True, True, True
        >>> _touches_border(alone), _touches_border(strewn)
        (True, False)
    """
    pieces, _ = label(mask, np.ones((3,) * mask.ndim))
    sides = [pieces[..., 0], pieces[..., -1], pieces[..., 0, :], pieces[..., -1, :]]
    reaching = np.isin(pieces, np.concatenate([side.ravel() for side in sides])) & mask
    return bool(2 * reaching.sum() > mask.sum())


def _sigmoid(values: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -80, 80))))
