"""What is no fault of a table, and yet worth a second look before a study is made of it."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence

from tallymark.data.study_plan import StudyPlan
from tallymark.data.table_layout import TableLayout

_STEPS = (100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
_FEW = 10  # of fewer numbers it may be chance that all are multiples of something
_COARSE = 0.05  # half a step is worth a word from this share of the middle number on


def remarks(plan: StudyPlan, layout: TableLayout) -> list[str]:
    """What should be known of a plan.

    Args:
        plan: with its lines and numbers.
        layout: what was said of the table.

    Returns:
        One sentence each.
    """
    notes = []
    matched = [line for line in plan.lines if line.state == "matched"]
    kept = [line.value for line in matched if not math.isnan(line.value)]
    without = len(matched) - len(kept)
    if without:
        notes.append(f"{without} rows are without a number: their images stay in the study without one")
    if len(kept) > 2 and plan.statistic.unit == "percent" and 0 < max(kept) <= 1:
        notes.append("no number is above 1: are they really percent? (else: --unit fraction)")
    by_rule = Counter(line.how for line in matched)
    if by_rule.keys() & {"letter case", "number"}:
        notes.append("matched by " + ", ".join(f"{how}: {count}" for how, count in by_rule.items()))
    if layout.group is None and layout.groups is None and layout.level == "image":
        notes.append("no --group: every image counts as a patient of its own; if one has several, splits will leak")
    return [*notes, *_rounding(plan)]


def coarse_step(values: Sequence[float | int]) -> float | None:
    """The step that numbers look rounded to, where that is coarse beside the numbers.

    Args:
        values: in the unit of the table.

    Returns:
        The largest step that all are multiples of; None if there is none, if half of it is less than 5 % of the middle
        number, or if there are fewer than ten numbers above 0 to tell by.

    Example:
        >>> coarse_step([0, 5, 10, 15, 20] * 3)
        5.0
        >>> coarse_step([12.3, 14.1] * 10), coarse_step([5, 10])
        (None, None)
    """
    above = [value for value in values if value > 0]
    if len(above) < _FEW:
        return None
    step = next((s for s in _STEPS if all(abs(v / s - round(v / s)) < 1e-6 for v in above)), None)
    return step if step is not None and step / 2 >= _COARSE * statistics.median(above) else None


def _rounding(plan: StudyPlan) -> list[str]:
    """How the numbers count: as intervals, or exactly, which is a trap where they were rounded."""
    rows = [row for row in plan.numbers if math.isfinite(row.value)]
    if rows and math.isfinite(rows[0].low):
        return [f"rounded: {rows[0].value:g} counts as {rows[0].low:g} to {rows[0].high:g}"]
    step = coarse_step([row.value for row in rows])
    zeros = sum(row.value == 0 for row in rows)
    notes = []
    if step is not None:
        notes.append(
            f"all numbers are multiples of {step:g} and count as exact: if they were rounded, --rounding {step:g}"
        )
    if zeros:
        names = " or ".join(plan.statistic.of)
        notes.append(
            f"{zeros} numbers are exactly 0: no pixel of these images is {names} (rounded to 0? say --rounding)"
        )
    return notes
