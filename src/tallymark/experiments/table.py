"""One writer for every table of results: CSV for machines, Markdown for people, the same figures in both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tallymark.data.atomic import write_text
from tallymark.data.tables import write_table
from tallymark.engine.scoring import number_scores, overlap_scores
from tallymark.experiments.compare import difference

SCORES = ("iou_per_image", "iou_pooled", "dice_per_image", "mark_hit_rate")


def summarise(name: str, cases: Sequence[pd.DataFrame], numbers: Sequence[pd.DataFrame]) -> dict[str, object]:
    """One line of a table: mean and spread over seeds of every score, over the mean of the structures.

    Args:
        name: of the row.
        cases: the case tables of its seeds.
        numbers: the number tables of its seeds.

    Returns:
        ``row``, ``seeds``, and for each score its mean and, as ``<score>_sd``, its standard deviation over seeds.
    """
    line: dict[str, object] = {"row": name, "seeds": len(cases)}
    scores = [
        pd.DataFrame([overlap_scores(rows) for _, rows in table.groupby("structure")])[list(SCORES)]
        .astype(float)
        .mean()
        for table in cases
    ]
    errors = [
        np.nanmean([_number(number_scores(rows)["mean_absolute_error"]) for _, rows in table.groupby("statistic")])
        for table in numbers
    ]
    for score in SCORES:
        values = np.array([float(each[score]) for each in scores])
        line[score], line[f"{score}_sd"] = float(values.mean()), _spread(values)
    line["number_error"], line["number_error_sd"] = float(np.mean(errors)), _spread(np.array(errors))
    return line


def against(
    line: dict[str, object],
    cases: Sequence[pd.DataFrame],
    *,
    floor: Sequence[pd.DataFrame],
    full: Sequence[pd.DataFrame] | None,
) -> dict[str, object]:
    """Add to a line how it stands against its floor and against full supervision (paired group bootstrap, 95 %)."""
    over = difference(cases, floor)
    line = line | {"over_floor": over.mean, "over_floor_low": over.low, "over_floor_high": over.high}
    line["beats_floor"] = over.verdict
    if full is not None:
        gap = difference(cases, full)
        line |= {"minus_full": gap.mean, "minus_full_low": gap.low, "minus_full_high": gap.high}
    return line


def write_tables(lines: Sequence[dict[str, object]], folder: Path, name: str, *, head: str, foot: str) -> Path:
    """Write ``<name>.csv`` with every figure and ``<name>.md`` with those that a reader compares.

    Args:
        lines: of :func:`summarise`, perhaps with :func:`against` and more columns.
        folder: where.
        name: of both files.
        head: Markdown above the table: what it is and the command that made it.
        foot: Markdown below: what it shows and what it does not.

    Returns:
        The Markdown file.
    """
    frame = pd.DataFrame(lines)
    write_table(folder / f"{name}.csv", frame)
    text = f"{head.strip()}\n\n{markdown(frame)}\n\n{foot.strip()}\n"
    write_text(folder / f"{name}.md", text)
    return folder / f"{name}.md"


def markdown(frame: pd.DataFrame) -> str:
    """The table a reader compares: scores in per cent, mean and spread in one cell."""
    columns = {
        "row": "row",
        "paper": "paper, IoU",
        "iou_pooled": "IoU pooled",
        "iou_per_image": "IoU per image",
        "dice_per_image": "Dice per image",
        "number_error": "number error",
        "mark_hit_rate": "marks hit",
        "over_floor": "over its floor",
        "beats_floor": "beats it",
        "minus_full": "minus full",
    }
    shown = {key: label for key, label in columns.items() if key in frame}
    lines = ["| " + " | ".join(shown.values()) + " |", "|" + "|".join(["---"] + ["--:"] * (len(shown) - 1)) + "|"]
    for _, line in frame.iterrows():
        lines.append("| " + " | ".join(_cell(line, key) for key in shown) + " |")
    return "\n".join(lines)


def _cell(line: pd.Series, key: str) -> str:
    value = line[key]
    if not isinstance(value, str) and (value is None or pd.isna(value)):
        return ""
    if key in ("over_floor", "minus_full"):
        return f"{100 * value:+.1f} [{100 * line[f'{key}_low']:+.1f}, {100 * line[f'{key}_high']:+.1f}]"
    if key == "beats_floor":
        return {"above": "yes", "below": "no, below", "open": "not shown"}[str(value)]
    if key == "paper":
        return f"{value:.2f}"
    if f"{key}_sd" in line:
        spread = line[f"{key}_sd"]
        return f"{100 * value:.1f}" if pd.isna(spread) else f"{100 * value:.1f} ± {100 * spread:.1f}"
    return str(value)


def _spread(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")
