"""What the kept numbers say about an image: as text for the reader, and as pixels for growth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tallymark.data.room import has_room, most_in_image
from tallymark.data.study import Case, Number, Study
from tallymark.errors import StudyError
from tallymark.measure.definition import Statistic
from tallymark.measure.groups import UNKNOWN, Range
from tallymark.measure.sizes import shares_that_follow

_UNITS = {"fraction": " %", "percent": " %", "intensity": "", "mm2": " mm²", "cm2": " cm²", "mm3": " mm³"}
_KINDS = {"mean_intensity": " intensity", "longest_axis": " longest axis", "shortest_axis": " shortest axis"}


@dataclass(frozen=True)
class Kept:
    """A number of an image, in the unit in which it was kept.

    Args:
        statistic: what it is.
        value: the number; NaN if only an interval was kept.
        range: between which values it lies; one of the ends may be open.
    """

    statistic: Statistic
    value: float
    range: Range

    @property
    def middle(self) -> float:
        """The number, or the middle of its interval, or the end of it that is not open."""
        if not math.isnan(self.value):
            return self.value
        ends = [end for end in self.range if math.isfinite(end)]
        return sum(ends) / len(ends)

    def off(self, value: float) -> float:
        """How far a value is outside of the interval; 0 inside, NaN for NaN.

        Example:
            >>> share = Kept(Statistic("lesion", "area_fraction", of=("lesion",)), 0.0, Range(0.0, 0.025))
            >>> share.off(0.02), round(share.off(0.03), 3)
            (0.0, 0.005)
        """
        return value if math.isnan(value) else max(self.range.low - value, value - self.range.high, 0.0)

    def __str__(self) -> str:
        """As a reader wants it.

        Example:
            >>> share = Statistic("lesion_fraction", "area_fraction", of=("lesion",))
            >>> str(Kept(share, 0.2747, Range.of(0.2747))), str(Kept(share, 0.0, Range(0.0, 0.025)))
            ('lesion 27.5 %', 'lesion 0 % (0 to 2.5 %)')
            >>> size = Statistic("size", "area", of=("cyst", "rim"), unit="mm2")
            >>> str(Kept(size, math.nan, Range(3.0, 5.0))), str(Kept(size, math.nan, Range.of(math.nan, high=5.0)))
            ('cyst and rim 3 to 5 mm²', 'cyst and rim at most 5 mm²')
        """
        return f"{subject(self.statistic)} {self.amount}"

    @property
    def amount(self) -> str:
        """The number and its interval in words, without what it is of."""
        if self.range.exact:
            return written(self.statistic, self.range.low)
        if math.isinf(self.range.low):
            span = f"at most {written(self.statistic, self.range.high)}"
        elif math.isinf(self.range.high):
            span = f"at least {written(self.statistic, self.range.low)}"
        else:
            low, high = (written(self.statistic, end) for end in self.range)
            span = f"{low.removesuffix(_unit(self.statistic))} to {high}"
        return span if math.isnan(self.value) else f"{written(self.statistic, self.value)} ({span})"


def subject(statistic: Statistic) -> str:
    """Of what a number is, in words.

    Example:
        >>> subject(Statistic("fat", "area_ratio", of=("fat",), over=("fat", "muscle"), unit="percent"))
        'fat of fat and muscle'
    """
    of, over = " and ".join(statistic.of), " and ".join(statistic.over)
    return f"{of}{_KINDS.get(statistic.kind, '')}" + (f" of {over}" if over else "")


def written(statistic: Statistic, value: float | int) -> str:
    """A value in the unit of the table, with the unit as people write it: fractions in percent, three digits.

    Example:
        >>> size = Statistic("a", "area", of=("a",), unit="mm2")
        >>> written(Statistic("a", "area_fraction", of=("a",)), 0.12345), written(size, 1234.5)
        ('12.3 %', '1234 mm²')
    """
    shown = 100 * value if statistic.unit == "fraction" else value
    digits = max(0, 2 - math.floor(math.log10(abs(shown)))) if shown else 0
    number = f"{shown:.{digits}f}"
    return (number.rstrip("0").rstrip(".") if digits else number) + _unit(statistic)


def _unit(statistic: Statistic) -> str:
    return _UNITS.get(statistic.unit, f" {statistic.unit}")


class KeptNumbers:
    """The kept numbers of a study's images.

    Args:
        study: the study.
        variant: of the numbers; None: the recorded ones, or the only ones there are; none of several simulated ones.

    Raises:
        StudyError: no such variant.
    """

    def __init__(self, study: Study, variant: str | None = None) -> None:
        self._statistics = study.statistics
        self._structures = study.structures
        self._numbers: dict[tuple[str, str], Number] = {}
        try:
            self._numbers = study.numbers(variant)
        except StudyError:
            if variant is not None:
                raise

    def of(self, case: Case) -> list[Kept]:
        """The numbers of an image, in the order of the study; what was not kept is left out."""
        kept = []
        for statistic in self._statistics:
            number = self._numbers.get((case.id, statistic.name))
            if number is not None:
                value, low, high = (v / statistic.scale for v in (number.value, number.low, number.high))
                span = Range.of(value, low, high)
                if span.known:
                    kept.append(Kept(statistic, value, span))
        return kept

    def without_room(self, case: Case, space: Sequence[int], spacing: Sequence[float] | None) -> list[str]:
        """What is to be said of numbers that the image has no room for; arguments as of :meth:`areas`."""
        kept = [(one, most_in_image(one.statistic, space, spacing)) for one in self.of(case)]
        return [
            f"{one}: the image has room for {written(one.statistic, most)} at most"
            for one, most in kept
            if not has_room(one.range.low, most)
        ]

    def areas(
        self, case: Case, space: Sequence[int], spacing: Sequence[float] | None
    ) -> dict[str, tuple[float, float]]:
        """Least and most pixels of each structure whose size a number tells; the others are absent.

        Args:
            case: of the image.
            space: its shape without channels.
            spacing: mm per axis; None: unknown.
        """
        columns = []
        for statistic in self._statistics:
            number = self._numbers.get((case.id, statistic.name))
            columns.append(UNKNOWN if number is None else Range.of(number.value, number.low, number.high))
        low, high = np.array(columns, dtype=np.float64).reshape(-1, 2).T[:, None]
        pixels = math.prod(space)
        extent = np.array([math.nan if spacing is None else math.prod(spacing) * pixels])
        shares = shares_that_follow(self._structures, self._statistics, low, high, extent, len(space))
        return {
            name: (float(least) * pixels, float(most) * pixels)
            for name, least, most in zip(self._structures, shares.low[0], shares.high[0], strict=True)
            if not math.isnan(least)
        }
