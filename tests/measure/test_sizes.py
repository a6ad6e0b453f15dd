"""The algebra of sizes and ratios: by hand, and against masks drawn at random."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallymark import measure
from tallymark.measure.definition import Statistic
from tallymark.measure.sizes import sizes_that_follow

NAN = math.nan
NAMES = ("fat", "muscle")
FAT = Statistic("fat", "area_fraction", of=("fat",))
MUSCLE = Statistic("muscle", "area_fraction", of=("muscle",))
BOTH = Statistic("both", "area_fraction", of=("fat", "muscle"))
RATIO = Statistic("ratio", "area_ratio", of=("fat",), over=("fat", "muscle"))
SIDE = Statistic("side", "area_ratio", of=("fat",), over=("muscle",))


def follow(**numbers: float | tuple[float, float]) -> list[list[float]]:
    """[[fat low, fat high], [muscle low, muscle high]] of one image."""
    there = {"fat": FAT, "muscle": MUSCLE, "both": BOTH, "ratio": RATIO, "side": SIDE}
    ends = [number if isinstance(number, tuple) else (number, number) for number in numbers.values()]
    low, high = (np.array([[float(end[side]) for end in ends]]) for side in (0, 1))
    found = sizes_that_follow(NAMES, [there[name] for name in numbers], low, high)
    return np.stack([found.low[0], found.high[0]], axis=1).tolist()


@pytest.mark.parametrize(
    ("numbers", "fat", "muscle"),
    [
        # A ratio and one size give the other; a quarter of the whole is a third of the rest.
        ({"ratio": 0.25, "fat": 0.1}, (0.1, 0.1), (0.3, 0.3)),
        ({"ratio": 0.25, "muscle": 0.3}, (0.1, 0.1), (0.3, 0.3)),
        ({"ratio": 0.25, "both": 0.4}, (0.1, 0.1), (0.3, 0.3)),
        ({"ratio": 0.5, "both": 0.4}, (0.2, 0.2), (0.2, 0.2)),
        ({"side": 2.0, "muscle": 0.2}, (0.4, 0.4), (0.2, 0.2)),
        ({"side": 2.0, "fat": 0.2}, (0.2, 0.2), (0.1, 0.1)),
        # Two sizes need no ratio.
        ({"both": 0.5, "fat": 0.2}, (0.2, 0.2), (0.3, 0.3)),
        # Alone, a ratio says nothing of a size, nor does the size of both.
        ({"ratio": 0.25}, (NAN, NAN), (NAN, NAN)),
        ({"both": 0.4}, (NAN, NAN), (NAN, NAN)),
        # But nothing of something is nothing.
        ({"ratio": 0.0}, (0, 0), (NAN, NAN)),
        ({"ratio": 1.0}, (NAN, NAN), (0, 0)),
        ({"ratio": 0.0, "both": 0.4}, (0, 0), (0.4, 0.4)),
        # Intervals: fat 0.1, a ratio of 0.2 to 0.5: 0.1 * 4 to 0.1 * 1.
        ({"ratio": (0.2, 0.5), "fat": 0.1}, (0.1, 0.1), (0.1, 0.4)),
        ({"ratio": (0.2, 0.5), "both": 0.4}, (0.08, 0.2), (0.2, 0.32)),
        ({"ratio": (0.0, 0.025), "both": 0.4}, (0, 0.01), (0.39, 0.4)),
        ({"ratio": 0.5, "fat": (0.1, 0.2)}, (0.1, 0.2), (0.1, 0.2)),
        # Two things must fit into the image.
        ({"ratio": (0.1, 1.0), "fat": 0.4}, (0.4, 0.4), (NAN, NAN)),
    ],
)
def test_by_hand(numbers, fat, muscle) -> None:
    assert follow(**numbers) == [pytest.approx(fat, nan_ok=True), pytest.approx(muscle, nan_ok=True)]


def test_numbers_that_contradict_each_other_give_one_size() -> None:
    low, high = follow(both=0.4, fat=0.5)[0]
    assert low == high


@given(st.integers(0, 9999), st.floats(0, 0.2), st.sampled_from([("ratio", "fat"), ("ratio", "both"), ("side", "fat")]))
@settings(max_examples=80, deadline=None)
def test_the_truth_is_never_lost(seed: int, slack: float, names) -> None:
    rng = np.random.default_rng(seed)
    image = rng.choice(3, (6, 6), p=[0.4, 0.2, 0.4])
    masks = {"fat": image == 1, "muscle": image == 2}
    there = {"fat": FAT, "both": BOTH, "ratio": RATIO, "side": SIDE}
    statistics = [there[name] for name in names]
    exact = np.array([[measure.evaluate([s], masks)[s.name] for s in statistics]])
    if not np.isfinite(exact).all():
        return
    low, high = exact - rng.random((1, 2)) * slack, exact + rng.random((1, 2)) * slack
    found = sizes_that_follow(NAMES, statistics, low, high)
    for k, name in enumerate(NAMES):
        if not math.isnan(found.low[0, k]):
            assert found.low[0, k] - 1e-6 <= masks[name].mean() <= found.high[0, k] + 1e-6


def test_three_structures_and_a_ratio_of_sums() -> None:
    parts = Statistic("r", "area_ratio", of=("a", "b"), over=("a", "b", "c"))
    whole = Statistic("c", "area_fraction", of=("c",))
    one = Statistic("a", "area_fraction", of=("a",))
    numbers = np.array([[0.6, 0.2, 0.1]])  # (a + b) = 0.6 / 0.4 * 0.2 = 0.3, less 0.1
    found = sizes_that_follow(("a", "b", "c"), (parts, whole, one), numbers, numbers)
    assert found.low[0].tolist() == pytest.approx([0.1, 0.2, 0.2])
    assert found.high[0].tolist() == pytest.approx([0.1, 0.2, 0.2])
