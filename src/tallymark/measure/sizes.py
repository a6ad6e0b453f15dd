"""What kept numbers say of the sizes of structures, as far as it follows: the algebra of sizes, unions and ratios."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from tallymark.measure.definition import Statistic

# Bounds that follow from each other settle geometrically; what is left after so many rounds is far below a pixel.
_ROUNDS = 60
# Ends that differ by less are one number: a difference of shares has that much rounding in it.
_SAME = 1e-7
# A length bounds an area between that of an ellipse four times as long as wide and a disc. Of breast lesions outlined
# on ultrasound (86 of BUSI) 97.5 % lie inside; so they do between this share of the ellipse of both axes and all of it.
_SLENDER, _FILLED = 4.0, 0.75


SIZING = ("area", "area_fraction", "area_ratio")
"""Kinds of numbers from which sizes follow, of an image as of a group; a longest axis bounds that of an image."""


class Sizes(NamedTuple):
    """Between which shares of the image each structure covers, by image and structure.

    Attributes:
        low: in [0, 1]; NaN where nothing says how large the structure is.
        high: in [0, 1], >= ``low``; NaN as ``low``.
    """

    low: Float[np.ndarray, "n k"]
    high: Float[np.ndarray, "n k"]


def tells_size(statistic: Statistic, structure: str) -> bool:
    """Whether a number is the size of this structure alone, as a share of the image or in mm2 or mm3.

    Example:
        >>> fat = Statistic("fat", "area_ratio", of=("fat",), over=("fat", "muscle"))
        >>> tells_size(fat, "fat"), tells_size(Statistic("f", "area_fraction", of=("fat",)), "fat")
        (False, True)
    """
    return statistic.kind in ("area_fraction", "area") and statistic.of == (structure,)


def shares_that_follow(
    structures: Sequence[str],
    statistics: Sequence[Statistic],
    low: Float[np.ndarray, "n s"],
    high: Float[np.ndarray, "n s"],
    extent: Float[np.ndarray, " n"],
    dimension: int,
) -> Sizes:
    """The share of the image that each structure covers, from all the numbers that were kept of it.

    Areas and volumes are divided by that of the image, lengths become intervals of areas
    (:func:`area_between_axes`), and what then follows is that of :func:`sizes_that_follow`. Of several numbers that are
    the size of one structure, the first that is known for an image counts.

    Args:
        structures: names, in the order of the columns of the result.
        statistics: what the numbers mean, in the order of their columns and of precedence.
        low: lower end of each number in its canonical unit; NaN where unknown, -inf where open.
        high: upper end; NaN where unknown, inf where open.
        extent: area (mm2) or volume (mm3) of each image; NaN where unknown.
        dimension: 2 or 3.

    Returns:
        Shares in [0, 1]; NaN where nothing follows, as from an area in an image of unknown extent.

    Example:
        >>> size = Statistic("size", "area", of=("cyst",), unit="mm2")
        >>> five = np.array([[5.0]])
        >>> shares_that_follow(("cyst", "wall"), (size,), five, five, np.array([20.0]), 2).high.tolist()
        [[0.25, nan]]
    """
    columns, shares = [], []
    told = {name: np.zeros(len(low), dtype=bool) for name in structures}
    for position, statistic in enumerate(statistics):
        ends = low[:, position], high[:, position]
        if statistic.kind == "longest_axis":
            across = [p for p, s in enumerate(statistics) if s.kind == "shortest_axis" and s.of == statistic.of]
            short = [end[:, across[0]] if across else np.full(len(low), np.nan) for end in (low, high)]
            ends = area_between_axes(ends, (short[0], short[1]), dimension)
        elif statistic.kind not in SIZING:
            continue
        if statistic.kind in ("area", "longest_axis"):
            ends = ends[0] / extent, ends[1] / extent
        for name in structures:
            if tells_size(statistic, name):
                ends = np.where(told[name], np.nan, ends[0]), np.where(told[name], np.nan, ends[1])
                told[name] |= ~np.isnan(ends[0])
        if statistic.kind in ("area", "longest_axis"):
            statistic = replace(statistic, kind="area_fraction", unit="fraction")
        shares.append(statistic)
        columns.append(ends)
    if not columns:
        nothing = np.full((len(low), len(structures)), np.nan)
        return Sizes(nothing, nothing)
    return sizes_that_follow(structures, shares, *(np.stack(side, axis=1) for side in zip(*columns, strict=True)))


def sizes_that_follow(
    structures: Sequence[str],
    statistics: Sequence[Statistic],
    low: Float[np.ndarray, "n s"],
    high: Float[np.ndarray, "n s"],
) -> Sizes:
    """The size of every structure, from sizes of it, of others, of several together, and ratios.

    Structures exclude each other, so that the size of several together is the sum of theirs. With ``R = A / (A + B)``:

    - the size of A gives ``B = A (1 - R) / R``, that of B gives ``A = B R / (1 - R)``,
    - the size of both together, T, gives ``A = R T`` and ``B = (1 - R) T``,
    - ``R = 0`` gives ``A = 0`` and ``R = 1`` gives ``B = 0``, whatever the sizes.

    A ratio by itself says nothing of a size. With intervals in the place of numbers these are bounds: every rule is
    applied to the bounds that the others gave, until none becomes narrower. What follows holds for whatever lies inside
    the intervals; it may be wider than it had to be where several numbers are intervals at once.

    Args:
        structures: names, in the order of the columns of the result.
        statistics: what the numbers mean, in the order of their columns; lengths and intensities say nothing here.
        low: lower end of each number, with sizes as shares of the image; NaN where unknown, -inf where open.
        high: upper end; NaN where unknown, inf where open.

    Returns:
        Shares of the image. Unknown (NaN) stays a structure of which it follows only that it is no larger than
        something else, unless that is a ratio's part of a size.

    Example:
        >>> whole = Statistic("whole", "area_fraction", of=("fat", "muscle"))
        >>> ratio = Statistic("ratio", "area_ratio", of=("fat",), over=("fat", "muscle"))
        >>> numbers = np.array([[0.4, 0.25], [np.nan, 0.25]])
        >>> sizes_that_follow(("fat", "muscle"), (whole, ratio), numbers, numbers).low.round(6).tolist()
        [[0.1, 0.3], [nan, nan]]
        >>> fat = Statistic("fat", "area_fraction", of=("fat",))
        >>> low, high = np.array([[0.1, 0.2]]), np.array([[0.1, 0.5]])  # the ratio was kept as 0.2 to 0.5
        >>> [end.round(6).tolist() for end in sizes_that_follow(("fat", "muscle"), (fat, ratio), low, high)]
        [[[0.1, 0.1]], [[0.1, 0.4]]]
    """
    bounds = _Bounds(len(low), len(structures))
    places = {name: place for place, name in enumerate(structures)}
    sizes: list[tuple[Bool[np.ndarray, " k"], int]] = []
    ratios: list[tuple[Bool[np.ndarray, " k"], Bool[np.ndarray, " k"], int]] = []
    for column, statistic in enumerate(statistics):
        of, over = (
            np.isin(np.arange(len(places)), [places[n] for n in names]) for names in (statistic.of, statistic.over)
        )
        if statistic.kind in ("area_fraction", "area"):
            sizes.append((of, column))
        elif statistic.kind == "area_ratio":
            ratios.append((of, over, column))
    known = ~(np.isnan(low) | np.isnan(high))
    ends = np.where(known, np.clip(low, 0, 1), 0.0), np.where(known, np.clip(high, 0, 1), 1.0)
    for _ in range(_ROUNDS):
        before = bounds.copy()
        for of, column in sizes:
            bounds.sum_is(of, ends[0][:, column], ends[1][:, column])
        bounds.sum_is(np.ones(len(places), dtype=bool), np.zeros(len(low)), np.ones(len(low)))
        for of, over, column in ratios:
            # A ratio above 1, of structures that are not in its denominator, is not cut off.
            least = np.where(known[:, column], np.maximum(low[:, column], 0), 0.0)
            most = np.where(known[:, column], high[:, column], np.inf)
            bounds.ratio_is(
                of, over, least, most, _union_bounds(sizes, ends, of, bounds), _union_bounds(sizes, ends, over, bounds)
            )
        if bounds.same_as(before):
            break
    told = np.zeros(bounds.low.shape, dtype=bool)
    for of, column in sizes:
        if of.sum() == 1:
            told[:, of] |= known[:, [column]]
    for of, over, column in ratios:
        # Part of something whose size is known to be above nothing.
        whole = np.maximum(_union_bounds(sizes, ends, over, bounds)[0], _union_bounds(sizes, ends, of, bounds)[0])
        if of.sum() == 1:
            told[:, of] |= (known[:, column] & (whole > 0))[:, None]
    told |= (bounds.low > 0) | (bounds.high <= 0)
    # Contradictory numbers leave no room; the middle of what they say is then as good as any.
    crossed = bounds.low > bounds.high
    middle = (bounds.low + bounds.high) / 2
    single = crossed | (bounds.high - bounds.low <= _SAME)
    return Sizes(*(np.where(told, np.where(single, middle, end), np.nan) for end in (bounds.low, bounds.high)))


def area_of_axes(
    longest: Float[np.ndarray, " n"], shortest: Float[np.ndarray, " n"], dimension: int
) -> Float[np.ndarray, " n"]:
    """The largest area (2-D) or volume (3-D) of a structure with these axes: that of the ellipse, or ellipsoid.

    Args:
        longest: length of the longest axis; NaN where unknown.
        shortest: of the shortest; NaN where unknown, and the structure may then be round.
        dimension: 2 or 3.

    Returns:
        pi / 4 L S in 2-D, pi / 6 L^2 S in 3-D, in units of the lengths; with L for an unknown S. Of the structures with
        these second moments the ellipse has the largest area. NaN without a longest axis, and where an axis is 0, as
        that of a single pixel is.

    Example:
        >>> area_of_axes(np.array([2.0, 2.0]), np.array([1.0, np.nan]), 2).round(4).tolist()
        [1.5708, 3.1416]
    """
    across = np.where(np.isnan(shortest), longest, shortest)
    area = math.pi / 4 * longest * across if dimension == 2 else math.pi / 6 * longest**2 * across
    return np.where(area > 0, area, np.nan)


def area_between_axes(
    longest: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    shortest: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    dimension: int,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Between which areas (2-D) or volumes (3-D) a compact structure with these axes lies.

    With the longest axis alone, from an ellipse a quarter as wide (in 3-D: and as thick) to a disc; with both, from
    three quarters of their ellipse to all of it. Rings and branches have less; they are no case for a length.

    Args:
        longest: least and most of the longest axis; NaN where unknown.
        shortest: of the shortest.
        dimension: 2 or 3.

    Returns:
        Least and most, in the units of the lengths squared or cubed; NaN where unknown.

    Example:
        >>> ten, unknown = np.array([10.0]), np.array([np.nan])
        >>> [end.round(1).tolist() for end in area_between_axes((ten, ten), (unknown, unknown), 2)]
        [[19.6], [78.5]]
    """
    low, high = (area_of_axes(long, short, dimension) for long, short in zip(longest, shortest, strict=True))
    alone = np.isnan(shortest[0]) | np.isnan(shortest[1])
    return low * np.where(alone, _SLENDER ** (1 - dimension), _FILLED), high


