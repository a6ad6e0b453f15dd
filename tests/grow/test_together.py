"""Several structures at once: disjoint, of exact areas, and fair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallymark.errors import GeometryError, StudyError
from tallymark.grow import grow, grow_together
from tallymark.grow.together import share


def disc(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> np.ndarray:
    away = sum((axis - at) ** 2 for axis, at in zip(np.indices(shape), centre, strict=True))
    return np.asarray(away <= radius**2)


def click(shape: tuple[int, ...], *place: int) -> np.ndarray:
    return disc(shape, place, 0)


def slow_share(orders: np.ndarray, areas: list[int]) -> np.ndarray:
    """One proposal at a time, as in the paper."""
    lists = [[p for p in np.argsort(order) if np.isfinite(order[p])] for order in orders]
    owner = np.full(orders.shape[1], -1)
    while True:
        asking = [k for k, wanted in enumerate(lists) if wanted and (owner == k).sum() < areas[k]]
        if not asking:
            return owner
        k = asking[0]
        pixel = lists[k].pop(0)
        if owner[pixel] < 0 or orders[k, pixel] < orders[owner[pixel], pixel]:
            owner[pixel] = k


@given(st.integers(1, 4), st.integers(1, 25), st.integers(0, 2**31))
def test_shares_are_those_of_one_proposal_at_a_time(count: int, pixels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    orders = np.where(rng.random((count, pixels)) < 0.2, np.inf, rng.random((count, pixels)))
    areas = [int(a) for a in rng.integers(1, pixels + 1, count)]
    assert np.array_equal(share(orders, areas), slow_share(orders, areas))


@pytest.mark.parametrize("cost", ["euclidean", "auto"])
@pytest.mark.parametrize("shape", [(50, 60), (6, 24, 30)])
def test_two_that_want_the_same_pixels_split_in_the_middle(cost: str, shape: tuple[int, ...]) -> None:
    middle = tuple(length // 2 for length in shape[:-1])
    third = shape[-1] // 3
    marks = {"a": click(shape, *middle, third), "b": click(shape, *middle, 2 * third)}
    area = int(np.prod(shape)) // 4
    image = np.random.default_rng(0).random(shape) if cost == "auto" else None
    grown = grow_together(marks, {"a": area, "b": area}, image, cost=cost)
    a, b = grown["a"].mask, grown["b"].mask
    assert (grow(marks["a"], area).mask & grow(marks["b"], area).mask).any()
    assert a.sum() == b.sum() == area
    assert not (a & b).any()
    for name in marks:
        assert np.array_equal(grown[name].order < 1, grown[name].mask)
        assert grown[name].mask[marks[name]].all()
    if cost == "euclidean":
        # Each on its own side of the middle but for the pixels in the middle itself.
        column = np.indices(shape)[-1]
        assert column[a].max() <= 1.5 * third + 1
        assert column[b].min() >= 1.5 * third - 1


def test_a_tumour_inside_a_kidney() -> None:
    shape = (80, 80)
    whole, tumour = disc(shape, (40, 40), 25), disc(shape, (46, 44), 9)
    kidney = whole & ~tumour
    image = 0.2 + 0.5 * kidney + 0.25 * tumour + 0.02 * np.random.default_rng(0).standard_normal(shape)
    marks = {"kidney": disc(shape, (30, 34), 4), "tumour": disc(shape, (47, 45), 2)}
    grown = grow_together(marks, {"kidney": int(kidney.sum()), "tumour": int(tumour.sum())}, image)
    for name, truth in (("kidney", kidney), ("tumour", tumour)):
        mask = grown[name].mask
        assert mask.sum() == truth.sum()
        assert (mask & truth).sum() / (mask | truth).sum() > 0.9
    assert not (grown["kidney"].mask & grown["tumour"].mask).any()


def test_without_room_for_all_every_pixel_is_used() -> None:
    marks = {"a": click((8, 8), 0, 0), "b": click((8, 8), 7, 7), "c": click((8, 8), 0, 7)}
    grown = grow_together(marks, {"a": 40, "b": 40, "c": 10})
    masks = np.stack([growth.mask for growth in grown.values()])
    assert (masks.sum(axis=0) == 1).all()
    for growth in grown.values():
        assert np.array_equal(growth.order < 1, growth.mask)


def test_a_loser_far_from_the_rest_still_gets_its_area() -> None:
    # The small one sits in a corner that the large one fills: it is the large one that goes elsewhere.
    marks = {"large": click((40, 40), 1, 1), "small": click((40, 40), 0, 0)}
    grown = grow_together(marks, {"large": 900, "small": 30})
    assert grown["large"].mask.sum() == 900
    assert grown["small"].mask.sum() == 30
    assert not (grown["large"].mask & grown["small"].mask).any()


def test_intervals_keep_their_least_and_most() -> None:
    marks = {"a": click((20, 20), 10, 7), "b": click((20, 20), 10, 12)}
    grown = grow_together(marks, {"a": (60, 100), "b": 80})
    a, b = grown["a"], grown["b"]
    assert (a.inner.sum(), a.mask.sum(), a.outer.sum()) == (60, 80, 100)
    assert not (a.outer & b.mask).any()
    assert not (a.inner & ~a.mask).any()
    assert not (a.mask & ~a.outer).any()


def test_what_is_unknown_takes_no_part_but_is_not_grown_over() -> None:
    marks = {"a": click((9, 9), 4, 4), "b": click((9, 9), 4, 5), "c": np.zeros((9, 9), dtype=bool)}
    grown = grow_together(marks, {"a": 20, "b": None, "c": 0})
    assert grown["a"].mask.sum() == 20
    assert not grown["a"].mask[4, 5]
    assert not grown["b"].known
    assert grown["c"].known
    assert grow_together({}, {}) == {}


def test_exclusions_hold_for_their_structure_alone() -> None:
    marks = {"a": click((9, 9), 4, 2), "b": click((9, 9), 4, 6)}
    wall = np.zeros((9, 9), dtype=bool)
    wall[:, 0] = True
    grown = grow_together(marks, {"a": 20, "b": 45}, excluded={"a": wall})
    assert not grown["a"].mask[:, 0].any()
    assert grown["a"].mask.sum() == 20
    assert grown["b"].mask.sum() == 45


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(
    ("marks", "areas", "error", "words"),
    [
        ({"a": click((4, 4), 1, 2)}, {"b": 3}, StudyError, r"found \['b'\]; expected \['a'\]"),
        (
            {"a": click((4, 4), 1, 2), "b": disc((4, 4), (1, 1), 1)},
            {"a": 3, "b": 3},
            StudyError,
            r"pixel \(1, 2\): a pixel is marked as two structures; found \['a', 'b'\]; to mend it: erase",
        ),
        ({"a": click((4, 4), 1, 2), "b": click((4, 5), 1, 1)}, {"a": 3, "b": 3}, GeometryError, "have one shape"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    marks: dict[str, np.ndarray], areas: dict[str, int], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        grow_together(marks, areas)  # type: ignore[arg-type]
