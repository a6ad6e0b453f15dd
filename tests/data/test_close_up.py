"""Close-ups: what is marked is in the middle, always as large, and comes back to its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallymark.data.close_up import CloseUp

boxes = st.builds(
    CloseUp,
    st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)


@given(boxes)
def test_what_was_cut_comes_back_to_its_place_and_nothing_else_does(box: CloseUp) -> None:
    image = np.arange(1.0, 57.0).reshape(7, 8)
    back = box.paste(box.cut(image)[None], (7, 8), beyond=-1.0)[0]
    for row in range(7):
        for column in range(8):
            inside = all(first <= at < first + n for at, first, n in zip((row, column), *box, strict=True))
            assert back[row, column] == (image[row, column] if inside else -1.0)


@given(boxes)
def test_beyond_the_image_there_is_nothing_or_its_nearest_pixel(box: CloseUp) -> None:
    image = np.arange(1, 169).reshape(7, 8, 3)
    plain, edged, inside = box.cut(image), box.cut(image, edge=True), box.inside((7, 8))
    assert plain.shape == edged.shape == (*box.shape, 3)
    assert inside.sum() == (plain > 0).all(axis=2).sum()
    for at in np.ndindex(*box.shape):
        place = np.add(box.start, at)
        assert (edged[at] == image[tuple(place.clip(0, (6, 7)))]).all()
        assert (plain[at] == (edged[at] if inside[at] else 0)).all()


@given(st.integers(0, 25), st.integers(0, 25), st.integers(1, 6), st.integers(1, 6), st.sampled_from([0.5, 1.0, 3.0]))
def test_a_close_up_holds_all_of_the_mask_and_is_as_many_times_as_wide(
    row: int, column: int, rows: int, columns: int, edge: float
) -> None:
    mask = np.zeros((31, 31), dtype=bool)
    mask[row : row + rows, column : column + columns] = True
    area = int(mask.sum())
    box = CloseUp.around(mask, float(area), 4.8, mask.shape, (edge, 1.0))
    assert box.cut(mask).sum() == area
    height, width = box.shape[0] * edge, float(box.shape[1])
    assert height == pytest.approx(width, abs=max(edge, 1.0))
    assert width >= 4.8 * np.sqrt(area * edge) - 1


def test_an_image_twice_as_fine_gives_the_same_close_up() -> None:
    mask = np.zeros((40, 40), dtype=bool)
    mask[10:14, 22:26] = True
    coarse = CloseUp.around(mask, 16.0, 5.0, (40, 40), (1.0, 1.0))
    fine = CloseUp.around(np.kron(mask, np.ones((2, 2), dtype=bool)), 64.0, 5.0, (80, 80), (1.0, 1.0))
    # The mask may have grown on a coarser grid than that of the image.
    between = CloseUp.around(mask, 64.0, 5.0, (80, 80), (1.0, 1.0))
    assert fine == between == CloseUp(tuple(2 * n for n in coarse.start), tuple(2 * n for n in coarse.shape))
