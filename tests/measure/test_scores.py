"""Overlap and agreement against torchmetrics and slow loops."""

from __future__ import annotations

import math
import statistics as textbook

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_f1_score, binary_jaccard_index

from tallymark import measure
from tallymark.errors import EvaluationError, GeometryError
from tallymark.measure import Overlap

bits = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(bits)
def test_overlap_is_that_of_torchmetrics(rows: list[tuple[bool, bool, bool]]) -> None:
    predicted, truth, _ = np.array(rows).T
    p, t = torch.tensor(predicted.astype(int)), torch.tensor(truth.astype(int))
    if (predicted | truth).any():
        assert measure.iou(predicted, truth) == pytest.approx(binary_jaccard_index(p, t).item())
        assert measure.dice(predicted, truth) == pytest.approx(binary_f1_score(p, t).item())
    else:
        assert measure.iou(predicted, truth) == measure.dice(predicted, truth) == 1


@given(bits)
def test_overlap_counts_known_pixels_one_by_one(rows: list[tuple[bool, bool, bool]]) -> None:
    predicted, truth, known = np.array(rows).T
    counts = {"tp": 0, "fp": 0, "fn": 0}
    for p, t, k in rows:
        if k and (p or t):
            counts["tp" if p and t else "fp" if p else "fn"] += 1
    overlap = Overlap.of(predicted, truth, known)
    assert overlap == Overlap(**counts)
    assert overlap == Overlap.of(predicted[known], truth[known])
    assert measure.iou(predicted, truth, known=known) == overlap.iou()
    assert measure.dice(predicted, truth, known=known) == overlap.dice()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), max_size=6))
def test_pooled_scores_come_from_the_same_counts(counts: list[tuple[int, int, int]]) -> None:
    overlaps = [Overlap(*c) for c in counts]
    pooled = sum(overlaps, Overlap())
    expected = measure.pooled_iou([o.both for o in overlaps], [o.either for o in overlaps])
    assert pooled.iou() == expected
    assert pooled.predicted == sum(tp + fp for tp, fp, _ in counts)
    assert pooled.true == sum(tp + fn for tp, _, fn in counts)
    if pooled.either:
        assert pooled.dice() == pytest.approx(2 * pooled.iou() / (1 + pooled.iou()))


def test_the_policy_for_empty_masks_is_the_callers() -> None:
    empty, full = np.zeros(4, bool), np.ones(4, bool)
    for score in (measure.iou, measure.dice):
        assert score(empty, empty) == 1
        assert score(empty, empty, empty=0.0) == 0
        assert math.isnan(score(empty, empty, empty=math.nan))
        # Only one of them empty is no matter of policy.
        assert score(full, empty, empty=math.nan) == score(empty, full, empty=math.nan) == 0
        assert score(full, full, known=empty, empty=0.25) == 0.25
    assert measure.pooled_iou([], [], empty=0.5) == 0.5


@pytest.mark.usefixtures("as_installed")
def test_masks_that_would_broadcast_are_refused() -> None:
    one, other = np.ones((2, 2), bool), np.ones((1, 2), bool)
    with pytest.raises(GeometryError, match=r"found \(2, 2\) and \(1, 2\)"):
        Overlap.of(one, other)
    with pytest.raises(GeometryError):
        Overlap.of(one, one, other)
    with pytest.raises(GeometryError):
        measure.mark_hit_rate(one, other)


numbers = st.one_of(st.just(math.nan), st.floats(-100, 100))


@given(st.lists(st.tuples(numbers, numbers), max_size=20))
def test_bland_altman_is_the_textbooks(pairs: list[tuple[float, float]]) -> None:
    predicted, recorded = [p for p, _ in pairs], [r for _, r in pairs]
    differences = [p - r for p, r in pairs if not (math.isnan(p) or math.isnan(r))]
    found = measure.bland_altman(predicted, recorded)
    assert found.n == len(differences)
    if not differences:
        assert math.isnan(found.bias)
        assert math.isnan(measure.mean_absolute_error(predicted, recorded))
        return
    assert found.bias == pytest.approx(textbook.fmean(differences), abs=1e-9)
    expected = textbook.fmean(abs(d) for d in differences)
    assert measure.mean_absolute_error(predicted, recorded) == pytest.approx(expected, abs=1e-9)
    if len(differences) == 1:
        assert math.isnan(found.lower)
        assert math.isnan(found.upper)
    else:
        spread = 1.96 * textbook.stdev(differences)
        assert (found.lower, found.upper) == pytest.approx((found.bias - spread, found.bias + spread), abs=1e-6)


def test_numbers_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(EvaluationError, match="3 predicted, 1 recorded"):
        measure.bland_altman([1.0, 2.0, 3.0], [1.0])


def test_mark_hit_rate_needs_marks() -> None:
    mask, marks = np.array([[True, False], [True, False]]), np.array([[True, True], [True, True]])
    assert measure.mark_hit_rate(mask, marks) == 0.5
    assert measure.mark_hit_rate(mask, mask) == 1
    assert math.isnan(measure.mark_hit_rate(mask, np.zeros((2, 2), bool)))
