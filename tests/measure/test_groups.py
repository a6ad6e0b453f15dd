"""Numbers of groups: what they are made of, and what follows from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallymark import measure
from tallymark.measure.definition import Statistic
from tallymark.measure.groups import UNKNOWN, Range, of_images, pooled, weight

SHARE = Statistic("share", "area_fraction", of=("fat",))
AREA = Statistic("area", "area", of=("fat",), unit="mm2")
RATIO = Statistic("ratio", "area_ratio", of=("fat",), over=("fat", "muscle"))
GREY = Statistic("grey", "mean_intensity", of=("fat",), unit="intensity")
LONG = Statistic("long", "longest_axis", of=("fat",), unit="mm")


def test_the_number_of_a_group_is_that_of_its_images_side_by_side() -> None:
    rng = np.random.default_rng(0)
    images = [{"fat": m == 1, "muscle": m == 2} for m in (rng.integers(0, 4, (5, width)) for width in (3, 8))]
    whole = {name: np.concatenate([masks[name] for masks in images], axis=1) for name in ("fat", "muscle")}
    for statistic in (SHARE, AREA, RATIO):
        values = [measure.evaluate([statistic], m, spacing_mm=(1.0, 2.0))[statistic.name] for m in images]
        exact = measure.evaluate([statistic], whole, spacing_mm=(1.0, 2.0))[statistic.name]
        assert pooled(statistic, [weight(statistic, m) for m in images], values) == pytest.approx(exact)


def test_an_image_that_says_nothing_does_not_count() -> None:
    nothing = {"fat": np.zeros((2, 2), bool), "muscle": np.zeros((2, 2), bool)}
    assert weight(RATIO, nothing) == weight(GREY, nothing) == 0
    assert pooled(RATIO, [0.0, 4.0], [math.nan, 0.25]) == 0.25
    assert math.isnan(pooled(RATIO, [0.0], [math.nan]))
    assert pooled(LONG, [1.0, 1.0], [3.0, 7.0]) == 7.0


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 50)), min_size=2, max_size=5), st.data())
@settings(max_examples=60, deadline=None)
def test_the_one_image_without_a_number_has_what_the_others_leave(images, data) -> None:
    values, weights = [v for v, _ in images], [float(w) for _, w in images]
    total = pooled(SHARE, weights, values)
    gone = data.draw(st.integers(0, len(images) - 1))
    known = [UNKNOWN if place == gone else Range(v, v) for place, v in enumerate(values)]
    found = of_images(SHARE, Range(total, total), known, weights)[gone]
    # What is left is a difference: a small image has it with fewer digits.
    assert found.low == found.high == pytest.approx(values[gone], abs=1e-9 * sum(weights))


@given(st.lists(st.tuples(st.floats(0.05, 0.95), st.floats(0, 0.05)), min_size=2, max_size=4), st.floats(0, 0.05))
@settings(max_examples=60, deadline=None)
def test_intervals_never_lose_the_truth(images, slack: float) -> None:
    values = [v for v, _ in images]
    total = float(np.mean(values))
    known = [UNKNOWN, *(Range(v - s, v + s) for v, s in images[1:])]
    low, high = of_images(SHARE, Range(total - slack, total + slack), known, [1.0] * len(images))[0]
    assert low - 1e-9 <= values[0] <= high + 1e-9


def test_two_unknown_images_stay_unknown_but_for_an_exact_zero() -> None:
    assert of_images(SHARE, Range(0.2, 0.2), [UNKNOWN] * 2, [1.0, 1.0]) == (UNKNOWN, UNKNOWN)
    assert of_images(SHARE, Range(0.0, 0.025), [UNKNOWN] * 2, [1.0, 1.0]) == (UNKNOWN, UNKNOWN)
    assert of_images(RATIO, Range(0.0, 0.0), [UNKNOWN] * 2, [1.0, 1.0]) == (UNKNOWN, UNKNOWN)
    assert of_images(AREA, Range(0.0, 0.0), [UNKNOWN] * 2, [1.0, 1.0]) == (Range(0.0, 0.0),) * 2
    assert of_images(AREA, Range(9.0, 9.0), [Range(4.0, 4.0), UNKNOWN], [1.0, 1.0])[1] == Range(5.0, 5.0)
    assert of_images(RATIO, Range(0.3, 0.3), [UNKNOWN], [1.0]) == (Range(0.3, 0.3),)
