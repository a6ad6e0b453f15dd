"""What a number means: which statistic, of which structures, in which unit.

One definition serves everybody: ``study.toml`` stores it, ``measure`` evaluates it exactly on a mask and
``core.statistics`` evaluates it differentiably on probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from tallymark.errors import StudyError

Kind = Literal["area_fraction", "area", "area_ratio", "mean_intensity", "longest_axis", "shortest_axis"]

# The factor that turns a number in the unit of the table into the canonical unit of its kind:
# a fraction in [0, 1], mm (lengths), mm2 or mm3 (areas and volumes), intensity of an image scaled to [0, 1].
UNITS: dict[Kind, dict[str, float]] = {
    "area_fraction": {"fraction": 1.0, "percent": 0.01},
    "area": {"mm2": 1.0, "cm2": 100.0, "mm3": 1.0, "ml": 1000.0},
    "area_ratio": {"fraction": 1.0, "percent": 0.01},
    "mean_intensity": {"intensity": 1.0},
    "longest_axis": {"mm": 1.0, "cm": 10.0},
    "shortest_axis": {"mm": 1.0, "cm": 10.0},
}


@dataclass(frozen=True)
class Statistic:
    """One number that was kept for each image.

    Args:
        name: how ``statistics.csv`` calls it.
        kind: what it measures; one of :data:`Kind`.
        of: structures whose union is measured; the numerator of a ratio.
        over: the denominator of a ratio, again a union: the ratio ``A / (A + B)`` has ``of=("A",)`` and
            ``over=("A", "B")``. Empty for every other kind.
        unit: the unit of the values in the table; see :data:`UNITS`.

    Raises:
        StudyError: unknown kind or unit, no structure, or a denominator where none belongs.

    Example:
        >>> fat = Statistic("fat", "area_ratio", of=("fat",), over=("fat", "muscle"), unit="percent")
        >>> fat.scale
        0.01
    """

    name: str
    kind: Kind
    of: tuple[str, ...]
    over: tuple[str, ...] = ()
    unit: str = "fraction"

    def __post_init__(self) -> None:
        where = f"statistic '{self.name}'"
        if self.kind not in get_args(Kind):
            raise StudyError("unknown kind", where=where, found=repr(self.kind), expected=", ".join(get_args(Kind)))
        if self.unit not in UNITS[self.kind]:
            expected = ", ".join(UNITS[self.kind])
            raise StudyError(f"unit does not fit the kind {self.kind}", where=where, found=self.unit, expected=expected)
        if not self.of:
            raise StudyError("no structure is measured", where=where, remedy="name at least one in 'of'")
        if (self.kind == "area_ratio") != bool(self.over):
            expected = "structures in 'over'" if self.kind == "area_ratio" else "no 'over'"
            raise StudyError(
                f"the denominator does not fit the kind {self.kind}", where=where, found=self.over, expected=expected
            )

    @property
    def scale(self) -> float:
        """Factor from the table's unit to the canonical unit of the kind."""
        return UNITS[self.kind][self.unit]

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest possible value in the canonical unit."""
        fractions = ("area_fraction", "area_ratio", "mean_intensity")
        return (0.0, 1.0) if self.kind in fractions else (0.0, float("inf"))
