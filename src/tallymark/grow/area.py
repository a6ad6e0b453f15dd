"""How many pixels a structure has: one number, an interval, or unknown."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tallymark.errors import ConfigError

AreaLike = int | float | tuple[int | float, int | float] | None


@dataclass(frozen=True)
class Area:
    """A known area in pixels (voxels): between ``low`` and ``high``, the same where it is known exactly.

    Args:
        low: least, >= 0.
        high: most, >= low.

    Example:
        >>> Area(3, 8).target
        6
    """

    low: int
    high: int

    @property
    def target(self) -> int:
        """The one area that stands for the interval: its middle, rounded up."""
        return (self.low + self.high + 1) // 2

    @classmethod
    def of(cls, number: AreaLike, pixels: int) -> Area | None:
        """The area that a number says; None where nothing is known.

        A number above zero means at least one pixel, and only an exact zero means none: a share that was rounded to
        zero is an interval. The area never exceeds the image.

        Args:
            number: pixels, or (least, most) of an interval; None or NaN: unknown. Fractions of a pixel are rounded to
                the nearest.
            pixels: of the whole image.

        Raises:
            ConfigError: a negative area, an interval upside down, or more than the image has.

        Example:
            >>> Area.of(0.3, pixels=100), Area.of((0.0, 4.6), pixels=100), Area.of(float("nan"), pixels=100)
            (Area(low=1, high=1), Area(low=0, high=5), None)
        """
        if number is None:
            return None
        low, high = number if isinstance(number, tuple) else (number, number)
        if math.isnan(low) or math.isnan(high):
            return None
        # A hair above the image is the rounding of a fraction, not a mistake.
        if not 0 <= low <= high or low > pixels + 0.5:
            raise ConfigError(
                "this area cannot be", where="area", found=number, expected=f"0 to {pixels} pixels, the least first"
            )
        return cls(_pixels(low, pixels), _pixels(high, pixels))


def _pixels(number: int | float, most: int) -> int:
    return min(most, max(int(number > 0), math.floor(min(number, most) + 0.5)))
