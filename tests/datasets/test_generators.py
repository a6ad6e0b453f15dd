"""Marks made from masks: counts by hand, slow references, promises on random masks in two and three dimensions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, gaussian_filter, label

from tallymark.datasets.generators import MarkOptions, deepest, erode
from tallymark.datasets.hand import click, dab, dab_unclipped, outside, partial, scribble, stroke
from tallymark.datasets.kinds import MARK_KINDS, MarkSpec, parse_marks
from tallymark.datasets.seeds import named_rng
from tallymark.errors import ConfigError

INSIDE = [name for name in MARK_KINDS if name not in ("dab-unclipped", "outside")]


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _blobs(seed: int, dimensions: int) -> np.ndarray:
    """A random mask, often of several parts, often touching the border."""
    rng = _rng(seed)
    shape = (40, 30) if dimensions == 2 else (9, 14, 12)
    field = gaussian_filter(rng.standard_normal(shape), rng.uniform(0.8, 3))
    return field > np.quantile(field, rng.uniform(0.5, 0.99))


masks = st.builds(_blobs, st.integers(0, 10_000), st.sampled_from([2, 3]))
shares = st.floats(0.005, 1.0)


def _slow_erosion(mask: np.ndarray, share: float) -> np.ndarray:
    """The loop of the paper; empty where it ends with nothing."""
    marks = mask
    while marks.sum() > share * mask.sum() + 1e-9:
        marks = binary_erosion(marks, np.ones((3,) * mask.ndim))
    return marks


def test_erosion_of_a_square_by_hand() -> None:
    square = np.pad(np.ones((7, 7), dtype=bool), 2)
    # 7x7 = 49, 5x5 = 25, 3x3 = 9, then a single pixel
    for share, left in ((1.0, 49), (0.99, 25), (25 / 49, 25), (0.5, 9), (9 / 49, 9), (0.18, 1), (0.001, 1)):
        assert erode(square, _rng(), MarkOptions(share)).sum() == left


def test_erosion_that_would_leave_nothing_keeps_the_share_rounded_down() -> None:
    bar = np.pad(np.ones((2, 30), dtype=bool), 3)  # 60 pixels; the first erosion empties it
    marks = erode(bar, _rng(), MarkOptions(0.08))
    assert marks.sum() == 4  # 0.08 x 60 = 4.8
    assert not (marks & ~bar).any()


def test_outside_the_picture_is_outside_the_structure() -> None:
    everything = np.ones((5, 5), dtype=bool)
    assert np.argwhere(erode(everything, _rng(), MarkOptions(0.1))).tolist() == [[2, 2]]
    assert np.argwhere(deepest(everything, _rng(), MarkOptions(0.04))).tolist() == [[2, 2]]


@given(masks, shares, st.sampled_from(["image", "component"]))
def test_erosion_is_the_loop_wherever_the_loop_leaves_something(mask: np.ndarray, share: float, per: str) -> None:
    marks = erode(mask, _rng(), MarkOptions(share, per))
    labels, count = label(mask, np.ones((3,) * mask.ndim))
    for part in [mask] if per == "image" else [labels == i + 1 for i in range(count)]:
        slow, fast = _slow_erosion(part, share), marks & part
        if slow.any():
            assert np.array_equal(fast, slow)
        else:
            assert 1 <= fast.sum() <= max(1, share * part.sum() + 1e-9)


@given(masks, shares, st.sampled_from(["image", "component"]))
def test_deepest_has_the_exact_count_and_nothing_deeper_is_left_out(mask: np.ndarray, share: float, per: str) -> None:
    marks = deepest(mask, _rng(), MarkOptions(share, per))
    labels, count = label(mask, np.ones((3,) * mask.ndim))
    inside = np.argwhere(~np.pad(mask, 1)) - 1
    for part in [mask] if per == "image" else [labels == i + 1 for i in range(count)]:
        assert (marks & part).sum() == max(1, round(share * part.sum()))
        depth = {tuple(p): ((inside - p) ** 2).sum(axis=1).min() for p in np.argwhere(part)}
        kept = [d for p, d in depth.items() if marks[p]]
        left = [d for p, d in depth.items() if not marks[p]]
        assert min(kept) >= max(left, default=0)


def test_ties_have_no_raster_bias() -> None:
    bar = np.pad(np.ones((1, 101), dtype=bool), 1)  # all pixels are equally deep
    columns = [np.nonzero(deepest(bar, _rng(seed), MarkOptions(0.01)))[1][0] for seed in range(400)]
    assert abs(np.mean(columns) - 51) < 5  # uniform over 1..101: the mean has a standard error of 1.5


def test_depth_obeys_the_spacing() -> None:
    block = np.pad(np.ones((3, 9, 9), dtype=bool), 1)
    one = MarkOptions(1 / block.sum())
    assert np.argwhere(deepest(block, _rng(), one))[0][0] == 2  # the thin axis decides
    thick = MarkOptions(1 / block.sum(), spacing=(10.0, 1.0, 1.0))
    assert np.argwhere(deepest(block, _rng(), thick))[0][1:].tolist() == [5, 5]


@pytest.mark.parametrize("kind", MARK_KINDS)
@given(mask=masks, seed=st.integers(0, 100), per=st.sampled_from(["image", "component"]))
def test_every_kind_marks_something_and_says_where(kind: str, mask: np.ndarray, seed: int, per: str) -> None:
    options = MarkOptions(MARK_KINDS[kind].share or 0.08, per)
    before = mask.copy()
    marks = MARK_KINDS[kind].generate(mask, _rng(seed), options)
    assert np.array_equal(mask, before)
    assert marks.shape == mask.shape
    assert marks.any()
    assert np.array_equal(marks, MARK_KINDS[kind].generate(mask, _rng(seed), options))
    if kind in INSIDE:
        assert not (marks & ~mask).any()
    if per == "component" and kind != "partial":
        labels, count = label(mask, np.ones((3,) * mask.ndim))
        assert set(labels[marks & mask]) == set(range(1, count + 1))


@pytest.mark.parametrize("kind", MARK_KINDS)
def test_an_empty_mask_gets_no_marks(kind: str) -> None:
    assert not MARK_KINDS[kind].generate(np.zeros((8, 8), dtype=bool), _rng(), MarkOptions()).any()


def _disc(radius: int) -> np.ndarray:
    row, column = np.indices((2 * radius + 11, 2 * radius + 11)) - radius - 5
    return row**2 + column**2 <= radius**2


def test_clicks_scatter_by_a_quarter_of_the_inradius() -> None:
    disc = _disc(40)
    points = np.array([np.argwhere(click(disc, _rng(seed), MarkOptions()))[0] for seed in range(300)]) - 45
    assert (np.abs(points.mean(axis=0)) < 2).all()
    assert points.std(axis=0) == pytest.approx([41 / 4, 41 / 4], rel=0.15)


def test_strokes_follow_the_long_axis_and_are_as_wide_as_the_pen() -> None:
    mask = np.zeros((256, 256), dtype=bool)
    mask[100:160, 40:220] = True  # 60 high, 180 wide
    for seed in range(30):
        pixels = np.argwhere(stroke(mask, _rng(seed), MarkOptions()))
        spread = np.linalg.eigvalsh(np.cov(pixels.T))
        length = np.sqrt(12 * spread[1])
        assert 0.3 * 180 * 0.9 <= length <= 0.7 * 180 * 1.1
        assert 2.5 <= len(pixels) / length <= 4.0


def test_a_dab_is_off_centre_and_may_be_clipped() -> None:
    disc = _disc(30)
    whole = [dab_unclipped(disc, _rng(seed), MarkOptions(0.5)) for seed in range(50)]
    assert max((marks & ~disc).sum() for marks in whole) > 0
    assert np.mean([marks.sum() for marks in whole]) == pytest.approx(0.5 * disc.sum(), rel=0.02)
    for seed, marks in enumerate(whole):
        assert np.array_equal(dab(disc, _rng(seed), MarkOptions(0.5)), marks & disc)
    small = [dab(disc, _rng(seed), MarkOptions(0.02)) for seed in range(200)]
    distance = [np.linalg.norm(np.argwhere(marks).mean(axis=0) - 35) for marks in small]
    assert max(distance) <= 17  # depth of at least half the maximum
    assert np.mean(distance) == pytest.approx(2 / 3 * 16, rel=0.12)  # uniform over that inner disc


def test_scribbles_follow_the_skeleton_and_vary() -> None:
    bar = np.pad(np.ones((21, 121), dtype=bool), 5)
    marks = [scribble(bar, _rng(seed), MarkOptions()) for seed in range(20)]
    lengths = [np.ptp(np.nonzero(mark)[1]) for mark in marks]
    assert all(20 <= length <= 100 for length in lengths)
    assert len(set(lengths)) > 5


def test_partial_forgets_components() -> None:
    labels = np.zeros((9, 41), dtype=int)
    for index in range(5):
        labels[1:8, 8 * index + 1 : 8 * index + 7] = index + 1
    for share, marked in ((0.2, 1), (0.4, 2), (0.01, 1), (1.0, 5)):
        marks = partial(labels > 0, _rng(), MarkOptions(share))
        assert len(set(labels[marks])) == marked


def test_outside_slips_by_its_share() -> None:
    disc = _disc(60)
    marks = outside(disc, _rng(), MarkOptions(0.05))
    assert (marks & ~disc).sum() / marks.sum() == pytest.approx(0.05, abs=0.005)
    assert label(marks & ~disc, np.ones((3, 3)))[1] <= 2
    full = np.ones((6, 6), dtype=bool)
    assert outside(full, _rng(), MarkOptions(0.05)).any()


@pytest.mark.parametrize(
    ("text", "kind", "share"),
    [
        ("erosion:8%", "erosion", 0.08),
        ("erosion:8", "erosion", 0.08),
        ("erosion:0.08", "erosion", 0.08),
        ("eroded: 12 %", "erosion", 0.12),
        ("deepest:1", "deepest", 0.01),
        ("deepest:0.5%", "deepest", 0.005),
        ("dab:100", "dab", 1.0),
        ("erosion", "erosion", 0.08),
        ("partial", "partial", 0.5),
        ("click", "click", None),
    ],
)
def test_the_short_way_to_ask(text: str, kind: str, share: float | None) -> None:
    spec = parse_marks(text)
    assert spec.kind == kind
    assert spec.share == (None if share is None else pytest.approx(share))
    assert parse_marks(str(spec)) == MarkSpec(spec.kind, spec.share)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("errosion:8%", "erosion, deepest, click"),
        ("erosion:", "above 0 %"),
        ("erosion:lots", "above 0 %"),
        ("erosion:0", "above 0 %"),
        ("erosion:nan", "above 0 %"),
        ("erosion:-4%", "above 0 %"),
        ("erosion:101", "above 0 %"),
        ("click:8%", "have no share"),
    ],
)
def test_what_cannot_be_asked(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_marks(text)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        MarkOptions(share)


def test_named_chance_depends_on_the_names_alone() -> None:
    first = [named_rng("a", "click", variant).random() for variant in range(3)]
    assert first == [named_rng("a", "click", variant).random() for variant in range(3)]
    assert len(set(first)) == 3
    # Written down once: marks made years apart on other machines must be the same.
    assert named_rng("benign (1)", "click", 0).random() == pytest.approx(0.07685035382493433, abs=1e-15)
