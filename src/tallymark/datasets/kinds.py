"""The kinds of simulated marks by name, and the short way to ask for one: ``erosion:8%``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tallymark.datasets import hand
from tallymark.datasets.generators import Generator, deepest, erode
from tallymark.errors import ConfigError


@dataclass(frozen=True)
class MarkKind:
    """A way to make marks.

    Args:
        generate: the generator.
        share: the share used when none is asked for; None where the kind has none.
        says: one line for people.
    """

    generate: Generator
    share: float | None
    says: str


MARK_KINDS: dict[str, MarkKind] = {
    "erosion": MarkKind(erode, 0.08, "eroded 3x3 until at most SHARE of the structure is left (the paper)"),
    "deepest": MarkKind(deepest, 0.08, "the SHARE of the structure's pixels that lies deepest"),
    "click": MarkKind(hand.click, None, "one pixel near the deepest point"),
    "stroke": MarkKind(hand.stroke, None, "a line near the long axis"),
    "dab": MarkKind(hand.dab, 0.04, "an off-centre disc of SHARE of the structure, clipped to it"),
    "dab-unclipped": MarkKind(hand.dab_unclipped, 0.04, "such a disc, which may reach over the border"),
    "scribble": MarkKind(hand.scribble, None, "part of the skeleton, drawn by an unsteady hand"),
    "partial": MarkKind(hand.partial, 0.5, "a stroke in SHARE of the components"),
    "outside": MarkKind(hand.outside, 0.05, "a stroke of which SHARE slips over the border"),
}
_ALIASES = {"eroded": "erosion"}


@dataclass(frozen=True)
class MarkSpec:
    """A kind of marks with its share (None for the kinds without one)."""

    kind: str
    share: float | None

    def __str__(self) -> str:
        return self.kind if self.share is None else f"{self.kind}:{100 * self.share:.6g}%"


def parse_marks(text: str) -> MarkSpec:
    """Read ``NAME`` or ``NAME:SHARE``.

    A share with a percent sign is a percentage; without one it is a percentage from 1 upwards and a fraction below 1:
    ``8%``, ``8`` and ``0.08`` are the same. ``eroded`` is another name for ``erosion``.

    Args:
        text: for example ``erosion:8%``.

    Returns:
        Kind and share.

    Raises:
        ConfigError: unknown kind, a share that is no number or not in (0 %, 100 %], or one where none belongs.

    Example:
        >>> [str(parse_marks(text)) for text in ("erosion:8", "eroded:0.08", "erosion:0.5%", "dab", "click")]
        ['erosion:8%', 'erosion:8%', 'erosion:0.5%', 'dab:4%', 'click']
    """
    name, colon, number = (part.strip() for part in text.partition(":"))
    name = _ALIASES.get(name, name)
    if name not in MARK_KINDS:
        raise ConfigError("unknown kind of marks", found=repr(name), expected=", ".join(MARK_KINDS))
    kind = MARK_KINDS[name]
    if not colon:
        return MarkSpec(name, kind.share)
    if kind.share is None:
        raise ConfigError(f"marks of the kind {name} have no share", found=repr(text), expected=repr(name))
    try:
        value = float(number.removesuffix("%"))
    except ValueError:
        value = math.nan
    share = value / 100 if number.endswith("%") or value >= 1 else value
    if not 0 < share <= 1:
        raise ConfigError(
            f"the share of {name} cannot be read",
            found=repr(number),
            expected=f"above 0 %, at most 100 %, as in {name}:8%",
        )
    return MarkSpec(name, share)
