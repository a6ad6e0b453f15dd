"""Two parts of one whole: grown as one, divided by how they look."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallymark.errors import StudyError
from tallymark.grow import Growth, grow_together
from tallymark.grow.parts import divide

PAIR = ("fat", "muscle")


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def streaky(noise: float = 0.03) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A square of muscle with six streaks of fat, of which one is marked; image, truth and marks."""
    whole, fat = np.zeros((2, 60, 60), dtype=bool)
    whole[12:48, 12:48] = True
    for column in range(14, 48, 6):
        fat[16:44, column : column + 2] = True
    truth = {"fat": fat, "muscle": whole & ~fat}
    image = 0.1 + 0.3 * truth["muscle"] + 0.7 * fat + noise * np.random.default_rng(0).standard_normal(fat.shape)
    marks = {name: np.zeros_like(fat) for name in PAIR}
    marks["fat"][20:40, 26:28] = True
    marks["muscle"][20:40, 29] = True
    return image, truth, marks


def areas(truth: dict[str, np.ndarray]) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in truth.items()}


def valid(grown: dict[str, Growth], marks: dict[str, np.ndarray], sizes: dict[str, int]) -> None:
    for name, growth in grown.items():
        assert growth.mask.sum() == sizes[name]
        assert np.array_equal(growth.order < 1, growth.mask)
        assert growth.mask[marks[name]].all()
        assert ((growth.confidence >= 0) & (growth.confidence <= 1)).all()
    assert (sum(growth.mask.astype(int) for growth in grown.values()) <= 1).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_streaks_that_nobody_marked_are_found(channels: int) -> None:
    image, truth, marks = streaky()
    image = np.stack([image] * channels, axis=-1)
    grown = grow_together(marks, areas(truth), image, wholes=[PAIR])
    valid(grown, marks, areas(truth))
    alone = grow_together(marks, areas(truth), image)
    assert overlap(grown["fat"].mask, truth["fat"]) > 0.8 > 0.5 > overlap(alone["fat"].mask, truth["fat"])
    assert overlap(grown["muscle"].mask, truth["muscle"]) > overlap(alone["muscle"].mask, truth["muscle"])


def test_what_looks_alike_is_not_divided_by_looks() -> None:
    image, truth, marks = streaky()
    flat = np.full_like(image, 0.5) + 0.05 * np.random.default_rng(1).standard_normal(image.shape)
    for picture in (flat, None):
        with_whole = grow_together(marks, areas(truth), picture, wholes=[PAIR])
        without = grow_together(marks, areas(truth), picture)
        assert all(np.array_equal(with_whole[name].mask, without[name].mask) for name in PAIR)


def test_a_third_structure_competes_with_the_whole() -> None:
    image, truth, marks = streaky()
    truth["bone"] = np.zeros_like(truth["fat"])
    truth["bone"][12:48, 50:56] = True
    marks["bone"] = np.zeros_like(truth["bone"])
    marks["bone"][20:30, 52] = True
    grown = grow_together(marks, areas(truth), image + 0.9 * truth["bone"], wholes=[PAIR])
    assert list(grown) == [*PAIR, "bone"]
    valid(grown, marks, areas(truth))
    assert overlap(grown["bone"].mask, truth["bone"]) > 0.7


def test_intervals_and_what_is_not_one_of_the_parts() -> None:
    image, truth, marks = streaky()
    fat, muscle = areas(truth).values()
    not_fat = truth["fat"].copy()
    not_fat[:, :40] = False  # two streaks on the right: someone said that they are none
    grown = grow_together(
        marks,
        {"fat": (0.5 * fat, 0.75 * fat), "muscle": muscle},
        image,
        wholes=[PAIR],
        excluded={"fat": not_fat},
    )
    found = grown["fat"]
    assert not (found.mask & not_fat).any()
    assert found.inner.sum() == round(0.5 * fat)
    assert not (found.inner & ~found.mask).any()
    assert not (found.mask & ~found.outer).any()
    assert overlap(found.mask, truth["fat"] & ~not_fat) > 0.7


def test_parts_of_an_unmarked_or_unsized_whole_grow_as_ever() -> None:
    image, truth, marks = streaky()
    for sizes in ({"fat": None, "muscle": 400}, {"fat": 0, "muscle": 400}):
        with_whole = grow_together(marks, sizes, image, wholes=[PAIR])
        without = grow_together(marks, sizes, image)
        assert all(np.array_equal(with_whole[name].mask, without[name].mask) for name in PAIR)
    with pytest.raises(StudyError, match="wholes are not of the same structures"):
        grow_together(marks, areas(truth), image, wholes=[("fat", "bone")])


def test_more_marks_than_the_number_of_a_part_stay_out_of_the_other() -> None:
    image, truth, marks = streaky()
    for sizes in ({"fat": 10, "muscle": 900}, {"fat": 300, "muscle": 5}):
        grown = grow_together(marks, sizes, image, wholes=[PAIR])
        assert grown["fat"].mask.any()
        assert not (grown["fat"].mask & marks["muscle"]).any()
        assert not (grown["muscle"].mask & marks["fat"]).any()
    barred = truth["fat"] & ~marks["fat"]
    grown = grow_together(marks, areas(truth), image, wholes=[PAIR], excluded={"fat": barred, "muscle": barred})
    assert not ((grown["fat"].mask | grown["muscle"].mask) & barred).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_few_pixels_differ_by_chance_and_divide_nothing(channels: int) -> None:
    rng = np.random.default_rng(3)
    image = 0.5 + 0.03 * rng.standard_normal((30, 30, channels))
    marks = {name: np.zeros((30, 30), dtype=bool) for name in PAIR}
    marks["fat"][10, 10:12] = marks["muscle"][20, 20:22] = True
    sizes = {"fat": 60, "muscle": 60}
    with_whole, without = (grow_together(marks, sizes, image, wholes=pairs) for pairs in ([PAIR], []))
    assert all(np.array_equal(with_whole[name].mask, without[name].mask) for name in PAIR)


def test_what_looks_alike_outside_of_the_whole_is_not_next() -> None:
    order = np.linspace(0.1, 3, 30)[None]
    whole, nobody = order < 1, np.zeros(order.shape, dtype=bool)
    ratio = np.where(order > 2, 50.0, np.where(order < 0.5, 10.0, -10.0))  # bright far away
    fat, muscle = divide(ratio, (order, order), whole, order, (3, 3), (nobody, nobody)).costs
    for cost in (fat, muscle):
        assert (np.diff(cost[~whole]) > 0).all()
    assert fat[order < 0.5].max() < fat[~whole].min()


def test_numbers_that_ask_for_more_than_the_image_has_fill_it() -> None:
    image, _, marks = streaky()
    grown = grow_together(marks, {"fat": 0.7 * image.size, "muscle": 0.7 * image.size}, image, wholes=[PAIR])
    assert (grown["fat"].mask ^ grown["muscle"].mask).all()
    assert grown["fat"].mask.sum() == pytest.approx(image.size / 2, abs=1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), fat=st.integers(20, 150), muscle=st.integers(20, 300))
def test_sizes_are_kept_whatever_the_image(seed: int, fat: int, muscle: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.random((24, 26))
    marks = {name: np.zeros(image.shape, dtype=bool) for name in PAIR}
    marks["fat"][5:8, 5:8] = True
    marks["muscle"][12:15, 9:12] = True
    image[marks["fat"]] += 2 * rng.random()
    sizes = {"fat": fat, "muscle": muscle}
    valid(grow_together(marks, sizes, image, wholes=[PAIR]), marks, sizes)
