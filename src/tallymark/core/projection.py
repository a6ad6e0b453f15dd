"""Projection to a known size: of all masks with so many pixels, the one that a score likes best."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from tallymark.core.intervals import interval
from tallymark.core.reduce import full_precision, places, require_same_shape
from tallymark.errors import ConfigError, GeometryError

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
    pixels with score > 0, forced ones and no barred ones): a prediction that is inside already stays as it is.

    Args:
        score: logits, or anything that ranks pixels; finite.
        value: the known share of the image, in [0, 1]; NaN where unknown.
        low: lower end of the interval; NaN where there is none.
        high: upper end; NaN where there is none.
        forced: pixels that belong to the mask in any case; more of them than the size says keep the best.
        barred: pixels that never do, unless forced; fewer free pixels than the size says are all taken.
        temperature: t; 0 is hard.

    Returns:
        In [0, 1], without a gradient. Where nothing is known, the score's own mask, with
        what is forced and without what is barred.

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
    require_temperature(temperature)
    with torch.no_grad():
        flat = full_precision(score).flatten(2)
        pixels = flat.shape[2]
        least, most = interval(value, value, low, high)
        known = ~(least.isnan() | most.isnan())
        regions = []
        for region in (forced, barred):
            if region is not None:
                require_same_shape(score, region, "score and region")
            regions.append(None if region is None else region.flatten(2))
        ranked = _ahead(flat, *regions)
        own = (ranked > 0).to(flat)
        wanted = own.sum(dim=2)
        count = torch.minimum(torch.maximum(wanted, _pixels(least, pixels)), _pixels(most, pixels))
        count = torch.where(known, count, wanted)
        mask = _soft(ranked / temperature, count) if temperature > 0 else _top(ranked, count)
        return _without(torch.where(known[..., None], mask, own), *regions).reshape(score.shape)


def project_pooled(
    scores: Sequence[Float[Tensor, "..."]],
    value: float,
    low: float = math.nan,
    high: float = math.nan,
    *,
    weights: Sequence[float] | None = None,
    forced: Sequence[Bool[Tensor, "..."]] | None = None,
    barred: Sequence[Bool[Tensor, "..."]] | None = None,
    temperature: float = 0.0,
) -> list[Float[Tensor, "..."]]:
    """The masks of one structure in several images that have the known size together, by one threshold for all.

    As :func:`project` on all pixels of the images at once: hard, the pixels of the highest scores wherever they are;
    soft, sigmoid(score / t + b) with one b. So an image gets more of the total where its scores say so, and none where
    they do not.

    Args:
        scores: of the images, which may differ in shape; logits, or anything that ranks the pixels of all of them.
        value: the known share of all pixels together, in [0, 1]; NaN where unknown.
        low: lower end of the interval; NaN where there is none.
        high: upper end; NaN where there is none.
        weights: what a pixel of each image counts, > 0: its area, or how many original pixels it stands for. Pixels
            that count differently are taken in the order of their scores until the total is nearest.
        forced: pixels that belong to the masks in any case, for each image.
        barred: pixels that never do, unless forced.
        temperature: t; 0 is hard.

    Returns:
        A mask for each image, in [0, 1], without a gradient. Where nothing is known, the scores' own masks,
        with what is forced and without what is barred.

    Raises:
        ConfigError: a negative temperature, weights that are not positive.
        GeometryError: shapes that differ, or not as many weights as images.

    Source: ours; see :func:`project`.

    Example:
        >>> one, other = torch.tensor([3.0, -1.0]), torch.tensor([2.0, 1.0, -2.0, -3.0])
        >>> [mask.tolist() for mask in project_pooled([one, other], 0.5)]  # 3 of 6 pixels
        [[1.0, 0.0], [1.0, 1.0, 0.0, 0.0]]
        >>> [mask.tolist() for mask in project_pooled([one, other], 0.5, weights=[4.0, 1.0])]  # 6 of 12
        [[1.0, 0.0], [1.0, 1.0, 0.0, 0.0]]
    """
    require_temperature(temperature)
    if not scores:
        return []
    counts = [1.0] * len(scores) if weights is None else [float(one) for one in weights]
    if len(counts) != len(scores):
        raise GeometryError("every image has a weight", found=len(counts), expected=len(scores))
    if not all(0 < one < math.inf for one in counts):
        raise ConfigError("the weight of a pixel is positive", found=counts, expected="> 0")
    with torch.no_grad():
        flat = _joined(scores, scores, "score")
        regions = [None if r is None else _joined(r, scores, "score and region") for r in (forced, barred)]
        # Sums over whole volumes need more digits than single precision has.
        each = [one.new_full((one.numel(),), w, dtype=torch.float64) for one, w in zip(scores, counts, strict=True)]
        weight = torch.cat(each)
        ranked = _ahead(full_precision(flat), *regions)
        number = [weight.new_tensor([[x]]) for x in (value, value, low, high)]
        ends = interval(*number)
        if bool(ends[0].isnan()):
            mask = (ranked > 0).to(flat)
        else:
            total = weight.sum()
            least, most = (end.nan_to_num(posinf=1.0, neginf=0.0).clamp(0, 1) * total for end in ends)
            amount = torch.minimum(torch.maximum(((ranked > 0) * weight).sum(dim=2), least), most)
            mask = _soft(ranked / temperature, amount, weight) if temperature > 0 else _top(ranked, amount, weight)
        mask = _without(mask, *regions)[0, 0].to(full_precision(scores[0]))
        parts = torch.split(mask, [one.numel() for one in scores])
        return [part.reshape(one.shape) for part, one in zip(parts, scores, strict=True)]


def require_temperature(temperature: float) -> None:
    """Refuse a negative temperature.

    Raises:
        ConfigError: it is negative.

    Example:
        >>> require_temperature(-1.0)
        Traceback (most recent call last):
        ...
        tallymark.errors.ConfigError: the temperature of a projection cannot be negative; found -1.0; expected >= 0
    """
    if temperature < 0:
        raise ConfigError("the temperature of a projection cannot be negative", found=temperature, expected=">= 0")


def _joined(
    parts: Sequence[Shaped[Tensor, "..."]], like: Sequence[Shaped[Tensor, "..."]], names: str
) -> Shaped[Tensor, "1 1 n"]:
    for part, one in zip(parts, like, strict=True):
        require_same_shape(one, part, names)
    return torch.cat([part.flatten() for part in parts])[None, None]


def _ahead(
    flat: Float[Tensor, "b k n"], forced: Bool[Tensor, "b k n"] | None, barred: Bool[Tensor, "b k n"] | None
) -> Float[Tensor, "b k n"]:
    """Scores with forced pixels before and barred ones behind all others."""
    ranked = flat
    for region, sign in ((barred, -1.0), (forced, 1.0)):
        if region is not None:
            # Out of the reach of any logit, but still in the order of the scores among themselves.
            ranked = torch.where(region, flat + sign * 1e6, ranked)
    return ranked


def _without(
    mask: Float[Tensor, "b k n"], forced: Bool[Tensor, "b k n"] | None, barred: Bool[Tensor, "b k n"] | None
) -> Float[Tensor, "b k n"]:
    if barred is None:
        return mask
    return mask * (~barred if forced is None else ~barred | forced)


def _pixels(share: Float[Tensor, "b k"], pixels: int) -> Float[Tensor, "b k"]:
    """Whole pixels; a share above zero is at least one."""
    finite = share.nan_to_num(nan=0.0, posinf=1.0, neginf=0.0).clamp(0, 1)
    return torch.maximum((finite * pixels + 0.5).floor(), (finite > 0).to(finite))


def _top(
    score: Float[Tensor, "b k n"], amount: Float[Tensor, "b k"], weight: Float[Tensor, " n"] | None = None
) -> Float[Tensor, "b k n"]:
    order = score.argsort(dim=2, descending=True, stable=True)
    return (places(order) < (amount if weight is None else _nearest(weight[order], amount))[..., None]).to(score)


def _nearest(weight: Float[Tensor, "b k n"], amount: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    """How many pixels, in this order, weigh so much; something weighs at least one pixel."""
    sums = torch.cat([torch.zeros_like(weight[..., :1]), weight.cumsum(dim=2)], dim=2)
    count = (sums - amount[..., None]).abs().argmin(dim=2).to(amount)
    return torch.maximum(count, (amount > 0).to(amount))


def _soft(
    score: Float[Tensor, "b k n"], amount: Float[Tensor, "b k"], weight: Float[Tensor, " n"] | None = None
) -> Float[Tensor, "b k n"]:
    weight = score.new_ones(score.shape[2]) if weight is None else weight
    # Between these two shifts the sum runs from nearly none to nearly all.
    reach = score.clamp(-1e3, 1e3).abs().amax(dim=2) + 30
    score = score.clamp(-1e3, 1e3)
    lower, upper = -reach, reach
    for _ in range(_HALVINGS):
        middle = (lower + upper) / 2
        below = (torch.sigmoid(score + middle[..., None]) * weight).sum(dim=2) < amount
        lower, upper = torch.where(below, middle, lower), torch.where(below, upper, middle)
    soft = torch.sigmoid(score + ((lower + upper) / 2)[..., None])
    # The ends of the range are reached exactly.
    soft = torch.where((amount == 0)[..., None], torch.zeros_like(soft), soft)
    return torch.where((amount == weight.sum())[..., None], torch.ones_like(soft), soft)
