"""Figures as they are printed."""

from __future__ import annotations

import math

import pytest

from tallymark.errors import ReadError
from tallymark.report import Score
from tallymark.report.scores import scores_of

OVERLAP = dict.fromkeys(("iou_per_image", "iou_pooled", "dice_per_image", "empty_correct", "mark_hit_rate"), 0.5)
NUMBER: dict[str, object] = {"unit": "fraction", "mean_absolute_error": 0.5, "bias": 0.0, "lower": -1.0, "upper": 1.0}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.500"),
        (None, "n/a"),
        (math.nan, "n/a"),
        ((0.0, 1.0), "0.000 to 1.000"),
        ((0.0, math.nan), "n/a"),
        (3, "3.000"),
    ],
)
def test_a_value_is_printed_or_called_missing(value: float | tuple[float, float] | None, text: str) -> None:
    assert Score("x", value).text == text


@pytest.mark.parametrize(
    ("scale", "text"),
    [(0.001, "0.0005"), (0.01, "0.0050"), (1, "0.50"), (10, "5.0"), (1000, "500"), (1e6, "500000"), (1e-9, "0.0000")],
)
def test_decimals_follow_the_size_of_the_largest_number(scale: float, text: str) -> None:
    number = {key: value * scale if isinstance(value, float) else value for key, value in NUMBER.items()}
    error = next(score for score in scores_of({}, {"n": number}) if score.name == "Number error")
    assert error.text == text


def test_an_interval_with_one_end_is_missing() -> None:
    scores = scores_of({"lesion": OVERLAP}, {"n": NUMBER | {"upper": None}})
    assert next(score for score in scores if score.name == "Limits of agreement").text == "n/a"


def test_every_column_is_explained() -> None:
    for score in scores_of({"lesion": OVERLAP}, {"n": NUMBER}):
        assert score.explanation.endswith(".")


@pytest.mark.parametrize("figures", [{}, OVERLAP | {"iou_pooled": "high"}, OVERLAP | {"iou_pooled": True}])
def test_a_score_that_is_missing_or_no_number_is_named(figures: dict[str, object]) -> None:
    with pytest.raises(ReadError, match="score iou_p") as caught:
        scores_of({"lesion": figures}, {}, where="evaluation-test.json")
    assert caught.value.where == "evaluation-test.json, structure 'lesion'"
