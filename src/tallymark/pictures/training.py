"""Training curves: what the losses did, and what became of the held-out images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tallymark.errors import ReadError
from tallymark.pictures.figure import INK, figure, finish
from tallymark.pictures.palette import OKABE_ITO, colour_hex

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Black is the whole, colours are its terms; every line has its own dash as well, for prints without colour.
_COLOURS = [colour_hex(OKABE_ITO[name]) for name in ("blue", "vermillion", "bluish green", "reddish purple", "orange")]
_DASHES: list[str | tuple[int, tuple[int, ...]]] = ["-", "--", "-.", ":", (0, (6, 2, 1, 2, 1, 2))]
_RATES = ("hit", "iou", "dice")  # shares between 0 and 1
_WHOLE = ("loss", "total")


def curves(metrics: pd.DataFrame | Path, path: Path | None = None) -> bytes:
    """Draw the losses of every epoch and, beside them, the held-out figures that were logged.

    The held-out panels are there only if their columns are: the error of the number, and the rates (mark hit rate; IoU
    and Dice in a run that may see masks).

    Args:
        metrics: a table as Lightning's CSV logger writes it, or its file: columns ``epoch``, ``step``, ``train/...``
            and ``select/...``, empty where a row did not log the column. Rows of one epoch are averaged.
        path: where to write the PNG, if anywhere.

    Returns:
        The PNG.

    Raises:
        ReadError: no such file, not a table, no column ``epoch``, or nothing logged.
        StorageError: the file cannot be written.

    Example:
        >>> import pandas as pd
        >>> curves(pd.DataFrame({"epoch": [0, 1], "step": [9, 19], "train/loss": [1.0, 0.5]}))[1:4]
        b'PNG'
    """
    table = by_epoch(metrics)
    names = [str(name) for name in table.columns]
    losses = [name for name in names if name.startswith("train/")]
    held_out = [name for name in names if name.startswith("select/")]
    losses += [name for name in held_out if _short(name) in _WHOLE]
    rates = [name for name in held_out if any(rate in name for rate in _RATES)]
    errors = [name for name in held_out if name not in losses and name not in rates]
    panels = [
        ("Training losses", "loss", losses),
        ("Error of the number, held-out images", "error", errors),
        ("Hits and overlap, held-out images", "share", rates),
    ]
    panels = [panel for panel in panels if panel[2]]
    with figure(len(panels), width=1.0 + 4.0 * len(panels), height=4.2) as (drawing, axes):
        for place, (title, label, columns) in zip(axes, panels, strict=True):
            _draw(place, table[columns], title, label)
        return finish(drawing, path)


def by_epoch(metrics: pd.DataFrame | Path) -> pd.DataFrame:
    """One row an epoch and one column a quantity (``train/...``, ``select/...``) that was logged at least once.

    Raises:
        ReadError: as for :func:`curves`.

    Example:
        >>> import pandas as pd
        >>> log = pd.DataFrame({"epoch": [0, 0, 1], "train/loss": [1.0, 3.0, 0.5], "select/error": [None, 0.25, None]})
        >>> by_epoch(log)["train/loss"].tolist()
        [2.0, 0.5]
    """
    import pandas as pd

    where: object = "metrics"
    if isinstance(metrics, Path):
        where = metrics
        try:
            metrics = pd.read_csv(metrics)
        except OSError as error:
            raise ReadError("cannot be read", where=where, found=error.strerror) from error
        except (ValueError, pd.errors.ParserError) as error:
            raise ReadError("not a table of metrics", where=where, found=str(error)) from error
    if "epoch" not in metrics:
        expected = "epoch, step, train/..., select/..."
        raise ReadError(
            "column epoch is missing", where=where, found=", ".join(map(str, metrics.columns)), expected=expected
        )
    names = [str(name) for name in metrics.columns]
    logged = [name for name in names if name.startswith(("train/", "select/")) and _numeric(metrics[name])]
    if not logged:
        raise ReadError("nothing was logged", where=where, expected="columns train/... or select/... with numbers")
    return metrics.groupby("epoch")[logged].mean()


def _numeric(column: pd.Series) -> bool:
    from pandas.api.types import is_numeric_dtype

    return is_numeric_dtype(column) and bool(column.notna().any())


def _draw(axes: Axes, table: pd.DataFrame, title: str, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    colours = iter(_COLOURS * len(table.columns))
    for number, name in enumerate(map(str, table.columns)):
        column = table[name].dropna()  # a quantity logged every few epochs is joined across the gaps
        whole = name.startswith("train/") and _short(name) in _WHOLE
        axes.plot(
            column.index,
            column.to_numpy(),
            label=_words(name),
            color=INK if whole else next(colours),
            linestyle="-" if whole else _DASHES[number % len(_DASHES)],
            linewidth=2.2 if whole else 1.6,
            marker="o" if len(column) == 1 else None,
        )
    if label == "share":
        axes.set_ylim(-0.02, 1.02)
    elif _spans_decades(table):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=min(0.0, float(table.min().min())))
    axes.set_title(title)
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Under the axes, where it covers no line.
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def _spans_decades(table: pd.DataFrame) -> bool:
    low, high = float(table.min().min()), float(table.max().max())
    return low > 0 and high / low > 50


def _short(name: str) -> str:
    return name.partition("/")[2]


def _words(name: str) -> str:
    words = _short(name).replace("_", " ").replace("iou", "IoU")
    return f"{words}, held-out" if name.startswith("select/") and _short(name) in _WHOLE else words
