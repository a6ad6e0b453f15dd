"""How much two structures cover of which only the ratio is known: what was drawn, or a guess from the image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from tallymark.errors import ConfigError
from tallymark.grow import scale_of, share_out, split


def scene(side: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A bright disc of radius 10 on grey, with a mark in its middle."""
    row, column = np.indices((side, side))
    disc = np.hypot(row - 20, column - 20) <= 10
    image = np.where(disc, 0.8, 0.3) + 0.02 * np.random.default_rng(0).standard_normal((side, side))
    return disc, image, np.hypot(row - 20, column - 20) <= 3


def test_the_steepest_outline_is_the_guess() -> None:
    disc, image, marks = scene()
    found = scale_of(marks, image)
    assert found.by == "contrast"
    assert found.pixels == pytest.approx(disc.sum(), rel=0.15)
    coloured = np.repeat(image[..., None], 3, axis=2)
    assert scale_of(marks, coloured).pixels == found.pixels


def test_what_is_drawn_all_around_is_the_whole() -> None:
    disc, image, marks = scene()
    ring = binary_dilation(disc, iterations=4) & ~binary_dilation(disc, iterations=2)
    found = scale_of(marks, image, walls=ring)
    assert found == (binary_dilation(disc, iterations=2).sum(), "drawn")
    assert scale_of(marks, walls=ring) == found
    # A gap lets it out; a ring elsewhere closes in nothing.
    gap = ring.copy()
    gap[:, 20] = False
    assert scale_of(marks, image, walls=gap).by == "contrast"
    elsewhere = np.zeros_like(ring)
    elsewhere[2:6, 2:6] = True
    elsewhere[3:5, 3:5] = False
    assert scale_of(marks, image, walls=elsewhere).by == "contrast"


def test_a_line_from_side_to_side_closes_in_what_the_image_cuts_off() -> None:
    marks, line = np.zeros((2, 30, 30), dtype=bool)
    marks[2, 15] = line[8, :] = True
    assert scale_of(marks, walls=line) == (8 * 30, "drawn")


def test_without_marks_or_an_image_nothing_is_known() -> None:
    _, image, marks = scene()
    assert scale_of(np.zeros_like(marks), image) is None
    assert scale_of(marks) is None
    assert scale_of(np.ones_like(marks), image) is None


def test_a_ratio_splits_a_whole() -> None:
    assert split(200, (0.25, 0.25)) == ((50, 50), (150, 150))


# --- one area for several images --------------------------------------------------------------------------------------


def test_areas_are_exact_and_larger_where_more_is_marked() -> None:
    small, large, tall = (np.zeros(shape, dtype=bool) for shape in ((20, 20), (20, 20), (40, 10)))
    small[9:11, 9:11] = large[6:14, 6:14] = tall[10:14, 4:6] = True
    areas = share_out([small, large, tall], 300.0)
    assert sum(areas) == pytest.approx(300)
    assert areas[1] > areas[2] > areas[0]
    # Pixels of twice the area count twice.
    twice = share_out([small, large, tall], 600.0, weights=[2.0] * 3)
    assert twice == pytest.approx([2 * area for area in areas])


def test_fewer_pixels_than_are_marked_are_shared_out_too() -> None:
    small, large = np.zeros((2, 20, 20), dtype=bool)
    small[8:12, 8:12] = large[4:16, 4:16] = True
    areas = share_out([small, large], 40.0)
    assert sum(areas) == pytest.approx(40)
    assert areas[0] < areas[1]


def test_no_image_gets_more_than_its_room() -> None:
    marks = np.zeros((6, 6), dtype=bool)
    marks[2:4, 2:4] = True
    walls = np.ones((6, 6), dtype=bool)
    walls[1:5, 1:5] = False
    areas = share_out([marks, marks], 40.0, excluded=[walls, np.zeros_like(walls)])
    assert areas[0] <= 16
    assert share_out([marks], 1000.0) == [36.0]


def test_an_image_without_marks_cannot_share() -> None:
    with pytest.raises(ConfigError, match="nothing to share out"):
        share_out([np.zeros((3, 3), dtype=bool)], 2.0)
