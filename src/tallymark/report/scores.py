"""What each figure of an evaluation is called and what it says, for a reader who is not a statistician."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from tallymark.errors import ReadError
from tallymark.report.content import Score

Figures = Mapping[str, object]

# Name of the column, key in the evaluation, explanation.
_OVERLAP = [
    (
        "IoU per image",
        "iou_per_image",
        "Overlap: the area that prediction and truth share, divided by the area that they cover together; mean over "
        "the images that have the structure. 1 is perfect, 0 is no overlap.",
    ),
    (
        "IoU pooled",
        "iou_pooled",
        "The same over the pixels of all images at once, so that large structures weigh more.",
    ),
    (
        "Dice per image",
        "dice_per_image",
        "Twice the shared area divided by the sum of both areas; mean over the images that have the structure. "
        "1 is perfect.",
    ),
    (
        "Empty kept empty",
        "empty_correct",
        "Share of the images without the structure in which nothing was predicted.",
    ),
    (
        "Mark hit rate",
        "mark_hit_rate",
        "Share of the marked pixels that the prediction covers: whether it found the right place.",
    ),
]
# Name of the column, keys in the evaluation (two make an interval), sign, explanation.
_NUMBER = [
    (
        "Number error",
        ("mean_absolute_error",),
        "",
        "How far the predicted number is from the recorded one; mean over the images.",
    ),
    (
        "Bias",
        ("bias",),
        "+",
        "Predicted minus recorded number, mean over the images: above 0 the model reads too high.",
    ),
    (
        "Limits of agreement",
        ("lower", "upper"),
        "+",
        "Where 95 % of the differences between predicted and recorded number are expected (Bland and Altman).",
    ),
]


_SHORT_UNITS = {"fraction": "", "percent": "%", "mm2": "mm²", "mm3": "mm³", "cm2": "cm²"}  # as a table has room for


def scores_of(
    structures: Mapping[str, Figures], statistics: Mapping[str, Figures], *, where: object = "evaluation"
) -> tuple[Score, ...]:
    """The columns of the report from the scores of an evaluation.

    One structure with one statistic makes one line of the table; otherwise each has a line of its own.

    Args:
        structures: for each ``iou_per_image``, ``iou_pooled``, ``dice_per_image``, ``empty_correct`` and
            ``mark_hit_rate``; None where undefined.
        statistics: for each ``unit``, ``mean_absolute_error``, ``bias``, ``lower`` and ``upper``; None where undefined.
        where: what an error names as its place.

    Raises:
        ReadError: a score is missing or is no number.

    Example:
        >>> overlap = dict.fromkeys(("iou_per_image", "iou_pooled", "dice_per_image", "mark_hit_rate"), 0.5)
        >>> number = {"unit": "ml", "mean_absolute_error": 2.0, "bias": -1.0, "lower": -5.0, "upper": 3.0}
        >>> scores = scores_of({"lesion": overlap | {"empty_correct": None}}, {"volume": number})
        >>> [score.text for score in scores]
        ['0.500', '0.500', '0.500', 'n/a', '0.500', '2.00 ml', '-1.00 ml', '-5.00 to +3.00 ml']
    """
    merged = len(structures) <= 1 and len(statistics) <= 1
    columns: list[Score] = []
    for name, figures in structures.items():
        columns += _overlap(figures, "" if merged else name, f"{where}, structure '{name}'")
    for name, figures in statistics.items():
        columns += _number(figures, "" if merged else name.replace("_", " "), f"{where}, statistic '{name}'")
    return tuple(columns)


def _overlap(figures: Figures, subject: str, place: str) -> Iterator[Score]:
    for name, key, explanation in _OVERLAP:
        yield Score(name, _value(figures, key, place), ".3f", "", explanation, subject)


def _number(figures: Figures, subject: str, place: str) -> Iterator[Score]:
    unit = str(figures.get("unit", ""))
    values = {key: _value(figures, key, place) for _, keys, _, _ in _NUMBER for key in keys}
    decimals = _decimals(list(values.values()))
    for name, keys, sign, explanation in _NUMBER:
        known = [value for key in keys if (value := values[key]) is not None]
        shown = None if len(known) < len(keys) else known[0] if len(keys) == 1 else (known[0], known[1])
        yield Score(name, shown, f"{sign}.{decimals}f", _SHORT_UNITS.get(unit, unit), explanation, subject)


def _value(figures: Figures, key: str, place: str) -> float | None:
    if key not in figures:
        raise ReadError(f"score {key} is missing", where=place, remedy="evaluate the run again")
    value = figures[key]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ReadError(f"score {key} is no number", where=place, found=repr(value), remedy="evaluate the run again")
    return float(value)


def _decimals(values: Sequence[float | None]) -> int:
    """Enough decimals for three digits of the largest value, at most four: fractions and millilitres both read well."""
    largest = max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)
    return 3 if largest == 0 else min(4, max(0, 2 - math.floor(math.log10(largest))))