def _union_bounds(
    sizes: Sequence[tuple[np.ndarray, int]], ends: tuple[np.ndarray, np.ndarray], of: np.ndarray, bounds: _Bounds
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Bounds of several structures together: a number of just these may say more than the sum of theirs."""
    low, high = bounds.low[:, of].sum(axis=1), np.minimum(bounds.high[:, of].sum(axis=1), 1)
    for same, column in sizes:
        if (same == of).all():
            low, high = np.maximum(low, ends[0][:, column]), np.minimum(high, ends[1][:, column])
    return low, high


class _Bounds:
    """Bounds of the sizes of structures, which rules make narrower."""

    def __init__(self, images: int, structures: int) -> None:
        self.low = np.zeros((images, structures))
        self.high = np.ones((images, structures))

    def copy(self) -> tuple[np.ndarray, np.ndarray]:
        return self.low.copy(), self.high.copy()

    def same_as(self, before: tuple[np.ndarray, np.ndarray]) -> bool:
        return all(
            np.allclose(one, other, rtol=0, atol=1e-12)
            for one, other in zip((self.low, self.high), before, strict=True)
        )

    def sum_is(self, of: Bool[np.ndarray, " k"], low: Float[np.ndarray, " n"], high: Float[np.ndarray, " n"]) -> None:
        """Several structures together lie between these."""
        for place in np.flatnonzero(of).tolist():
            others = of.copy()
            others[place] = False
            self._narrow(place, low - self.high[:, others].sum(axis=1), high - self.low[:, others].sum(axis=1))

    def ratio_is(
        self,
        of: Bool[np.ndarray, " k"],
        over: Bool[np.ndarray, " k"],
        low: Float[np.ndarray, " n"],
        high: Float[np.ndarray, " n"],
        above: tuple[np.ndarray, np.ndarray],
        below: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """The size of ``of`` over that of ``over`` lies between these; ``above`` and ``below`` bound the two sums."""
        with np.errstate(divide="ignore", invalid="ignore"):
            self.sum_is(of, low * below[0], np.minimum(np.nan_to_num(high * below[1], nan=np.inf, posinf=np.inf), 1))
            self.sum_is(over, np.nan_to_num(above[0] / high), np.where(low > 0, above[1] / low, 1.0).clip(max=1))
            self._split(of & over, over & ~of, of & ~over, low, high)

    def _split(
        self,
        both: Bool[np.ndarray, " k"],
        rest: Bool[np.ndarray, " k"],
        alone: Bool[np.ndarray, " k"],
        low: Float[np.ndarray, " n"],
        high: Float[np.ndarray, " n"],
    ) -> None:
        """(1 - r) both + alone = r rest: what the part and the rest of a whole say of each other."""
        if alone.any() or not both.any():
            return  # the two sums say it all
        part = self.low[:, both].sum(axis=1), self.high[:, both].sum(axis=1)
        # r = 1 leaves no rest, r = 0 no part; between them each is the other times a factor.
        factor = [np.where(end < 1, end / np.maximum(1 - end, 1e-300), np.inf) for end in (low, np.minimum(high, 1))]
        self.sum_is(
            rest,
            np.where(factor[1] > 0, part[0] / factor[1], 0.0),
            np.where(factor[0] > 0, part[1] / factor[0], 1.0).clip(max=1),
        )
        left = self.low[:, rest].sum(axis=1), self.high[:, rest].sum(axis=1)
        self.sum_is(
            both,
            np.where(left[0] > 0, left[0] * factor[0], 0.0),
            np.where(left[1] > 0, left[1] * factor[1], np.where(high < 1, 0.0, 1.0)).clip(max=1),
        )

    def _narrow(self, place: int, low: Float[np.ndarray, " n"], high: Float[np.ndarray, " n"]) -> None:
        # Contradictory numbers cross the bounds, and would drive each other on without end.
        self.low[:, place] = np.maximum(self.low[:, place], low).clip(max=1)
        self.high[:, place] = np.minimum(self.high[:, place], high).clip(min=0)
