"""What the kept numbers say about an image: as text for the reader, and as pixels for growth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tallymark.data.study import Case, Number, Study
from tallymark.errors import StudyError
from tallymark.measure.definition import Statistic


@dataclass(frozen=True)
class Kept:
    """A number of an image, in the unit in which it was kept.

    Args:
        statistic: its name.
        unit: of the values.
        value: the number; NaN if only an interval was kept.
        low: least.
        high: most.
    """

    statistic: str
    unit: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """As a reader wants it.

        Example:
            >>> str(Kept("share", "percent", 12.5, 12.0, 13.0)), str(Kept("size", "mm2", float("nan"), 3.0, 5.0))
            ('share 12.5 %', 'size 3 to 5 mm2')
        """
        unit = {"percent": " %", "fraction": ""}.get(self.unit, f" {self.unit}")
        number = f"{self.low:.4g} to {self.high:.4g}" if math.isnan(self.value) else f"{self.value:.4g}"
        return f"{self.statistic.replace('_', ' ')} {number}{unit}"


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
                kept.append(Kept(statistic.name, statistic.unit, *values))
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
