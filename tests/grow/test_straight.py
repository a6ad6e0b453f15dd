"""Straight growth against slow distances, and that it leans to no side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallymark.grow import grow
from tallymark.grow.order import UNREACHED, lowest, rank


def slow_distances(marks: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    places = np.argwhere(np.ones_like(marks)) * np.array(spacing)
    ends = places[marks.ravel()]
    return np.sqrt(((places[:, None] - ends[None]) ** 2).sum(axis=-1)).min(axis=1).reshape(marks.shape)


@given(
    st.sampled_from([(11, 13), (20, 6), (4, 7, 6)]),
    st.sampled_from([(1.0, 1.0, 1.0), (3.0, 0.7, 0.7), (0.5, 2.0, 1.1)]),
    st.integers(0, 2**31),
    st.floats(0, 1),
)
@settings(max_examples=60)
def test_no_pixel_outside_is_nearer_than_one_inside(
    shape: tuple[int, ...], edges: tuple[float, ...], seed: int, share: float
) -> None:
    marks = np.random.default_rng(seed).random(shape) < 0.03
    marks[tuple(length // 2 for length in shape)] = True
    spacing = edges[-len(shape) :]
    area = max(int(marks.sum()), round(share * marks.size))
    mask = grow(marks, area, spacing=spacing).mask
    distance = slow_distances(marks, spacing)
    assert mask.sum() == area
    assert np.allclose(np.sort(distance[mask]), np.sort(distance.ravel())[:area])


def test_the_window_changes_nothing() -> None:
    marks = np.zeros((300, 200), dtype=bool)
    marks[140:150, 30:80] = True
    marks[200, 100] = True
    for area in (600, 5000):
        mask = grow(marks, area).mask
        distance = slow_distances(marks, (1.0, 1.0))
        assert np.allclose(np.sort(distance[mask]), np.sort(distance.ravel())[:area])


def test_ties_lean_to_no_side() -> None:
    marks = np.zeros((61, 61), dtype=bool)
    marks[30, 30] = True
    offsets = np.array([np.argwhere(grow(marks, area).mask).mean(axis=0) - 30 for area in range(2, 1200, 3)])
    assert (np.abs(offsets.mean(axis=0)) < 0.03).all()
    # In raster order, the first of the ties, above and left, would nearly always win.
    assert (np.abs(np.sign(offsets).mean(axis=0)) < 0.25).all()


def test_a_ball_is_one_in_millimetres() -> None:
    marks = np.zeros((21, 41, 41), dtype=bool)
    marks[10, 20, 20] = True
    growth = grow(marks, 1500, spacing=(3.0, 1.0, 1.0))
    extent = (np.ptp(np.argwhere(growth.mask), axis=0) + 1) * (3.0, 1.0, 1.0)
    # 1500 voxels of 3 mm3: a ball of radius 10.2 mm.
    assert extent == pytest.approx([20.5] * 3, abs=3)


def test_the_unit_of_the_spacing_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    marks, image = rng.random((40, 50)) < 0.005, rng.random((40, 50))
    for cost in ("auto", "euclidean", "paths", "walker", "appearance"):
        one = grow(marks, 400, image, (2.0, 1.0), cost)
        # A power of two, so that not even the rounding differs.
        other = grow(marks, 400, image, (0.5, 0.25), cost)
        assert np.array_equal(one.mask, other.mask)


def test_eroded_marks_grow_back() -> None:
    y, x = np.indices((80, 80)) - 40
    truth = (y / 30) ** 2 + (x / 15) ** 2 <= 1
    marks = (y / 20) ** 2 + (x / 5) ** 2 <= 1
    mask = grow(marks, int(truth.sum())).mask
    assert (mask & truth).sum() / (mask | truth).sum() > 0.95


@given(st.lists(st.sampled_from([-3.5, -1.0, -0.0, 0.0, 1e-9, 2.0, 7e20, np.inf]), min_size=1, max_size=30), st.data())
def test_ranks_are_those_of_a_sort(costs: list[float], data: st.DataObject) -> None:
    cost = np.array(costs)
    first = np.array(data.draw(st.lists(st.booleans(), min_size=len(costs), max_size=len(costs))))
    ranks = rank(cost, first)
    reached = ranks < UNREACHED
    assert np.array_equal(reached, np.isfinite(cost) | first)
    assert sorted(ranks[reached]) == list(range(int(reached.sum())))
    keys = [(not first[i], cost[i]) for i in np.argsort(ranks) if reached[i]]
    assert keys == sorted(keys)
    for count in range(1, len(costs) + 1):
        chosen = lowest(cost, first, count)
        assert chosen.sum() == min(count, reached.sum())
        best = np.sort(np.where(first, -np.inf, cost))[:count]
        if not (np.isinf(cost) & first).any():
            assert sorted(np.where(first, -np.inf, cost)[chosen]) == sorted(best[best < np.inf])


def test_equal_costs_come_in_a_random_order() -> None:
    ranks = rank(np.zeros((40, 40)), np.zeros((40, 40), dtype=bool))
    assert abs(np.corrcoef(ranks.ravel(), np.arange(1600))[0, 1]) < 0.1
