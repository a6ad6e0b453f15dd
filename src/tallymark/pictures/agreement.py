"""Do the numbers agree: predicted against recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tallymark.errors import EvaluationError, GeometryError
from tallymark.pictures.figure import INK, QUIET, figure, finish
from tallymark.pictures.palette import OKABE_ITO, colour_hex

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Numbers = NDArray[np.float64]


def bland_altman(
    predicted: ArrayLike, recorded: ArrayLike, path: Path | None = None, *, name: str = "number", unit: str = ""
) -> bytes:
    """Difference against mean of the two numbers of each image, with the bias and its 95 % limits of agreement.

    bias = mean(predicted - recorded); limits = bias -+ 1.96 sd, sd with n - 1. With a single pair there are no limits.

    Args:
        predicted: (n,) numbers of the model; NaN where there is none, and such pairs are left out.
        recorded: (n,) numbers that were kept, in the same unit.
        path: where to write the PNG, if anywhere.
        name: what the number is, for the axes.
        unit: its unit, for the axes.

    Returns:
        The PNG.

    Raises:
        GeometryError: not two equally long lists.
        EvaluationError: no image has both numbers.
        StorageError: the file cannot be written.

    Source: Bland & Altman 1986, Lancet 327, doi:10.1016/S0140-6736(86)90837-8.

    Example:
        >>> bland_altman([0.2, 0.4], [0.1, 0.5])[1:4]
        b'PNG'
    """
    x, y = _pairs(predicted, recorded)
    difference, mean = x - y, (x + y) / 2
    bias = difference.mean()
    lines = [("bias", bias, "-", "center")]
    if len(difference) > 1:
        spread = 1.96 * difference.std(ddof=1)
        lines += [("upper limit", bias + spread, "--", "bottom"), ("lower limit", bias - spread, "--", "top")]
    with figure(1, width=6.2, height=4.0) as (drawing, (axes,)):
        axes.axhline(0.0, color=QUIET, linewidth=0.9)
        _scatter(axes, mean, difference)
        for label, value, style, side in lines:
            axes.axhline(value, color=INK, linestyle=style, linewidth=1.3)
            # Named beside the plot, where no point can lie under the name.
            axes.annotate(
                f"{label}\n{value:+.3g}",
                (1.01, value),
                xycoords=axes.get_yaxis_transform(),
                va=side,
                fontsize=9,
                annotation_clip=False,
            )
        axes.margins(y=0.15)
        axes.set_xlabel(_label(f"mean of predicted and recorded {name}", unit))
        axes.set_ylabel(_label("predicted minus recorded", unit))
        axes.set_title(f"Agreement of the {name}, n = {len(mean)}")
        return finish(drawing, path)


def number_scatter(
    predicted: ArrayLike, recorded: ArrayLike, path: Path | None = None, *, name: str = "number", unit: str = ""
) -> bytes:
    """Predicted against recorded number of each image, with the line on which both are equal.

    Args, returns and errors as for :func:`bland_altman`.

    Example:
        >>> number_scatter([0.2, 0.4], [0.1, 0.5])[1:4]
        b'PNG'
    """
    x, y = _pairs(predicted, recorded)
    low, high = min(x.min(), y.min(), 0.0), max(x.max(), y.max())
    room = 0.04 * ((high - low) or 1.0)
    with figure(1, width=4.4, height=4.4) as (drawing, (axes,)):
        axes.plot([low, high], [low, high], color=QUIET, linewidth=1.0)
        _scatter(axes, y, x)
        axes.set(xlim=(low - room, high + room), ylim=(low - room, high + room), aspect="equal")
        axes.set_xlabel(_label(f"recorded {name}", unit))
        axes.set_ylabel(_label(f"predicted {name}", unit))
        axes.set_title(f"Each dot one image, n = {len(x)}")
        return finish(drawing, path)


def _pairs(predicted: ArrayLike, recorded: ArrayLike) -> tuple[Numbers, Numbers]:
    x, y = np.asarray(predicted, dtype=np.float64), np.asarray(recorded, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        expected = f"{y.shape}, as recorded"
        raise GeometryError("not one number per image", where="predicted", found=x.shape, expected=expected)
    both = np.isfinite(x) & np.isfinite(y)
    if not both.any():
        raise EvaluationError("no image has both a predicted and a recorded number", found=f"{len(x)} images")
    return x[both], y[both]


def _scatter(axes: Axes, x: Numbers, y: Numbers) -> None:
    # Many points overlap: smaller and more transparent, so that their density shows.
    size, opacity = (26, 0.7) if len(x) <= 300 else (10, 0.4)
    axes.scatter(x, y, s=size, alpha=opacity, color=colour_hex(OKABE_ITO["blue"]), edgecolors="none")


def _label(text: str, unit: str) -> str:
    return f"{text} ({unit})" if unit else text
