"""How far networks can be trusted where nothing is marked, told by images where something is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from tallymark.engine.config import GrownTerm
from tallymark.engine.estimates import BLIND, growth_outline, networks_outline, overlaps, steadiness_of
from tallymark.engine.evidence import Evidence

# Fewer images say too little of all the others.
_FEWEST = 4


def trust_without_marks(evidences: Iterable[Evidence], structures: int, grown: GrownTerm) -> Float[np.ndarray, " k"]:
    """The part of their own steadiness that networks are worth on images without a mark.

    Networks that learned from few marks are surer of themselves than they are right. On a marked image, whose mark
    they are not told, their outline can be compared with its growth: the mean overlap of the two, over the mean
    overlap of the networks' own views, is what their steadiness is worth elsewhere.

    Args:
        evidences: of images that networks have not learned from; what is not marked there, or not of known size, does
            not count.
        structures: how many.
        grown: settings of the growth.

    Returns:
        In [0, 1] by structure; 0.65 where fewer than four images tell.

    Source: ours; docs/results/recover.md says how far the expectation is off.
    """
    overlap, steady = [], []
    for evidence in evidences:
        told = evidence.grew & evidence.known & (evidence.most > 0) & ~evidence.shared
        if not told.any():
            continue
        blind = replace(evidence, order=np.full_like(evidence.order, np.nan), marks=np.zeros_like(evidence.marks))
        both = overlaps(growth_outline(evidence, grown), networks_outline(blind, grown))
        overlap.append(np.where(told, both, np.nan))
        steady.append(np.where(told, steadiness_of(blind, np.zeros(structures), grown), np.nan))
    found = np.full(structures, BLIND)
    if not overlap:
        return found
    compared = ~np.isnan(overlap) & ~np.isnan(steady)
    enough = compared.sum(axis=0) >= _FEWEST
    worth = np.where(compared, overlap, 0).sum(axis=0) / np.maximum(np.where(compared, steady, 0).sum(axis=0), 1e-9)
    return np.where(enough, np.clip(worth, 0, 1), found)
