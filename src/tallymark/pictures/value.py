"""What a person's time buys: a score against seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from tallymark.errors import EvaluationError
from tallymark.pictures.figure import QUIET, figure, finish
from tallymark.pictures.palette import OKABE_ITO, colour_hex

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "osD^vPX"


class Curve(NamedTuple):
    """One way to spend a person's time.

    Attributes:
        name: of the way.
        seconds: a person spent, >= 0.
        score: what it gave, in [0, 1].
    """

    name: str
    seconds: Float[np.ndarray, " n"]
    score: Float[np.ndarray, " n"]


def score_against_seconds(
    curves: Sequence[Curve], path: Path | None = None, *, score: str = "IoU per image, test images"
) -> bytes:
    """A line for each way to spend a person's time; what costs no time at all is a dashed line across.

    Args:
        curves: in the order of the legend.
        path: where to write the PNG, if anywhere.
        score: what is on the upright axis.

    Returns:
        The PNG.

    Raises:
        EvaluationError: nothing to draw.
        StorageError: the file cannot be written.

    Example:
        >>> score_against_seconds([Curve("clicks", np.array([60.0, 600.0]), np.array([0.3, 0.5]))])[1:4]
        b'PNG'
    """
    if not any(len(curve.seconds) for curve in curves):
        raise EvaluationError("there is nothing to draw", found=f"{len(curves)} curves without a point")
    colours = [colour_hex(OKABE_ITO[name]) for name in ("blue", "orange", "bluish green", "vermillion", "sky blue")]
    with figure(1, width=7.0, height=4.4) as (drawing, (axes,)):
        for number, curve in enumerate(curves):
            colour, costs = colours[number % len(colours)], curve.seconds > 0
            for free in curve.score[~costs]:
                axes.axhline(free, color=QUIET, linestyle="--", linewidth=1.2, label=curve.name)
            if costs.any():
                marker = _MARKERS[number % len(_MARKERS)]
                axes.plot(curve.seconds[costs], curve.score[costs], color=colour, marker=marker, label=curve.name)
        axes.set_xscale("log")
        _time_ticks(axes)
        axes.set_xlabel("a person's time for all training images")
        axes.set_ylabel(score)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return finish(drawing, path)


def _time_ticks(axes: Axes) -> None:
    """Ticks at times that people count in."""
    from matplotlib.ticker import NullLocator

    named = {10: "10 s", 60: "1 min", 300: "5 min", 1200: "20 min", 3600: "1 h", 14400: "4 h", 28800: "8 h"}
    low, high = axes.get_xlim()
    shown = {seconds: text for seconds, text in named.items() if low <= seconds <= high}
    axes.set_xticks(list(shown), list(shown.values()))
    axes.xaxis.set_minor_locator(NullLocator())
