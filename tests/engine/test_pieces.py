"""Masks hold together: every piece has a mark, or is a large piece of what the scores alone would give."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from tallymark.engine.outlines import Scored, outlines
from tallymark.engine.pieces import COMPACT, STREWN, in_large_pieces, in_touch

TOUCHING = np.ones((3, 3))


def cut(score: np.ndarray, count: int, marks: np.ndarray | None = None) -> np.ndarray:
    """The mask of the ``count`` best pixels."""
    nothing, size = np.zeros((1, *score.shape), dtype=bool), np.full(1, float(count))
    forced = nothing if marks is None else marks[None]
    return outlines([Scored(score[None].astype(np.float64), size, size, forced, nothing)])[0][0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 60))
def test_every_piece_of_a_mask_holds_a_mark_where_its_growth_is_in_one_piece(seed, count) -> None:
    rng = np.random.default_rng(seed)
    marks = np.zeros((9, 10), dtype=bool)
    marks[4, 4] = marks[1, 8] = True
    score = rng.normal(size=marks.shape).astype(np.float32)
    order = np.full(marks.shape, 2.0)
    order[4, 3:7] = order[1, 7:9] = 0.5
    touching = in_touch(score, marks, order)
    mask = cut(touching, count, marks)
    pieces, found = label(mask, TOUCHING)
    assert mask.sum() == count
    assert set(pieces[marks]) == set(range(1, found + 1))
    order[8, 0] = 0.5  # a piece of growth without a mark: the structure may have several
    assert np.array_equal(in_touch(score, marks, order), score)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 300))
def test_every_piece_of_a_mask_without_marks_holds_a_large_piece(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(20, 24))
    score[3:8, 4:9] += 3
    first = cut(score, count)
    pieces, found = label(first, TOUCHING)
    sizes = np.bincount(pieces.ravel())[1:]
    large = np.isin(pieces, 1 + np.flatnonzero(sizes >= COMPACT * sizes.max()))
    mask = cut(in_large_pieces(score, first, np.zeros_like(score, dtype=bool), COMPACT), count)
    assert mask.sum() == count
    assert mask[large].all()
    kept, left = label(mask, TOUCHING)
    assert set(kept[large]) == set(range(1, left + 1))
    assert left <= found


def test_a_speck_far_from_the_structure_is_dropped_and_its_pixels_go_to_the_outline() -> None:
    score = np.full((9, 20), -5.0)
    score[2:7, 2:7] = 4.0
    score[2:7, 7] = 1.0
    score[4, 18] = 3.0
    before = cut(score, 26)
    assert before[4, 18]
    after = cut(in_large_pieces(score, before, np.zeros_like(score, dtype=bool), COMPACT), 26)
    assert not after[4, 18]
    assert after[2:7, 2:7].all()
    assert after[2:7, 7].sum() == 1


def test_large_pieces_go_on_being_ranked() -> None:
    score = np.full((6, 12), -5.0)
    score[1:5, 1:6] = np.arange(20).reshape(4, 5)
    score[3, 10] = 3.0
    mask = score >= 0
    found = in_large_pieces(score, mask, np.zeros_like(score, dtype=bool), COMPACT)
    assert np.array_equal(found[1:5, 1:6], score[1:5, 1:6])
    assert found[3, 10] < 0


def test_structures_of_many_pieces_alike_keep_them() -> None:
    score = np.full((12, 20), -5.0)
    for row in (2, 8):
        for column in (2, 8, 14):
            score[row : row + 2, column : column + 3] = 2.0
    mask = cut(score, 36)
    assert np.array_equal(cut(in_large_pieces(score, mask, np.zeros_like(score, dtype=bool), COMPACT), 36), mask)


def test_marks_that_did_not_grow_lead_to_the_structure() -> None:
    score = np.full((9, 20), -5.0)
    score[2:7, 2:7] = 4.0
    score[2:7, 12:18] = 6.0
    marks = np.zeros(score.shape, dtype=bool)
    marks[4, 4] = True
    # In one place: what is surer elsewhere is not it. Strewn: the mark is one piece of several.
    alone = in_large_pieces(score, score > 0, marks, COMPACT) > 0
    assert np.array_equal(alone, (score == 4.0))
    assert np.array_equal(in_large_pieces(score, score > 0, marks, STREWN) > 0, score > 0)
