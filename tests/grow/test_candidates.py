"""Candidates of a promptable network: asked in the right words, chosen by the number, cut at the exact area."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from tallymark.errors import GeometryError
from tallymark.grow import Area, grow, grow_candidates
from tallymark.grow.candidates import agreement, deepest_points

SPACE = (40, 60)


def disc(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> np.ndarray:
    away = sum((axis - at) ** 2 for axis, at in zip(np.indices(shape), centre, strict=True))
    return np.asarray(away <= radius**2)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


class Recorder:
    """A network that proposes what it was made with, whatever the prompt, and remembers what it was asked."""

    def __init__(self, *masks: np.ndarray, sure: float = 6.0) -> None:
        self.logits = np.stack([np.where(mask, sure, -sure) for mask in masks]).astype(np.float32)
        self.images: list[np.ndarray] = []
        self.asked: list[tuple[list[list[float]], list[bool], list[float] | None]] = []

    def look(self, image: np.ndarray):
        self.images.append(image)

        def ask(points: np.ndarray, inside: np.ndarray, box: np.ndarray | None) -> np.ndarray:
            self.asked.append((points.tolist(), inside.tolist(), None if box is None else box.tolist()))
            return self.logits

        return ask


# --- choosing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("right", [0, 1, 2])
def test_the_candidate_that_fits_the_number_and_the_marks_is_chosen(right: int) -> None:
    truth = disc(SPACE, (20, 25), 8)
    others = [disc(SPACE, (20, 25), 14), disc(SPACE, (20, 48), 8)]  # too large; as large, but elsewhere
    masks = [*others[:right], truth, *others[right:]]
    marks = np.zeros(SPACE, dtype=bool)
    marks[22, 27] = True
    growth = grow_candidates(marks, int(truth.sum()), np.zeros(SPACE), Recorder(*masks).look)
    assert np.array_equal(growth.mask, truth)
    assert growth.cost == "candidates"


def test_walls_decide_between_candidates_of_one_size() -> None:
    one, other = disc(SPACE, (20, 22), 8), disc(SPACE, (20, 28), 8)
    marks, walls = disc(SPACE, (20, 25), 2), disc(SPACE, (20, 33), 1)
    area = int(one.sum())
    assert np.array_equal(grow_candidates(marks, area, np.zeros(SPACE), Recorder(other, one).look).mask, other)
    growth = grow_candidates(marks, area, np.zeros(SPACE), Recorder(other, one).look, excluded=walls)
    assert np.array_equal(growth.mask, one)


def test_agreement_against_a_slow_sum() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 5)) * 3
    marks, walls = np.zeros((4, 5), dtype=bool), np.zeros((4, 5), dtype=bool)
    marks[1, 1:3], walls[3, 4] = True, True
    p = [[1 / (1 + math.exp(-z)) for z in row] for row in logits]
    size = sum(map(sum, p))
    hits = (p[1][1] + p[1][2]) / 2
    for low, high, share in ((3, 3, 3 / size), (20, 20, size / 20), (2, 20, 1.0), (1, 2, 2 / size)):
        expected = share * hits * (1 - p[3][4])
        assert agreement(logits, Area(low, high), marks, walls) == pytest.approx(expected, rel=1e-9)


# --- asking -----------------------------------------------------------------------------------------------------------


def test_points_and_boxes_are_of_the_growth_and_the_marks() -> None:
    marks = np.zeros(SPACE, dtype=bool)
    marks[9:12, 30:33] = True
    walls = np.zeros(SPACE, dtype=bool)
    walls[10, 38] = walls[39, 0] = True  # one near the growth, one far away
    network = Recorder(disc(SPACE, (10, 31), 5))
    image = np.random.default_rng(0).random((*SPACE, 3))
    grow_candidates(marks, 81, image, network.look, cost="euclidean", excluded=walls)
    rows, columns = np.nonzero(grow(marks, 81, excluded=walls).mask)
    box = [rows.min(), columns.min(), rows.max(), columns.max()]
    (both, points_only, box_only) = network.asked
    assert np.array_equal(network.images[0], image)
    assert both[0][0] == [10, 31]  # the middle of the marks, row before column
    assert all(marks[int(r), int(c)] for r, c in both[0][:3])
    assert both[0][3:] == [[10, 38]]
    assert both[1] == [True, True, True, False]
    assert both[2] == box_only[2] == box
    assert (points_only[:2], points_only[2]) == (both[:2], None)
    assert box_only[:2] == ([], [])


def test_every_piece_is_asked_for_and_all_are_joined() -> None:
    left, right = disc(SPACE, (20, 12), 6), disc(SPACE, (20, 45), 6)
    marks = disc(SPACE, (20, 12), 2) | disc(SPACE, (20, 45), 2)

    def look(image: np.ndarray):
        def ask(points: np.ndarray, inside: np.ndarray, box: np.ndarray | None) -> np.ndarray:
            column = points[0, 1] if box is None else box[1]
            return np.where(left if column < 30 else right, 5.0, -5.0)[None]

        return ask

    growth = grow_candidates(marks, int((left | right).sum()), np.zeros(SPACE), look, cost="euclidean")
    assert np.array_equal(growth.mask, left | right)


def test_points_stand_apart_and_lie_deep() -> None:
    stroke = np.zeros((20, 60), dtype=bool)
    stroke[8:13, 5:55] = True
    points = deepest_points(stroke, (1.0, 1.0))
    assert points.shape == (3, 2)
    assert (points[:, 0] == 10).all()
    assert np.ptp(points[:, 1]) > 30
    assert np.array_equal(points, deepest_points(stroke, (1.0, 1.0)))
    assert len(deepest_points(np.zeros((3, 3), dtype=bool), (1.0, 1.0))) == 0
    many = np.zeros((30, 30), dtype=bool)
    many[::3, ::3] = True
    many[0:2, 0:2] = True
    few = deepest_points(many, (1.0, 1.0))
    assert len(few) == len({tuple(point) for point in few.tolist()}) == 9
    assert few[0].max() <= 1  # the largest component comes first


def test_a_volume_is_asked_plane_by_plane() -> None:
    ball = disc((9, 30, 40), (4, 15, 20), 3.6)
    marks = np.zeros(ball.shape, dtype=bool)
    marks[4, 15, 20] = True
    image = np.random.default_rng(1).random(ball.shape)

    def look(plane: np.ndarray):
        (index,) = [z for z in range(len(image)) if np.array_equal(image[z, ..., None], plane)]
        return lambda points, inside, box: np.where(ball[index], 4.0, -4.0)[None]

    growth = grow_candidates(marks, int(ball.sum()), image, look, cost="euclidean")
    assert np.array_equal(growth.mask, ball)
    reached = grow(marks, int(ball.sum()), image, cost="euclidean").mask.any(axis=(1, 2))
    assert np.array_equal(np.isfinite(growth.order).any(axis=(1, 2)), reached)


# --- what every growth promises ---------------------------------------------------------------------------------------


@st.composite
def tasks(draw: st.DrawFn):
    shape = (draw(st.integers(1, 14)), draw(st.integers(1, 14)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    marks = rng.random(shape) < draw(st.sampled_from([0.02, 0.2]))
    marks[tuple(int(rng.integers(length)) for length in shape)] = True
    walls = rng.random(shape) < draw(st.sampled_from([0.0, 0.1]))
    free = int((~walls | marks).sum())
    high = draw(st.integers(1, free))
    spacing = tuple(draw(st.sampled_from([0.4, 1.0, 3.0])) for _ in shape)
    return rng, shape, marks, walls, (draw(st.integers(0, high)), high), spacing, draw(st.booleans())


@given(tasks())
@settings(max_examples=60)
def test_the_area_is_exact_the_marks_inside_and_the_walls_outside(task) -> None:
    rng, shape, marks, walls, (low, high), spacing, trust = task
    logits = rng.normal(size=(4, *shape)) * 5
    image = rng.random(shape)
    once, again = (
        grow_candidates(
            marks, (low, high), image, lambda _: lambda *prompt: logits, spacing, excluded=walls, trust=trust
        )
        for _ in range(2)
    )
    target = (low + high + 1) // 2
    assert (once.inner.sum(), once.mask.sum(), once.outer.sum()) == (low, target, high)
    assert not (once.outer & walls & ~marks).any()
    assert np.array_equal(once.order < 1, once.mask)
    assert once.confidence.min() >= 0
    assert once.confidence.max() <= 1
    if trust:
        assert (once.mask & marks).sum() == min(target, marks.sum())
        assert (once.confidence[once.mask & marks] == 1).all()
    assert np.array_equal(once.order, again.order)
    assert np.array_equal(once.confidence, again.confidence)
    # Apart from marks and walls, no pixel outside has a higher logit than one inside, in the best of the candidates.
    free = ~marks & ~walls if trust else ~walls | marks
    known = Area(low, high)
    best = max(logits, key=lambda one: agreement(one.astype(np.float32), known, marks, walls & ~marks))
    inside, outside = best[once.mask & free], best[~once.mask & free]
    assert not inside.size or not outside.size or inside.min() >= outside.max()


def test_what_is_unknown_or_nothing_is_not_asked() -> None:
    def look(image: np.ndarray):
        raise AssertionError("there was nothing to ask")

    marks = disc(SPACE, (20, 25), 2)
    nothing = np.zeros(SPACE, dtype=bool)
    image = np.zeros(SPACE)
    assert not grow_candidates(marks, None, image, look).known
    assert not grow_candidates(nothing, 5, image, look).known
    assert not grow_candidates(marks, 0, image, look).known
    assert grow_candidates(nothing, 0, image, look).known
    with pytest.raises(GeometryError, match="same shape"):
        grow_candidates(marks, 5, np.zeros((3, 3)), look)


def test_a_better_candidate_makes_a_better_mask() -> None:
    truth = disc(SPACE, (20, 30), 10) & ~disc(SPACE, (14, 24), 7)
    marks = np.zeros(SPACE, dtype=bool)
    marks[25, 35] = True
    noise = np.random.default_rng(2).normal(size=SPACE)
    logits = (np.where(truth, 1.5, -1.5) + noise)[None]
    straight = grow(marks, int(truth.sum()))
    growth = grow_candidates(marks, int(truth.sum()), np.zeros(SPACE), lambda _: lambda *prompt: logits)
    assert iou(growth.mask, truth) > iou(straight.mask, truth) + 0.1
    assert expit(logits).sum() != pytest.approx(truth.sum(), rel=0.05)
