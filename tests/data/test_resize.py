"""Fractions stay true, nothing shifts, no mark is lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import skimage.transform
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tallymark.data.resize import (
    resize_image,
    resize_layers,
    resize_marks,
    resize_mask,
    resize_mask_fraction,
    upsample_probability,
)
from tallymark.errors import GeometryError

SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=17)
MASKS = SHAPES.flatmap(lambda shape: hnp.arrays(bool, shape))


def _slow_area(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The mean over each new pixel: repeat every pixel until old and new pixels fit, then average blocks."""
    for axis, new in enumerate(size):
        old = values.shape[axis]
        common = math.lcm(old, new)
        fine = np.repeat(values, common // old, axis=axis)
        blocks = (*fine.shape[:axis], new, common // new, *fine.shape[axis + 1 :])
        values = fine.reshape(blocks).mean(axis=axis + 1)
    return values


@given(MASKS, st.data())
def test_fraction_is_the_area_average(mask: np.ndarray, data: st.DataObject) -> None:
    size = tuple(data.draw(st.integers(1, 19)) for _ in mask.shape)
    fraction = resize_mask_fraction(mask, size)
    assert fraction.shape == size
    assert np.allclose(fraction, _slow_area(mask.astype(float), size), atol=1e-5)
    assert fraction.mean() == pytest.approx(mask.mean(), abs=1e-5)


@given(MASKS, st.data())
def test_a_mask_is_kept_where_half_is_covered(mask: np.ndarray, data: st.DataObject) -> None:
    size = tuple(data.draw(st.integers(1, 19)) for _ in mask.shape)
    assert np.array_equal(resize_mask(mask, size), _slow_area(mask.astype(float), size) > 0.5 - 1e-9)


def test_an_image_that_shrinks_is_averaged_and_keeps_its_channels() -> None:
    pixels = np.random.default_rng(0).random((30, 45, 3)).astype(np.float32)
    small = resize_image(pixels, (7, 11))
    assert small.dtype == np.float32
    assert np.allclose(small, _slow_area(pixels, (7, 11, 3)), atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new"), [((9, 7), (30, 29)), ((16, 16), (64, 48)), ((1, 5), (4, 5)), ((3, 4, 5), (6, 9, 10))]
)
def test_growing_is_linear_between_centres(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    prob = np.random.default_rng(0).random((2, *old)).astype(np.float32)
    large = upsample_probability(prob, new)
    for channel, reference in zip(large, prob, strict=True):
        expected = skimage.transform.resize(reference, new, order=1, mode="edge", anti_aliasing=False)
        assert np.allclose(channel, expected, atol=1e-5)
    assert np.allclose(resize_image(np.moveaxis(prob, 0, -1), new), np.moveaxis(large, 0, -1), atol=1e-6)


def test_a_size_that_does_not_change_changes_nothing() -> None:
    prob = np.random.default_rng(0).random((2, 5, 6)).astype(np.float32)
    assert np.array_equal(upsample_probability(prob, (5, 6)), prob)


@pytest.mark.parametrize("size", [(64, 64), (256, 256), (100, 37)])
def test_down_and_up_again_shifts_nothing(size: tuple[int, int]) -> None:
    rows, columns = np.ogrid[:471, :562]
    for row, column in ((120, 130), (235, 280), (340.5, 430.5)):
        blob = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 25**2)).astype(np.float32)
        back = upsample_probability(resize_image(blob[..., None], size)[..., 0][None], blob.shape)[0]
        assert scipy.ndimage.center_of_mass(back) == pytest.approx((row, column), abs=0.02)
        mask = blob > 0.5
        again = upsample_probability(resize_mask(mask, size)[None].astype(np.float32), mask.shape)[0] >= 0.5
        assert (mask & again).sum() / (mask | again).sum() > 0.8
        moved = np.abs(np.subtract(scipy.ndimage.center_of_mass(again), (row, column)))
        assert (moved < 0.25 * np.divide(mask.shape, size)).all()  # a careless half pixel would be 0.5


@given(MASKS, st.data())
def test_every_component_of_marks_survives(marks: np.ndarray, data: st.DataObject) -> None:
    size = tuple(data.draw(st.integers(1, 19)) for _ in marks.shape)
    resized = resize_marks(marks, size)
    fraction = _slow_area(marks.astype(float), size)
    assert resized[fraction > 0.5 + 1e-4].all()
    assert not resized[fraction == 0].any()
    labels, count = scipy.ndimage.label(marks, np.ones((3,) * marks.ndim))
    extra = resized & ~(fraction >= 0.5 - 1e-4)
    assert extra.sum() <= count
    for number in range(1, count + 1):
        share = _slow_area((labels == number).astype(float), size)
        assert (resized & (share > 0)).any()


def test_a_click_lands_on_the_pixel_that_covers_it() -> None:
    marks = np.zeros((500, 600), bool)
    marks[313, 77] = True
    assert np.argwhere(resize_marks(marks, (50, 60))).tolist() == [[31, 7]]


def test_a_thin_stroke_leaves_its_middle_and_not_its_end() -> None:
    marks = np.zeros((90, 90), bool)
    marks[45, 0:90] = True
    assert np.argwhere(resize_marks(marks, (9, 9))).tolist() == [[4, 4]]


@pytest.mark.parametrize("size", [(3,), (3, 3, 3), (0, 3)])
def test_a_size_that_does_not_fit_is_refused(size: tuple[int, ...]) -> None:
    mask = np.zeros((4, 5), bool)
    for resize in (resize_mask, resize_marks, resize_mask_fraction):
        with pytest.raises(GeometryError, match=r"expected 2 lengths for \(4, 5\)"):
            resize(mask, size)
    with pytest.raises(GeometryError, match=r"expected 2 lengths for \(4, 5\)"):
        resize_image(mask[..., None].astype(np.float32), size)
    with pytest.raises(GeometryError, match=r"expected 2 lengths for \(4, 5\)"):
        upsample_probability(mask[None].astype(np.float32), size)


def test_strokes_of_two_structures_that_overlap_say_neither_where_they_do():
    one, other = np.zeros((2, 3, 6), dtype=bool)
    one[1, :4] = other[1, 3:] = True
    apart = resize_layers({"one": one, "other": other}, (3, 6))
    assert apart["one"].nonzero()[1].tolist() == [0, 1, 2]
    assert apart["other"].nonzero()[1].tolist() == [4, 5]
