"""What every growth promises: the exact area, the marks, the walls, an honest confidence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallymark.errors import ConfigError, GeometryError
from tallymark.grow import COSTS, Growth, grow

EVERY_COST = ["auto", *COSTS]


def click(shape: tuple[int, ...], *place: int) -> np.ndarray:
    marks = np.zeros(shape, dtype=bool)
    marks[place] = True
    return marks


def disc(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> np.ndarray:
    away = sum((axis - at) ** 2 for axis, at in zip(np.indices(shape), centre, strict=True))
    return np.asarray(away <= radius**2)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def check(growth: Growth, marks: np.ndarray, area: int, excluded: np.ndarray, trust: bool) -> None:
    assert growth.known
    assert growth.mask.sum() == area
    assert not (growth.mask & excluded & ~marks).any()
    assert growth.mask.shape == growth.order.shape == growth.confidence.shape == marks.shape
    assert np.array_equal(growth.order < 1, growth.mask)
    assert growth.confidence.min() >= 0
    assert growth.confidence.max() <= 1
    if trust:
        kept = growth.mask & marks
        assert kept.sum() == min(area, marks.sum())
        assert (growth.confidence[kept] == 1).all()


@pytest.mark.parametrize(
    ("area", "rows"),
    [(1, "000 010 000"), (5, "010 111 010"), (9, "111 111 111")],
)
def test_a_click_grows_to_the_nearest_pixels(area: int, rows: str) -> None:
    expected = np.array([[int(c) for c in row] for row in rows.split()], dtype=bool)
    assert np.array_equal(grow(click((3, 3), 1, 1), area).mask, expected)


def test_the_order_and_the_confidence_can_be_counted() -> None:
    # Eight of sixteen pixels in a row: pixel r has order (r + 1/2) / 8, rooted for two axes.
    growth = grow(click((1, 16), 0, 0), 8, trust=False)
    expected = np.sqrt((np.arange(16) + 0.5) / 8)
    assert np.allclose(growth.order[0], expected)
    assert np.allclose(growth.confidence[0], np.abs(1 - expected).clip(0, 1))


@st.composite
def tasks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, np.ndarray | None, tuple[float, ...], bool]:
    axes = draw(st.sampled_from([2, 3]))
    shape = tuple(draw(st.integers(1, 14 if axes == 2 else 6)) for _ in range(axes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    marks = rng.random(shape) < draw(st.sampled_from([0.02, 0.2, 1.0]))
    marks[tuple(int(rng.integers(length)) for length in shape)] = True
    # Isolated walls leave everything within reach only where they are few: here none touch.
    excluded = np.zeros(shape, dtype=bool)
    if min(shape) >= 3:
        inner = tuple(slice(1, -1, 3) for _ in shape)
        excluded[inner] = rng.random(excluded[inner].shape) < draw(st.sampled_from([0.0, 0.5]))
    free = int((~excluded | marks).sum())
    area = draw(st.integers(1, free))
    image = rng.random((*shape, *draw(st.sampled_from([(), (1,), (3,)])))) if draw(st.booleans()) else None
    spacing = tuple(draw(st.sampled_from([0.4, 1.0, 3.0])) for _ in shape)
    return marks, excluded, area, image, spacing, draw(st.booleans())


@given(tasks())
@settings(max_examples=60)
def test_the_area_is_exact_whatever_is_given(task: tuple) -> None:
    marks, excluded, area, image, spacing, trust = task
    for cost in ["euclidean"] if image is None else EVERY_COST:
        growth = grow(marks, area, image, spacing, cost, excluded=excluded, trust=trust)
        check(growth, marks, area, excluded, trust)


@given(tasks(), st.data())
def test_an_interval_has_its_two_masks(task: tuple, data: st.DataObject) -> None:
    marks, excluded, high, image, spacing, trust = task
    low = data.draw(st.integers(0, high))
    growth = grow(marks, (low, high), image, spacing, "euclidean", excluded=excluded, trust=trust)
    assert growth.inner.sum() == low
    assert growth.outer.sum() == high
    assert growth.mask.sum() == (low + high + 1) // 2
    assert not (growth.inner & ~growth.mask).any()
    assert not (growth.mask & ~growth.outer).any()
    between = growth.outer & ~growth.inner & ~marks
    assert (growth.confidence[between] == 0).all()


@pytest.mark.parametrize("cost", EVERY_COST)
@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (1, 30), (40, 3), (5, 12, 12), (1, 16, 16)])
def test_every_cost_on_small_shapes_at_every_area(cost: str, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).random(shape).astype(np.float32)
    marks = click(shape, *(0 for _ in shape))
    size = math.prod(shape)
    for area in sorted({1, max(1, size // 3), size - 1 or 1, size}):
        check(grow(marks, area, image, cost=cost), marks, area, np.zeros(shape, dtype=bool), trust=True)


@pytest.mark.parametrize("cost", EVERY_COST)
@pytest.mark.parametrize("channels", [(), (3,)])
def test_an_image_without_contrast_grows_a_disc(cost: str, channels: tuple[int, ...]) -> None:
    image = np.full((41, 41, *channels), 0.5)
    growth = grow(click((41, 41), 20, 20), 317, image, cost=cost)
    assert iou(growth.mask, disc((41, 41), (20, 20), 10)) > 0.9


def test_more_marks_than_the_area_keep_the_deepest() -> None:
    marks = np.zeros((9, 9), dtype=bool)
    marks[1:8, 1:8] = True
    growth = grow(marks, 9)
    assert np.array_equal(np.argwhere(growth.mask).min(axis=0), [3, 3])
    assert np.array_equal(np.argwhere(growth.mask).max(axis=0), [5, 5])
    # A mark that the area leaves no room for is not surely outside.
    assert growth.confidence[marks & ~growth.mask].min() < 0.1


def test_marks_everywhere_keep_the_middle() -> None:
    assert np.array_equal(grow(np.ones((7, 7), dtype=bool), 9).mask, disc((7, 7), (3, 3), 1.5))


def test_a_large_volume_has_its_exact_area_in_single_precision() -> None:
    marks = np.ones((1, 2300, 2300), dtype=bool)
    marks[0, 0, 0] = False
    count = int(marks.sum()) - 1
    growth = grow(marks, count)
    assert growth.mask.sum() == count == (growth.order < 1).sum()


@pytest.mark.parametrize("cost", ["auto", "euclidean", "paths", "walker"])
def test_growth_does_not_leak_through_walls(cost: str) -> None:
    image = np.random.default_rng(0).random((30, 30))
    walls = np.zeros((30, 30), dtype=bool)
    walls[:, 15] = True
    growth = grow(click((30, 30), 10, 12), 300, image, cost=cost, excluded=walls)
    assert growth.mask[:, :15].sum() == 300
    # There is no room for more: all that can be reached is taken, and no more.
    full = grow(click((30, 30), 10, 12), 600, image, cost=cost, excluded=walls)
    assert np.array_equal(full.mask, np.arange(30)[None, :].repeat(30, axis=0) < 15)
    assert np.isinf(full.order[:, 15:]).all()


def test_a_large_window_of_a_volume_is_exact_whatever_the_spacing() -> None:
    ball = disc((24, 96, 96), (12, 48, 48), 11) | disc((24, 96, 96), (12, 40, 56), 11)
    image = 0.3 + 0.4 * ball + 0.05 * np.random.default_rng(0).standard_normal(ball.shape)
    marks = disc(ball.shape, (12, 48, 48), 2)
    for spacing in (None, (4.0, 1.0, 1.0)):
        for cost in ("paths", "auto"):
            growth = grow(marks, 30000, image.clip(0, 1), spacing, cost)
            check(growth, marks, 30000, np.zeros_like(marks), trust=True)


def test_growth_goes_around_a_wall_through_a_gap_far_away() -> None:
    walls = np.zeros((60, 60), dtype=bool)
    walls[1:, 4] = True
    growth = grow(click((60, 60), 59, 0), 300, excluded=walls)
    assert growth.mask.sum() == 300
    assert growth.mask[:, :4].all()


def test_a_pixel_marked_both_ways_belongs_to_the_structure() -> None:
    marks = click((5, 5), 2, 2)
    growth = grow(marks, 4, excluded=marks)
    assert growth.mask[2, 2]
    assert growth.mask.sum() == 4


def test_exactly_zero_is_known_to_be_empty() -> None:
    growth = grow(np.zeros((4, 4), dtype=bool), 0)
    assert growth.known
    assert not growth.mask.any()
    assert (growth.confidence == 1).all()


@pytest.mark.parametrize("area", [None, float("nan"), (float("nan"), 3.0), 0, (0, 0)])
def test_marks_without_a_number_or_against_it_say_nothing(area: object) -> None:
    growth = grow(click((4, 4), 1, 1), area)  # type: ignore[arg-type]
    assert not growth.known
    assert not growth.mask.any()
    assert (growth.confidence == 0).all()


@pytest.mark.parametrize("area", [5, (0, 4), None])
def test_without_marks_an_image_is_unknown_and_not_background(area: object) -> None:
    growth = grow(np.zeros((4, 4), dtype=bool), area)  # type: ignore[arg-type]
    assert not growth.known
    assert (growth.confidence == 0).all()


@pytest.mark.parametrize(("area", "pixels"), [(0.2, 1), (3.5, 4), ((0, 0.4), 1), (16.3, 16)])
def test_fractions_of_pixels_round_and_only_zero_is_none(area: object, pixels: int) -> None:
    assert grow(click((4, 4), 1, 1), area).mask.sum() == pixels  # type: ignore[arg-type]


MARKS = click((4, 4), 1, 1)
IMAGE = np.zeros((4, 4))


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(
    ("marks", "area", "options", "error", "words"),
    [
        (MARKS, 17, {}, ConfigError, "area: this area cannot be; found 17; expected 0 to 16 pixels"),
        (MARKS, -1, {}, ConfigError, "found -1"),
        (MARKS, (5, 3), {}, ConfigError, r"found \(5, 3\)"),
        (MARKS, math.inf, {}, ConfigError, "found inf"),
        (MARKS, 3, {"cost": "magic"}, ConfigError, "found 'magic'; expected auto or one of euclidean, paths"),
        (MARKS, 3, {"cost": "paths"}, ConfigError, "needs the image; found 'paths'; to mend it: give the image"),
        (MARKS, 3, {"spacing": (1.0,)}, GeometryError, "spacing does not fit.*2 positive lengths"),
        (MARKS, 3, {"spacing": (1.0, 0.0)}, GeometryError, "spacing does not fit"),
        (MARKS, 3, {"spacing": (1.0, math.nan)}, GeometryError, "spacing does not fit"),
        (MARKS, 3, {"image": np.zeros((4, 5))}, GeometryError, r"found \(4, 5\); expected \(4, 4\)"),
        (MARKS, 3, {"image": np.zeros((4, 4, 3, 1))}, GeometryError, "image and marks"),
        (MARKS, 3, {"image": np.full((4, 4), np.nan)}, ConfigError, "image: the image has values that are no numbers"),
        (MARKS, 3, {"excluded": np.zeros((5, 4), dtype=bool)}, GeometryError, "excluded and marks"),
        (MARKS, 3, {"excluded": IMAGE}, ConfigError, "True or False; found float64"),
        (MARKS.astype(np.uint8), 3, {}, ConfigError, "found uint8; expected bool; to mend it: compare them to 0"),
        (np.ones(4, dtype=bool), 3, {}, GeometryError, "found 1 axes; expected 2 or 3"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    marks: np.ndarray, area: object, options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        grow(marks, area, **options)  # type: ignore[arg-type]
