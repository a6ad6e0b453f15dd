"""Numbers that their image has no room for: kept in another unit than was said, or of pixels of another size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tallymark.data.numbers import Number
from tallymark.errors import StudyError
from tallymark.measure.definition import Statistic
from tallymark.measure.groups import Range

# Numbers are typed with few digits, and may be of the whole image.
_SLACK = 0.005
REMEDY = "correct the number, its unit in study.toml, or the spacing in cases.csv"


def most_in_image(statistic: Statistic, space: Sequence[int], spacing: Sequence[float] | None) -> float:
    """The largest number that an image has room for.

    An area or volume is at most that of the whole image. An axis is that of the ellipse with the same second moments
    (:func:`tallymark.measure.statistics.axis_lengths`), and at most that of a bar from corner to corner, which is a
    little longer than the diagonal.

    Args:
        statistic: what the number means.
        space: shape of the image.
        spacing: mm per axis; None: unknown.

    Returns:
        In the unit of the table; infinite where the size of the image says nothing.

    Example:
        >>> most_in_image(Statistic("size", "area", of=("cyst",), unit="cm2"), (20, 30), (1.0, 2.0))
        12.0
        >>> round(most_in_image(Statistic("across", "longest_axis", of=("cyst",), unit="mm"), (30, 40), (1.0, 1.0)), 2)
        57.74
    """
    if not statistic.physical:
        return statistic.bounds[1] / statistic.scale
    if spacing is None or len(spacing) != len(space) or statistic.dimension not in (None, len(space)):
        return math.inf
    edges = [pixels * edge for pixels, edge in zip(space, spacing, strict=True)]
    if statistic.kind == "area":
        return math.prod(edges) / statistic.scale
    return math.hypot(*edges) * math.sqrt((len(edges) + 2) / 3) / statistic.scale


def has_room(least: float, most: float) -> bool:
    """Whether a number of at least ``least`` fits an image that holds ``most``, but for rounding; NaN does.

    Example:
        >>> has_room(100.4, 100.0), has_room(101.0, 100.0)
        (True, False)
    """
    return not least > most * (1 + _SLACK)


def no_room(
    statistic: Statistic,
    number: Number,
    space: Sequence[int],
    spacing: Sequence[float] | None,
    *,
    where: str,
    remedy: str = REMEDY,
) -> StudyError | None:
    """What is wrong with a number that is larger than its image; of an interval the least end counts.

    Args:
        statistic: what the number means.
        number: in its canonical unit.
        space: shape of the image.
        spacing: mm per axis; None: unknown.
        where: the table and the case.
        remedy: what the reader can do.

    Returns:
        The error; None where the image has room.

    Example:
        >>> size = Statistic("size", "area", of=("cyst",), unit="mm2")
        >>> number = Number(900.0, math.nan, math.nan)
        >>> print(no_room(size, number, (20, 30), (1.0, 1.0), where="case 'a'", remedy="look"))
        case 'a': the image has no room for the number 'size'; found 900 mm2; expected at most 600 mm2; to mend it: look
    """
    kept = Range.of(number.value, number.low, number.high)
    least, most = kept.low / statistic.scale, most_in_image(statistic, space, spacing)
    if has_room(least, most):
        return None
    return StudyError(
        f"the image has no room for the number '{statistic.name}'",
        where=where,
        found=f"{least:g} {statistic.unit}" if kept.exact else f"at least {least:g} {statistic.unit}",
        expected=f"at most {most:.4g} {statistic.unit}",
        remedy=remedy,
    )
