"""The ways in which clinics keep numbers, by name, and the short way to ask for one: ``rounded:5%``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tallymark.errors import ConfigError
from tallymark.measure.definition import UNITS

Amount = Literal["share", "quantity", "none"]

NUMBER_KINDS: dict[str, tuple[Amount, str]] = {
    "rounded": (
        "quantity",
        "to the nearest step: 'rounded:5%' (points), 'rounded:1mm'; with the interval of half a step",
    ),
    "noisy": ("share", "times 1 + N(0, SHARE^2), drawn anew for each image, and never to 0 or out of range"),
    "noisy-additive": ("quantity", "plus N(0, QUANTITY^2), drawn anew for each image, and never to 0 or out of range"),
    "biased": ("share", "times 1 + SHARE, the same for all: 'biased:-20%'"),
    "interval": ("share", "only the interval of SHARE below to SHARE above"),
    "missing": ("share", "SHARE of the images of each split have no number"),
    "group": ("none", "one number for all images of a group together"),
    "ratio": ("none", "only the ratios of two structures"),
    "longest-axis": ("none", "only the longest axes"),
    "shortest-axis": ("none", "only the shortest axes"),
}
"""What can be simulated, what its amount is, and one line for people."""

_SPEC = re.compile(r"(?P<number>[+-]?(\d+\.?\d*|\.\d+))\s*(?P<unit>%|[a-z]+[23]?)")


@dataclass(frozen=True)
class NumberSpec:
    """How numbers are kept.

    Args:
        kind: one of :data:`NUMBER_KINDS`.
        amount: a share as a fraction, or a quantity in ``unit``; 0 for kinds without one.
        unit: "%" for a share and for points of a fraction, else the unit of the quantity; empty without an amount.
    """

    kind: str
    amount: float = 0.0
    unit: str = ""

    def __str__(self) -> str:
        if not self.unit:
            return self.kind
        shown = 100 * self.amount if NUMBER_KINDS[self.kind][0] == "share" else self.amount
        return (
            f"{self.kind}:{shown:+.6g}{self.unit}" if self.kind == "biased" else f"{self.kind}:{shown:.6g}{self.unit}"
        )


def parse_numbers(text: str) -> NumberSpec:
    """Read ``KIND`` or ``KIND:AMOUNT``.

    Args:
        text: for example ``rounded:5%``, ``rounded:0.5ml``, ``noisy:20%``, ``biased:-20%``, ``missing:50%``, ``group``.
            An amount needs its unit: a bare 5 could be 5 % or five times the whole.

    Returns:
        Kind and amount.

    Raises:
        ConfigError: an unknown kind, an amount that is missing, superfluous, without unit or out of range.

    Example:
        >>> [str(parse_numbers(text)) for text in ("rounded:5%", "biased:20%", "interval: 10 %", "group")]
        ['rounded:5%', 'biased:+20%', 'interval:10%', 'group']
    """
    kind, colon, amount = (part.strip() for part in text.partition(":"))
    if kind not in NUMBER_KINDS:
        raise ConfigError("numbers are not kept so", found=repr(kind), expected=", ".join(NUMBER_KINDS))
    takes = NUMBER_KINDS[kind][0]
    if takes == "none":
        if colon:
            raise ConfigError(f"'{kind}' has no amount", found=repr(text), expected=repr(kind))
        return NumberSpec(kind)
    match = _SPEC.fullmatch(amount)
    example = f"{kind}:5%" if takes == "share" else f"{kind}:5% or {kind}:1mm"
    if match is None or (takes == "share" and match["unit"] != "%"):
        raise ConfigError(f"the amount of '{kind}' cannot be read", found=repr(text), expected=f"as in {example}")
    value, unit = float(match["number"]), match["unit"]
    units = {unit for of_kind in UNITS.values() for unit in of_kind}
    if unit != "%" and unit not in units:
        raise ConfigError("unknown unit", found=repr(text), expected=", ".join(["%", *sorted(units)]))
    if takes == "quantity":
        if value <= 0 or (unit == "%" and value > 100):
            raise ConfigError(f"the amount of '{kind}' is out of range", found=repr(text), expected="above 0")
        return NumberSpec(kind, value, unit)
    share = value / 100
    if not (share > -1 and share != 0 if kind == "biased" else 0 < share <= 1):
        expected = "above -100 %, not 0" if kind == "biased" else "above 0 %, at most 100 %"
        raise ConfigError(f"the amount of '{kind}' is out of range", found=repr(text), expected=expected)
    return NumberSpec(kind, share, unit)
