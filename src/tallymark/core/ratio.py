"""Projection to a known ratio of structures: of all masks with that ratio, those that the scores like best."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tallymark.core.intervals import interval
from tallymark.core.projection import require_temperature
from tallymark.core.reduce import places, require_same_shape
from tallymark.errors import StudyError

# Halvings of the range of the multiplier of soft masks: it is then as exact as double precision is.
_HALVINGS = 80
# Scores are cut off here, and forced or barred pixels are out of the reach of any multiplier.
_MOST, _CERTAIN = 1e3, 1e12


def project_ratio(
    score: Float[Tensor, "b k *space"],
    of: Sequence[int],
    over: Sequence[int],
    value: Float[Tensor, " b"],
    low: Float[Tensor, " b"],
    high: Float[Tensor, " b"],
    *,
    forced: Bool[Tensor, "b k *space"] | None = None,
    barred: Bool[Tensor, "b k *space"] | None = None,
    temperature: float = 0.0,
) -> Float[Tensor, "b k *space"]:
    """Masks of the structures of a ratio, no two of which overlap, with that ratio and the largest sum of scores.

    With R = A / (A + B) neither area is known; what is known is that (1 - R) A - R B = 0. By Lagrange every pixel
    belongs to whichever is largest: 0 for none, ``a - m (1 - R)`` for A, ``b + m R`` for B, with the one multiplier m
    at which the ratio holds. So the total is the scores' own, and the ratio decides on the pixels that they are least
    sure of. Pixels change hands one by one as m grows, so that the masks end within half a pixel of the ratio:
    ``abs((1 - R) A - R B) <= 1/2``, and no other masks with the same value of ``(1 - R) A - R B`` have a larger sum.
    Soft: the softmax of the three, over the temperature, with m such that the soft areas have the ratio exactly.

    Args:
        score: logits of each structure against none of them; finite.
        of: positions of the structures above the line.
        over: of those below it.
        value: the known ratio of each image; NaN where unknown.
        low: lower end of an interval; NaN where there is none.
        high: upper end; NaN where there is none. Masks whose own ratio lies inside stay as they are; others get its
            nearer end.
        forced: pixels that belong to the structure in any case; one forced to two is the first one's.
        barred: pixels that never do, unless forced.
        temperature: t; 0 is hard.

    Returns:
        In [0, 1], without a gradient; the scores' own masks (score > 0) for structures that the ratio does not name,
        and for images whose ratio is not known, where overlaps go to the larger score. A ratio is that of something:
        where no masks are better than some, the best pixel of the structure that the ratio favours is taken.

    Raises:
        ConfigError: a negative temperature.
        StudyError: nothing above or below the line, or some of the structures above it below it as well and some not.
        GeometryError: shapes that differ.

    Source: ours; a linear constraint on assignments by its Lagrange multiplier, as size constraints are by a threshold
        (see :func:`tallymark.core.projection.project`).

    Example:
        >>> score = torch.tensor([[[3.0, 2.0, 1.0, -4.0], [-4.0, -1.0, -0.5, 2.0]]])  # fat, muscle
        >>> unknown = torch.tensor([torch.nan])
        >>> project_ratio(score, [0], [0, 1], torch.tensor([0.5]), unknown, unknown).tolist()[0]
        [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    """
    require_temperature(temperature)
    rest = [k for k in over if k not in of]
    if not of or not rest or 0 < sum(k in over for k in of) < len(of):
        raise StudyError(
            "masks cannot be projected to this ratio",
            found=f"{list(of)} over {list(over)}",
            expected="structures above the line, all or none of them below it, and others below it",
        )
    with torch.no_grad():
        scores = score.double().flatten(2).clamp(-_MOST, _MOST)
        for region, sign in ((barred, -1.0), (forced, 1.0)):
            if region is not None:
                require_same_shape(score, region, "score and region")
                scores = torch.where(region.flatten(2), sign * _CERTAIN, scores)
        # Of structures on the same side of the line a pixel can only be the best.
        sides = [scores[:, list(side)].max(dim=1) for side in (of, rest)]
        top, bottom = (side.values for side in sides)
        ends = (end[:, 0] for end in interval(*(number.double()[:, None] for number in (value, value, low, high))))
        divided = _divide(top, bottom, *ends, within=of[0] in over, t=temperature)
        result = (score.flatten(2) > 0).to(score)
        for side, best, share in zip((of, rest), sides, divided, strict=True):
            for place, k in enumerate(side):
                result[:, k] = torch.where(best.indices == place, share, 0.0).to(result)
        return result.reshape(score.shape)


def _divide(
    top: Float[Tensor, "b n"],
    bottom: Float[Tensor, "b n"],
    least: Float[Tensor, " b"],
    most: Float[Tensor, " b"],
    *,
    within: bool,
    t: float,
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """Masks above and below the line; ``within``: what is above it counts below it as well."""
    own = _best(top, bottom, t)
    above, below = (mask.sum(dim=1) for mask in own)
    below = below + above if within else below
    ratio = torch.where(above < least * below, least, torch.where(above > most * below, most, torch.nan))
    nothing = (above + below == 0) & ~(least.isnan() | most.isnan())
    ratio = torch.where(nothing, (least.clamp(min=0) + most.clamp(max=1)) / 2, ratio)
    # What a pixel on either side adds to A - R (A + B), or to A - R B.
    up, down = (1 - ratio if within else torch.ones_like(ratio)), ratio
    up, down = up.nan_to_num(nan=1.0)[:, None], down.nan_to_num(nan=1.0)[:, None]
    # 0 leaves nothing above the line, 1 nothing that is only below it.
    top = torch.where((down == 0) & (top < _CERTAIN), -_CERTAIN, top)
    bottom = torch.where((up == 0) & (bottom < _CERTAIN), -_CERTAIN, bottom)
    ended = (up == 0) | (down == 0)
    up, down = torch.where(up > 0, up, 1.0), torch.where(down > 0, down, 1.0)
    one, other = _soft(top, bottom, up, down, t) if t > 0 else _hard(top, bottom, up, down)
    at_end = _best(top, bottom, t)
    one, other = torch.where(ended, at_end[0], one), torch.where(ended, at_end[1], other)
    empty = (one + other).sum(dim=1, keepdim=True) == 0
    smallest = _smallest(top, bottom, ratio >= 0.5)
    one, other = torch.where(empty, smallest[0], one), torch.where(empty, smallest[1], other)
    stays = ratio.isnan()[:, None]
    return torch.where(stays, own[0], one), torch.where(stays, own[1], other)


def _best(
    top: Float[Tensor, "b n"], bottom: Float[Tensor, "b n"], t: float
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """Each pixel to whichever is larger of the two and 0; soft with a temperature."""
    if t > 0:
        shares = torch.softmax(torch.stack([torch.zeros_like(top), top, bottom]) / t, dim=0)
        return shares[1], shares[2]
    return ((top > 0) & (top >= bottom)).to(top), ((bottom > 0) & (bottom > top)).to(top)


def _hard(
    top: Float[Tensor, "b n"], bottom: Float[Tensor, "b n"], up: Float[Tensor, "b 1"], down: Float[Tensor, "b 1"]
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """As the multiplier grows, pixels leave the top and join the bottom, by way of neither or at once.

    All of that in its order, until the two sides are in balance.
    """
    leaves, joins, crosses = top / up, -bottom / down, (top - bottom) / (up + down)
    by_way = leaves <= joins
    when = torch.cat([torch.where(by_way, leaves, crosses), torch.where(by_way, joins, torch.inf)], dim=1)
    change = torch.cat(
        [torch.where(by_way, up, up + down).expand_as(top), torch.where(by_way, down, 0.0).expand_as(top)], dim=1
    )
    order = when.argsort(dim=1, stable=True)
    surplus = up * top.shape[1] - change.gather(1, order).cumsum(dim=1)
    surplus = torch.cat([up * top.shape[1], surplus], dim=1)
    happened = places(order) < surplus.abs().argmin(dim=1, keepdim=True)
    first, second = happened.chunk(2, dim=1)
    return (~first).to(top), torch.where(by_way, second, first).to(top)


def _soft(
    top: Float[Tensor, "b n"],
    bottom: Float[Tensor, "b n"],
    up: Float[Tensor, "b 1"],
    down: Float[Tensor, "b 1"],
    t: float,
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """The same with soft masks, by halving the range of the multiplier."""
    reach = (4 * _MOST + 100 * t) / torch.minimum(up, down)
    lower, upper = -reach, reach
    for _ in range(_HALVINGS):
        middle = (lower + upper) / 2
        one, other = _best(top - middle * up, bottom + middle * down, t)
        too_much = (up * one - down * other).sum(dim=1, keepdim=True) > 0
        lower, upper = torch.where(too_much, middle, lower), torch.where(too_much, upper, middle)
    return _best(top - upper * up, bottom + upper * down, t)


def _smallest(
    top: Float[Tensor, "b n"], bottom: Float[Tensor, "b n"], favours_top: Bool[Tensor, " b"]
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """The best pixel of the side that a ratio says there is more of."""
    masks = []
    for side, wanted in ((top, favours_top), (bottom, ~favours_top)):
        mask = torch.zeros_like(side).scatter_(1, side.argmax(dim=1, keepdim=True), 1.0)
        masks.append(mask * wanted[:, None])
    return masks[0], masks[1]
