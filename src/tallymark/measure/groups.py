"""Numbers of several images together: how they come from numbers of images, and what they say of single images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from tallymark.measure.definition import Statistic


class Range(NamedTuple):
    """Between which values a number lies; both the same where it is known exactly, both NaN where it is unknown."""

    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether anything is known."""
        return not math.isnan(self.low)

    @property
    def exact(self) -> bool:
        """Whether it is one value."""
        return self.low == self.high

    @classmethod
    def of(cls, value: float, low: float = math.nan, high: float = math.nan) -> Range:
        """The range of a kept number: its interval where one was kept, open where one end was, else the number.

        Example:
            >>> Range.of(0.5), Range.of(0.0, 0.0, 0.025), Range.of(math.nan, high=0.1)
            (Range(low=0.5, high=0.5), Range(low=0.0, high=0.025), Range(low=-inf, high=0.1))
        """
        if math.isnan(low) and math.isnan(high):
            return cls(value, value)
        return cls(-math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high)


UNKNOWN = Range(math.nan, math.nan)
"""Nothing is known."""


def weight(statistic: Statistic, masks: Mapping[str, Bool[np.ndarray, "*space"]]) -> float:
    """How much an image counts in its group's number.

    A fraction of the image counts by the pixels of the image, a ratio by the pixels of its denominator, a mean
    intensity by those of the structure; areas are summed, and of lengths the longest counts: 1.

    Args:
        statistic: what is measured.
        masks: of the image, by structure.

    Returns:
        >= 0; 0 where the image says nothing, as a ratio of nothing to nothing.

    Example:
        >>> masks = {"fat": np.array([[True, False, False]]), "muscle": np.array([[False, True, False]])}
        >>> weight(Statistic("f", "area_fraction", of=("fat",)), masks)
        3.0
        >>> weight(Statistic("r", "area_ratio", of=("fat",), over=("fat", "muscle")), masks)
        2.0
    """
    if statistic.kind == "area_fraction":
        return float(masks[statistic.of[0]].size)
    if statistic.kind not in ("area_ratio", "mean_intensity"):
        return 1.0
    return float(np.logical_or.reduce([masks[name] for name in statistic.over or statistic.of]).sum())


def pooled(statistic: Statistic, weights: Sequence[float], values: Sequence[float]) -> float:
    """The number of all images of a group together.

    Areas and volumes are summed, fractions of the image become the fraction of all pixels of the group, ratios and
    intensities those of all its pixels, and of lengths the longest counts.

    Args:
        statistic: what was measured.
        weights: of the images, see :func:`weight`; an image of weight 0 does not count, whatever its value.
        values: of the images.

    Returns:
        In the unit of the values; NaN where no image counts, or the value of one that does is NaN.

    Example:
        >>> fraction, area = Statistic("f", "area_fraction", ("a",)), Statistic("a", "area", ("a",), unit="mm2")
        >>> pooled(fraction, [100.0, 300.0], [0.5, 0.1]), pooled(area, [1.0, 1.0], [20.0, 5.0])
        (0.2, 25.0)
    """
    counted = [(w, v) for w, v in zip(weights, values, strict=True) if w > 0]
    if not counted:
        return math.nan
    if statistic.kind == "area":
        return math.fsum(v for _, v in counted)
    if statistic.kind in ("longest_axis", "shortest_axis"):
        return float(np.max([v for _, v in counted]))
    return math.fsum(w * v for w, v in counted) / math.fsum(w for w, _ in counted)


def of_images(
    statistic: Statistic, group: Range, images: Sequence[Range], weights: Sequence[float]
) -> tuple[Range, ...]:
    """What a number of a group and numbers of some of its images say of the others, as far as it follows exactly.

    The number of a group of one image is the image's. A size of nothing in all images together is one of nothing in
    each. Where one image alone has no size, it has what the others leave. Beyond that a group's number says nothing of
    a single image.

    Args:
        statistic: what was measured.
        group: the number of all images together.
        images: their own numbers; :data:`UNKNOWN` where there is none.
        weights: of the images where they are sizes: their pixels for fractions, 1 for areas; see :func:`weight`.

    Returns:
        The numbers of the images, those that follow among them. What others leave is never below 0, nor a fraction
        above 1.

    Example:
        >>> share = Statistic("f", "area_fraction", ("a",))
        >>> of_images(share, Range(0.2, 0.2), [Range(0.5, 0.5), UNKNOWN], [100.0, 300.0])
        (Range(low=0.5, high=0.5), Range(low=0.1, high=0.1))
        >>> of_images(share, Range(0.2, 0.3), [Range(0.5, 0.6), UNKNOWN], [1.0, 1.0])
        (Range(low=0.5, high=0.6), Range(low=0.0, high=0.1))
        >>> of_images(share, Range(0.0, 0.0), [UNKNOWN, UNKNOWN], [1.0, 1.0])
        (Range(low=0.0, high=0.0), Range(low=0.0, high=0.0))
    """
    unknown = [position for position, image in enumerate(images) if not image.known]
    if not unknown or not group.known:
        return tuple(images)
    found = list(images)
    if len(images) == 1:
        found[0] = group
    elif statistic.kind in ("area_fraction", "area"):
        if group.high == 0:
            for position in unknown:
                found[position] = Range(0.0, 0.0)
        elif len(unknown) == 1:
            found[unknown[0]] = _rest(statistic, group, images, weights, unknown[0])
    return tuple(found)


def _rest(statistic: Statistic, group: Range, images: Sequence[Range], weights: Sequence[float], which: int) -> Range:
    whole = math.fsum(weights) if statistic.kind == "area_fraction" else 1.0
    others = [(w, image) for place, (w, image) in enumerate(zip(weights, images, strict=True)) if place != which]
    least = (group.low * whole - math.fsum(w * image.high for w, image in others)) / weights[which]
    most = (group.high * whole - math.fsum(w * image.low for w, image in others)) / weights[which]
    bounds = statistic.bounds
    # The last digits of a difference are noise, and would make an absence of a structure a trace of it.
    return Range(*(float(min(max(round(end, 12), bounds[0]), bounds[1])) for end in (least, most)))
