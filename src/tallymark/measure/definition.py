"""What a number means: which statistic, of which structures, in which unit.

One definition serves everybody: ``study.toml`` stores it, ``measure`` evaluates it exactly on a mask and
``core.statistics`` evaluates it differentiably on probabilities.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from tallymark.errors import ConfigError, GeometryError, StudyError

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
    def parts(self) -> tuple[str, str] | None:
        """The part and the rest of the one whole that a ratio ``A / (A + B)`` divides; None for other statistics.

        Example:
            >>> Statistic("fat", "area_ratio", of=("fat",), over=("muscle", "fat")).parts
            ('fat', 'muscle')
        """
        rest = [name for name in self.over if name not in self.of]
        return (self.of[0], rest[0]) if len(self.of) == len(rest) == 1 and self.of[0] in self.over else None

    @property
    def scale(self) -> float:
        """Factor from the table's unit to the canonical unit of the kind."""
        return UNITS[self.kind][self.unit]

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest possible value in the canonical unit."""
        fractions = ("area_fraction", "area_ratio", "mean_intensity")
        return (0.0, 1.0) if self.kind in fractions else (0.0, float("inf"))

    @property
    def physical(self) -> bool:
        """Whether it is in mm, mm2 or mm3, so that the size of a pixel must be known."""
        return self.kind in ("area", "longest_axis", "shortest_axis")

    @property
    def dimension(self) -> int | None:
        """Number of space axes that the unit presumes: 2 for an area, 3 for a volume, None where any will do."""
        return {"mm2": 2, "cm2": 2, "mm3": 3, "ml": 3}.get(self.unit)

    def require(self, structures: Collection[str], *, dimension: int, spacing: bool, image: bool) -> None:
        """Refuse to evaluate this statistic without what it needs, so that nothing is guessed.

        Args:
            structures: names of the masks at hand.
            dimension: number of their space axes.
            spacing: whether the physical size of a pixel is known.
            image: whether the image is at hand.

        Raises:
            StudyError: a structure is not among those at hand.
            GeometryError: the size of a pixel is needed and unknown, or the unit is of another dimension.
            ConfigError: the image is needed and not at hand.

        Example:
            >>> size = Statistic("size", "area", of=("cyst",), unit="ml")
            >>> size.require(["cyst"], dimension=2, spacing=True, image=False)
            Traceback (most recent call last):
            ...
            tallymark.errors.GeometryError: statistic 'size': its unit is of another dimension than the images; ...
        """
        where = f"statistic '{self.name}'"
        for name in (*self.of, *self.over):
            if name not in structures:
                expected = ", ".join(structures)
                raise StudyError("unknown structure", where=where, found=repr(name), expected=expected)
        if self.dimension not in (None, dimension):
            raise GeometryError(
                "its unit is of another dimension than the images",
                where=where,
                found=f"{self.unit} on {dimension}-D images",
                expected="mm2 or cm2 in 2-D, mm3 or ml in 3-D",
                remedy="change the unit in study.toml",
            )
        if self.physical and not spacing:
            raise GeometryError(
                "the physical size of a pixel is needed and not known",
                where=where,
                expected="the edges of a pixel in mm",
                remedy="give the spacing in cases.csv, or keep a fraction instead of a physical size",
            )
        if self.kind == "mean_intensity" and not image:
            raise ConfigError("the image is needed to measure an intensity", where=where, remedy="give the image")
