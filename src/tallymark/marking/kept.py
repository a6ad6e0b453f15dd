"""What the kept numbers say about an image: as text for the reader, and as pixels for growth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tallymark.data.study import Case, Number, Study
from tallymark.errors import StudyError
from tallymark.measure.definition import Statistic

_UNITS = {"fraction": " %", "percent": " %", "intensity": "", "mm2": " mm²", "cm2": " cm²", "mm3": " mm³"}
_KINDS = {"mean_intensity": " intensity", "longest_axis": " longest axis", "shortest_axis": " shortest axis"}


@dataclass(frozen=True)
class Kept:
    """A number of an image, in the unit in which it was kept.

    Args:
        statistic: what it is.
        value: the number; NaN if only an interval was kept.
        low: least.
        high: most.
    """

    statistic: Statistic
    value: float
    low: float
    high: float

    @property
    def middle(self) -> float:
        """The number, or the middle of its interval."""
        return (self.low + self.high) / 2 if math.isnan(self.value) else self.value

    def __str__(self) -> str:
        """As a reader wants it.

        Example:
            >>> share = Statistic("lesion_fraction", "area_fraction", of=("lesion",))
            >>> str(Kept(share, 0.2747, 0.2747, 0.2747))
            'lesion 27.5 %'
            >>> str(Kept(Statistic("size", "area", of=("cyst", "rim"), unit="mm2"), float("nan"), 3.0, 5.0))
            'cyst and rim 3 to 5 mm²'
        """
        if math.isnan(self.value):
            low, high = (written(self.statistic, value) for value in (self.low, self.high))
            number = f"{low.removesuffix(_unit(self.statistic))} to {high}"
        else:
            number = written(self.statistic, self.value)
        return f"{subject(self.statistic)} {number}"


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
            if number is not None and not all(math.isnan(v) for v in (number.value, number.low, number.high)):
                values = (v / statistic.scale for v in (number.value, number.low, number.high))
                kept.append(Kept(statistic, *values))
        return kept

    def areas(
        self, case: Case, space: Sequence[int], spacing: Sequence[float] | None
    ) -> dict[str, tuple[float, float]]:
        """Least and most pixels of each structure whose size a number tells; the others are absent.

        Args:
            case: of the image.
            space: its shape without channels.
            spacing: mm per axis; None: unknown.
        """
        areas = {}
        for structure in self._structures:
            for statistic in self._statistics:
                number = self._numbers.get((case.id, statistic.name))
                if number is None or not tells_size(statistic, structure):
                    continue
                pixels = _pixels(statistic, number, space, spacing)
                if pixels is not None:
                    areas[structure] = pixels
                    break
        return areas


def tells_size(statistic: Statistic, structure: str) -> bool:
    """Whether a number is the size of this structure alone.

    Example:
        >>> tells_size(Statistic("f", "area_fraction", of=("fat",)), "fat")
        True
    """
    return statistic.kind in ("area_fraction", "area") and tuple(statistic.of) == (structure,)


def _pixels(
    statistic: Statistic, number: Number, space: Sequence[int], spacing: Sequence[float] | None
) -> tuple[float, float] | None:
    low, high = (number.value, number.value) if not math.isnan(number.value) else (number.low, number.high)
    if math.isnan(low) or math.isnan(high):
        return None
    if statistic.kind == "area_fraction":
        return low * math.prod(space), high * math.prod(space)
    return None if spacing is None else (low / math.prod(spacing), high / math.prod(spacing))
