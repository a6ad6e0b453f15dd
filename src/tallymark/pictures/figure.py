"""One look for every figure, and no global state of matplotlib."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallymark.pictures.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, GRID = "#22272e", "#57606a", "#dfe3e8"

_STYLE: Any = {  # matplotlib types the keys as literals, a dict of strings does not fit
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


@contextmanager
def figure(panels: int, *, width: float, height: float) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure with panels side by side, in the house style; sizes in inches.

    It is drawn without pyplot, so that no window opens, no figure leaks and threads do not meet.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        drawing = Figure(figsize=(width, height), layout="constrained")
        yield drawing, [drawing.add_subplot(1, panels, number + 1) for number in range(panels)]


def finish(drawing: Figure, path: Path | None) -> bytes:
    """The figure as a PNG; written to ``path`` as well if one is given."""
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=160, facecolor="white", metadata={"Software": None})
    if path is not None:
        write_whole(buffer.getvalue(), path)
    return buffer.getvalue()
