"""How far networks can be trusted where no mark or no number is, told by images where something is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from tallymark.engine.config import GrownTerm
from tallymark.engine.estimates import (
    BLIND,
    UNSIZED,
    Trust,
    growth_outline,
    networks_outline,
    overlaps,
    steadiness_of,
)
from tallymark.engine.evidence import Evidence

# Fewer images say too little of all the others.
_FEWEST = 4


def trust(evidences: Iterable[Evidence], structures: int, grown: GrownTerm) -> Trust:
    """How much of their own steadiness networks are worth on images without a mark, and without a number.

    Networks that learned from few marks are surer of themselves than they are right. On a marked image, whose mark
    they are not told, their outline can be compared with its growth: the mean overlap of the two, over the mean
    overlap of the networks' own views, is what their steadiness is worth elsewhere. On an image of known size, the mean
    overlap of what they outline of themselves with the same cut to the number is what is left without one.

    Args:
        evidences: of images that networks have not learned from; what is not of known size there does not count, nor
            for the first does what is not marked.
        structures: how many.
        grown: settings of the growth.

    Returns:
        0.65 and 0.7 where fewer than four images tell.

    Source: ours; docs/results/recover.md says how far the expectation is off.
    """
    overlap, steady, left = [], [], []
    for evidence in evidences:
        sized = evidence.known & (evidence.most > 0) & ~evidence.shared
        told = evidence.grew & sized
        blind = replace(evidence, order=np.full_like(evidence.order, np.nan), marks=np.zeros_like(evidence.marks))
        cut = networks_outline(blind, grown)
        unknown = np.full(structures, np.nan)
        alone = networks_outline(replace(blind, least=unknown, most=unknown), grown)
        left.append(np.where(sized, overlaps(cut, alone), np.nan))
        if told.any():
            overlap.append(np.where(told, overlaps(growth_outline(evidence, grown), cut), np.nan))
            steady.append(np.where(told, steadiness_of(blind, np.zeros(structures), grown), np.nan))
    return Trust(
        _worth(np.reshape(overlap, (-1, structures)), np.reshape(steady, (-1, structures)), BLIND),
        _worth(np.reshape(left, (-1, structures)), np.ones((len(left), structures)), UNSIZED),
    )


def _worth(found: Float[np.ndarray, "n k"], of: Float[np.ndarray, "n k"], unknown: float) -> Float[np.ndarray, " k"]:
    """The sum of what was found over that of which it is a part, at most 1; as given where too few are known."""
    compared = ~np.isnan(found) & ~np.isnan(of)
    ratio = np.where(compared, found, 0).sum(axis=0) / np.maximum(np.where(compared, of, 0).sum(axis=0), 1e-9)
    return np.where(compared.sum(axis=0) >= _FEWEST, np.clip(ratio, 0, 1), unknown)
