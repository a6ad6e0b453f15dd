"""Overlays: what is drawn where, in which colour, and that the rest of the image is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from tallymark.errors import GeometryError
from tallymark.pictures import encircled, fullest_slice, overlay, structure_colour
from tallymark.pictures.outlines import FILL_OPACITY
from tallymark.pictures.palette import EXCLUSION

ORANGE = np.array(structure_colour(0), dtype=float)


def square(shape: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_rows_and_columns_are_not_exchanged() -> None:
    mask = square((30, 60), slice(5, 10), slice(35, 55))
    changed = overlay(np.zeros((30, 60), np.uint8), mask).any(axis=2)
    rows, columns = np.nonzero(changed)
    # An outline of at most 2 px straddles the edge, so it reaches one pixel beyond the mask.
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 10, 34, 55)


def test_the_fill_is_translucent_and_the_outline_is_not() -> None:
    image = np.full((40, 40), 100, np.uint8)
    picture = overlay(image, square((40, 40), slice(10, 30), slice(10, 30))).astype(float)
    assert np.allclose(picture[20, 20], 100 + FILL_OPACITY * (ORANGE - 100), atol=0.5)
    edge = np.abs(picture[10, 15:25] - ORANGE).max(axis=1)
    inside = np.abs(picture[20, 15:25] - ORANGE).max(axis=1)
    assert (edge < 0.5 * inside).all()


@given(
    image=hnp.arrays(np.uint8, (24, 31)),
    mask=hnp.arrays(np.bool_, (24, 31), elements=st.booleans(), fill=st.just(False)),
)
def test_pixels_away_from_every_mask_are_untouched(image: np.ndarray, mask: np.ndarray) -> None:
    picture = overlay(image, mask, truth=mask, marks=mask)
    assert picture.shape == (24, 31, 3)
    assert picture.dtype == np.uint8
    far = ndimage.distance_transform_edt(~mask) > 3 if mask.any() else np.ones(mask.shape, bool)
    assert (picture[far] == image[far][:, np.newaxis]).all()


def test_marks_are_solid_and_exclusions_grey() -> None:
    empty = np.zeros((1, 20, 20), bool)
    marks = np.zeros((2, 20, 20), bool)
    marks[0, 3:6, 3:6] = True
    marks[1, 12:15, 12:15] = True
    picture = overlay(np.full((20, 20), 77, np.uint8), empty, marks=marks)
    assert (picture[3:6, 3:6] == ORANGE).all()
    assert (picture[12:15, 12:15] == EXCLUSION).all()
    assert (picture[marks.sum(axis=0) == 0] == 77).all()


def test_truth_is_dashed_white() -> None:
    truth = square((200, 200), slice(40, 160), slice(40, 160))
    picture = overlay(np.zeros((200, 200), np.uint8), np.zeros_like(truth), truth)
    along = picture[39:41, 60:140].max(axis=(0, 2))  # the straight upper edge, without its corners
    assert (along > 120).any(), "there is a white line"
    assert (along == 0).any(), "and there are gaps in it"
    assert (picture[100, 100] == 0).all(), "the truth has no fill"
    assert (picture == picture[..., :1]).all(), "and no colour"


def test_truth_stays_visible_under_an_equal_prediction() -> None:
    mask = square((100, 100), slice(20, 80), slice(20, 80))
    image = np.full((100, 100), 128, np.uint8)
    without, with_truth = overlay(image, mask), overlay(image, mask, mask)
    along = slice(30, 70)
    assert (without[19:21, along] != with_truth[19:21, along]).any(axis=(0, 2)).sum() > 5
    assert (without[19:21, along] == with_truth[19:21, along]).all(axis=(0, 2)).sum() > 5


def test_every_structure_has_its_colour() -> None:
    masks = np.zeros((3, 20, 60), bool)
    for index in range(3):
        masks[index, 4:16, 4 + 20 * index : 16 + 20 * index] = True
    picture = overlay(np.zeros((20, 60), np.uint8), masks)
    for index in range(3):
        expected = FILL_OPACITY * np.array(structure_colour(index))
        assert np.allclose(picture[10, 10 + 20 * index], expected, atol=0.5)


def test_a_mask_at_the_border_is_closed() -> None:
    picture = overlay(np.zeros((16, 16), np.uint8), np.ones((16, 16), bool)).astype(int)
    border = np.concatenate([picture[0, 2:-2], picture[-1, 2:-2], picture[2:-2, 0], picture[2:-2, -1]])
    assert (border[:, 0] > picture[8, 8, 0] + 20).all()


def test_lines_grow_with_the_image() -> None:
    def thickness(size: int) -> int:
        mask = square((size, size), slice(size // 4, 3 * size // 4), slice(size // 4, 3 * size // 4))
        column = overlay(np.zeros((size, size), np.uint8), mask)[: size // 2, size // 2, 0]
        return int((column > 0.5 * ORANGE[0]).sum())

    assert thickness(64) <= 2
    assert thickness(1024) == pytest.approx(3, abs=1)


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_channels_and_types_of_one_image_give_one_picture(channels: tuple[int, ...]) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    mask = square((16, 16), slice(4, 12), slice(4, 12))
    image = np.broadcast_to(grey.reshape(16, 16, *[1] * len(channels)), (16, 16, *channels)).copy()
    expected = overlay(grey, mask)
    assert (overlay(image, mask) == expected).all()
    assert (overlay(image.astype(np.float32) / 255, mask) == expected).all()


def test_a_volume_shows_its_fullest_slice() -> None:
    rng = np.random.default_rng(0)
    volume = rng.random((5, 12, 14))
    prediction, truth = np.zeros((2, 2, 5, 12, 14), bool)
    prediction[0, 1, 2:5, 2:5] = True  # 9 pixels
    prediction[1, 3, 2:4, 2:4] = True  # 4 pixels
    truth[0, 3, 6:9, 6:8] = True  # 6 pixels: 10 in slice 3
    assert fullest_slice(prediction) == 1
    assert fullest_slice(prediction, truth) == 3
    expected = overlay(volume[3], prediction[:, 3], truth[:, 3], prediction[:, 3])
    assert (overlay(volume, prediction, truth, prediction) == expected).all()


def test_enlarged_pictures_show_the_same_at_a_larger_size() -> None:
    mask = square((20, 30), slice(5, 15), slice(5, 25))
    picture = overlay(np.zeros((20, 30), np.uint8), mask, marks=mask, enlarge=3)
    assert picture.shape == (60, 90, 3)
    assert (picture[15:45, 15:75] == ORANGE).all()
    assert not picture[:12].any()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"image": np.zeros((8, 9), np.uint8)}, "image"),
        ({"image": np.zeros((8, 8, 2), np.uint8)}, "image"),
        ({"image": np.zeros((8, 8, 8), np.uint8)}, "image"),
        ({"truth": np.zeros((8, 9), bool)}, "truth"),
        ({"truth": np.zeros((2, 8, 8), bool)}, "truth"),
        ({"marks": np.zeros((3, 8, 8), bool)}, "marks"),
        ({"prediction": np.zeros(8, bool)}, "prediction"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change: dict[str, np.ndarray], where: str) -> None:
    arguments = {"image": np.zeros((8, 8), np.uint8), "prediction": np.zeros((8, 8), bool)} | change
    with pytest.raises(GeometryError) as caught:
        overlay(**arguments)
    assert caught.value.where == where
    assert caught.value.found is not None


@pytest.mark.parametrize("image", [np.full((8, 8), 1.5), np.full((8, 8), np.nan), np.zeros((8, 8), np.int16)])
def test_values_that_are_no_image_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="image must be"):
        overlay(image, np.zeros((8, 8), bool))


def test_marks_too_small_to_see_are_circled_where_they_are() -> None:
    """400 pixels shown at 100: marks below 20 pixels (10 of the image) get a circle of radius 32."""
    marks = np.zeros((2, 200, 200), bool)
    marks[1, 50, 120] = True
    marks[0, 150, 20:30] = True  # long enough
    black = np.zeros((400, 400, 3), np.uint8)
    drawn = encircled(black, marks, enlarge=2, shown_at=100)
    assert not black.any()
    rows, columns = np.nonzero(drawn.any(axis=-1))
    distance = np.hypot(rows + 0.5 - 101, columns + 0.5 - 241)
    assert 24 < distance.min() < distance.max() < 34
    assert {tuple(colour) for colour in drawn[rows, columns]} == {structure_colour(1)}
    assert not encircled(black, marks, enlarge=2, shown_at=400)[300].any()
