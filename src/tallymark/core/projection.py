"""Projection to a known size: of all masks with so many pixels, the one that a score likes best."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tallymark.core.intervals import interval
from tallymark.core.reduce import full_precision, require_same_shape
from tallymark.errors import ConfigError

_HALVINGS = 40


def project(
    score: Float[Tensor, "b k *space"],
    value: Float[Tensor, "b k"],
    low: Float[Tensor, "b k"],
    high: Float[Tensor, "b k"],
    *,
    forced: Bool[Tensor, "b k *space"] | None = None,
    barred: Bool[Tensor, "b k *space"] | None = None,
    temperature: float = 0.0,
) -> Float[Tensor, "b k *space"]:
    """The mask of the known size with the largest sum of scores, or a soft one of that size.

    Hard: 1 at the pixels with the highest scores, as many as the size says. Soft: sigmoid(score / t + b), with b such
    that the sum over the image is the size. Of an interval, the size within it that is nearest to the score's own (the
    pixels with score > 0): a prediction that is inside already stays as it is.

    Args:
        score: logits, or anything that ranks pixels; finite.
        value: the known share of the image, in [0, 1]; NaN where unknown.
        low: lower end of the interval; NaN where there is none.
        high: upper end; NaN where there is none.
        forced: pixels that belong to the mask in any case; more of them than the size says keep the best.
        barred: pixels that never do, unless forced; fewer free pixels than the size says are all taken.
        temperature: t; 0 is hard.

    Returns:
        In [0, 1], without a gradient. Where nothing is known, the score's own mask.

    Raises:
        ConfigError: a negative temperature.
        GeometryError: shapes that differ.

    Source: the projection of a prediction to its number is the cut that assigns labels under a known marginal (Tai,
        Bailis & Valiant 2021, arXiv 2102.08622, of whole classes there); ours: for each image and structure, with
        intervals, marks and barred pixels.

    Example:
        >>> score, unknown = torch.tensor([[[[3.0, 1.0, -1.0, -2.0]]]]), torch.tensor([[torch.nan]])
        >>> project(score, torch.tensor([[0.75]]), unknown, unknown).tolist()
        [[[[1.0, 1.0, 1.0, 0.0]]]]
        >>> project(score, unknown, torch.tensor([[0.0]]), torch.tensor([[0.25]])).tolist()
        [[[[1.0, 0.0, 0.0, 0.0]]]]
        >>> round(project(score, torch.tensor([[0.75]]), unknown, unknown, temperature=1.0).sum().item(), 4)
        3.0
    """
    if temperature < 0:
        raise ConfigError("the temperature of a projection cannot be negative", found=temperature, expected=">= 0")
    with torch.no_grad():
        flat = full_precision(score).flatten(2)
        own = (flat > 0).to(flat)
        pixels = flat.shape[2]
        least, most = interval(value, value, low, high)
        known = ~(least.isnan() | most.isnan())
        count = torch.minimum(torch.maximum(own.sum(dim=2), _pixels(least, pixels)), _pixels(most, pixels))
        count = torch.where(known, count, own.sum(dim=2))
        ranked = flat.clone()
        ahead = torch.zeros_like(own, dtype=torch.bool)
        for region, sign in ((barred, -1.0), (forced, 1.0)):
            if region is not None:
                require_same_shape(score, region, "score and region")
                inside = region.flatten(2)
                # Out of the reach of any logit, but still in the order of the scores among themselves.
                ranked = torch.where(inside, flat + sign * 1e6, ranked)
                ahead = inside if sign > 0 else ahead
        mask = _soft(ranked / temperature, count) if temperature > 0 else _top(ranked, count)
        mask = torch.where(known[..., None], mask, own)
        if barred is not None:
            mask = mask * (~barred.flatten(2) | ahead)
        return mask.reshape(score.shape)


def _pixels(share: Float[Tensor, "b k"], pixels: int) -> Float[Tensor, "b k"]:
    """Whole pixels; a share above zero is at least one."""
    finite = share.nan_to_num(nan=0.0, posinf=1.0, neginf=0.0).clamp(0, 1)
    return torch.maximum((finite * pixels + 0.5).floor(), (finite > 0).to(finite))


def _top(score: Float[Tensor, "b k n"], count: Float[Tensor, "b k"]) -> Float[Tensor, "b k n"]:
    order = score.argsort(dim=2, descending=True, stable=True)
    place = torch.arange(score.shape[2], device=score.device).expand_as(order)
    ranks = torch.empty_like(order).scatter_(2, order, place)
    return (ranks < count[..., None]).to(score)


def _soft(score: Float[Tensor, "b k n"], count: Float[Tensor, "b k"]) -> Float[Tensor, "b k n"]:
    pixels = score.shape[2]
    # Between these two shifts the sum runs from nearly none to nearly all.
    reach = score.clamp(-1e3, 1e3).abs().amax(dim=2) + 30
    score = score.clamp(-1e3, 1e3)
    lower, upper = -reach, reach
    for _ in range(_HALVINGS):
        middle = (lower + upper) / 2
        below = torch.sigmoid(score + middle[..., None]).sum(dim=2) < count
        lower, upper = torch.where(below, middle, lower), torch.where(below, upper, middle)
    soft = torch.sigmoid(score + ((lower + upper) / 2)[..., None])
    # The ends of the range are reached exactly.
    soft = torch.where((count == 0)[..., None], torch.zeros_like(soft), soft)
    return torch.where((count == pixels)[..., None], torch.ones_like(soft), soft)
