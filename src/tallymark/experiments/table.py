"""One writer for every table of results: CSV for machines, Markdown for people, the same figures in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tallymark.data.atomic import write_text
from tallymark.data.tables import write_table
from tallymark.engine.scoring import number_scores, overlap_scores
from tallymark.engine.task import Task
from tallymark.experiments.compare import difference, share
from tallymark.measure.definition import UNITS

SCORES = ("iou_per_image", "iou_pooled", "dice_per_image", "mark_hit_rate")
MEAN = "mean"
"""What the column ``structure`` holds where a line is the mean over several structures."""


@dataclass(frozen=True)
class Scores:
    """What the runs of a row scored: its seeds on the same cases, or its folds on cases of their own.

    Args:
        cases: a case table for each run; see :func:`tallymark.engine.scoring.score`.
        numbers: a number table for each run.
    """

    cases: tuple[pd.DataFrame, ...]
    numbers: tuple[pd.DataFrame, ...]

    def of(self, structure: str, task: Task) -> Scores:
        """The scores of one structure, and of the statistics that measure it alone."""
        own = [one.name for one in task.statistics if one.of == (structure,) and not one.over]
        return Scores(
            tuple(table[table["structure"] == structure] for table in self.cases),
            tuple(table[table["statistic"].isin(own)] for table in self.numbers),
        )


def table_lines(
    name: str, scores: Scores, task: Task, *, floor: Scores | None = None, full: Scores | None = None
) -> list[dict[str, object]]:
    """The lines of a row: its mean over the structures first, then, where there are several, each of them.

    Args:
        name: of the row.
        scores: of its runs.
        task: names structures and statistics.
        floor: of the rule that the row has to beat.
        full: of the supervised row; its mean IoU is above 0.
    """

    def line(structure: str, own: Scores, low: Scores | None, high: Scores | None) -> dict[str, object]:
        made = {"row": name, "structure": structure} | summarise(own)
        return made if low is None else made | against(own, floor=low, full=high)

    if len(task.structures) == 1:
        return [line(task.structures[0], scores, floor, full)]
    each = [
        line(one, scores.of(one, task), floor and floor.of(one, task), full and full.of(one, task))
        for one in task.structures
    ]
    return [line(MEAN, scores, floor, full), *each]


def summarise(scores: Scores) -> dict[str, object]:
    """Mean and spread over runs of every score; over several structures it is the mean of theirs.

    Returns:
        ``runs``, and for each score its mean and, as ``<score>_sd``, its standard deviation over runs. The error of
        the number is that of the fractions among the statistics (areas and lengths do not average with them).
    """
    line: dict[str, object] = {"runs": len(scores.cases)}
    by_structure = [
        pd.DataFrame([overlap_scores(rows) for _, rows in table.groupby("structure")])[list(SCORES)].astype(float)
        for table in scores.cases
    ]
    columns = {score: np.array([one[score].mean() for one in by_structure]) for score in SCORES}
    columns["number_error"] = np.array([_fraction_error(table) for table in scores.numbers])
    for score, values in columns.items():
        line[score], line[f"{score}_sd"] = float(values.mean()), _spread(values)
    return line


def against(scores: Scores, *, floor: Scores, full: Scores | None) -> dict[str, object]:
    """How a row stands against its floor and against full supervision (paired group bootstrap, 95 %)."""
    over = difference(scores.cases, floor.cases)
    line: dict[str, object] = {
        "over_floor": over.mean,
        "over_floor_low": over.low,
        "over_floor_high": over.high,
        "beats_floor": over.verdict,
    }
    if full is not None:
        gap = difference(scores.cases, full.cases)
        line |= {"minus_full": gap.mean, "minus_full_low": gap.low, "minus_full_high": gap.high}
        part = share(scores.cases, full.cases)
        line |= {"of_full": part.mean, "of_full_low": part.low, "of_full_high": part.high}
    return line


def write_tables(lines: Sequence[dict[str, object]], folder: Path, name: str, *, head: str, foot: str) -> Path:
    """Write ``<name>.csv`` with every figure and ``<name>.md`` with those that a reader compares.

    Args:
        lines: of :func:`table_lines`, perhaps with more columns.
        folder: where.
        name: of both files.
        head: Markdown above the table: what it is and the command that made it.
        foot: Markdown below: what it shows and what it does not.

    Returns:
        The Markdown file.
    """
    frame = pd.DataFrame(lines)
    write_table(folder / f"{name}.csv", frame)
    first = frame["structure"] == frame["structure"].iloc[0]
    parts = [head.strip(), markdown(frame[first])]
    if not first.all():
        parts += ["By structure:", markdown(frame[~first], structure=True)]
    write_text(folder / f"{name}.md", "\n\n".join([*parts, foot.strip()]) + "\n")
    return folder / f"{name}.md"


def markdown(frame: pd.DataFrame, *, structure: bool = False) -> str:
    """The table a reader compares: scores in per cent, mean and spread in one cell."""
    columns = {
        "row": "row",
        **({"structure": "structure"} if structure else {}),
        "paper": "paper, IoU",
        "iou_pooled": "IoU pooled",
        "iou_per_image": "IoU per image",
        "dice_per_image": "Dice per image",
        "number_error": "number error",
        "mark_hit_rate": "marks hit",
        "over_floor": "over its floor",
        "beats_floor": "beats it",
        "minus_full": "minus full",
        "of_full": "share of full",
    }
    shown = {key: label for key, label in columns.items() if key in frame and frame[key].notna().any()}
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
    if key == "of_full":
        return f"{value:.2f} [{line['of_full_low']:.2f}, {line['of_full_high']:.2f}]"
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


def _fraction_error(numbers: pd.DataFrame) -> float:
    """Mean absolute error of the fractions of a number table, as a fraction; NaN if it has none."""
    errors = []
    for _, rows in numbers.groupby("statistic"):
        error, scale = number_scores(rows)["mean_absolute_error"], UNITS["area_fraction"].get(str(rows["unit"].iloc[0]))
        if scale is not None and isinstance(error, float):
            errors.append(scale * error)
    return float(np.mean(errors)) if errors else float("nan")
