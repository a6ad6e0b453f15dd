"""What the image adds: costs that follow edges and looks beat straight growth where they should, and harm nowhere."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.stats import multivariate_normal
from skimage.measure import block_reduce

from tallymark.grow import grow
from tallymark.grow.coarse import shrink, shrink_mask
from tallymark.grow.contrast import curved_likeness, separation


def disc(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> np.ndarray:
    away = sum((axis - at) ** 2 for axis, at in zip(np.indices(shape), centre, strict=True))
    return np.asarray(away <= radius**2)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def noisy(mask: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = 0.05 * np.random.default_rng(seed).standard_normal(mask.shape)
    return np.asarray((0.3 + 0.4 * mask + noise).clip(0, 1))


@pytest.mark.parametrize("cost", ["paths", "walker", "auto"])
@pytest.mark.parametrize("shape", [(90, 90), (12, 40, 40)])
def test_an_off_centre_dab_finds_the_blob(cost: str, shape: tuple[int, ...]) -> None:
    middle = tuple(length / 2 for length in shape)
    radius = shape[-1] / 4 if len(shape) == 2 else 5.5
    blob = disc(shape, middle, radius)
    marks = disc(shape, (*middle[:-1], middle[-1] - 0.6 * radius), 0.25 * radius)
    area = int(blob.sum())
    straight = iou(grow(marks, area).mask, blob)
    assert straight < 0.7
    assert iou(grow(marks, area, noisy(blob), cost=cost).mask, blob) > max(0.75, straight + 0.2)


@pytest.mark.parametrize("cost", ["paths", "walker", "auto"])
def test_a_thin_ring_does_not_vanish(cost: str) -> None:
    ring = disc((80, 80), (40, 40), 24) & ~disc((80, 80), (40, 40), 21)
    line = disc((80, 80), (40, 40), 23) & ~disc((80, 80), (40, 40), 22)
    row, column = np.indices((80, 80))
    # Four arcs, with gaps of a fifth of the ring between them.
    marks = line & (np.abs(row - 40) > 7) & (np.abs(column - 40) > 7)
    mask = grow(marks, int(ring.sum()), noisy(ring), cost=cost).mask
    assert iou(mask, ring) > 0.55
    assert not (mask & disc((80, 80), (40, 40), 17)).any()


def test_unmarked_discs_are_found_by_their_looks() -> None:
    centres = [(r, c) for r in range(15, 120, 30) for c in range(15, 120, 30)]
    discs = [disc((120, 120), centre, 8) for centre in centres]
    everything = np.logical_or.reduce(discs)
    marks = np.logical_or.reduce([disc((120, 120), centre, 2) for centre in centres[::2]])
    growth = grow(marks, int(everything.sum()), noisy(everything))
    assert growth.cost == "appearance"
    assert iou(growth.mask, everything) > 0.9
    assert iou(grow(marks, int(everything.sum())).mask, everything) < 0.6


def test_looks_alone_from_one_pixel_grow_near_it() -> None:
    blob = disc((60, 60), (30, 30), 10)
    marks = disc((60, 60), (30, 30), 0)
    assert iou(grow(marks, int(blob.sum()), noisy(blob), cost="appearance").mask, blob) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_in_pure_noise_growth_stays_near_the_marks(seed: int) -> None:
    image = np.random.default_rng(seed).random((80, 80))
    marks = disc((80, 80), (40, 40), 4)
    mask = grow(marks, 700, image).mask
    assert mask.sum() == 700
    # A straight growth reaches 15 pixels; twice as far is the end.
    assert not (mask & ~disc((80, 80), (40, 40), 30)).any()


@pytest.mark.parametrize("cost", ["euclidean", "paths", "walker", "blend", "auto"])
def test_the_same_call_gives_the_same_and_a_mirror_image_its_mirror(cost: str) -> None:
    blob = disc((70, 64), (33, 30), 14)
    image, marks = noisy(blob), disc((70, 64), (29, 24), 3)
    area = int(blob.sum())
    growth = grow(marks, area, image, cost=cost)
    again = grow(marks.copy(), area, image.copy(), cost=cost)
    assert np.array_equal(growth.order, again.order)
    for axes in ((0,), (1,), (0, 1)):
        mirrored = grow(np.flip(marks, axes), area, np.flip(image, axes), cost=cost).mask
        assert iou(np.flip(mirrored, axes), growth.mask) > 0.95


@pytest.mark.parametrize("seed", range(3))
def test_eroded_marks_keep_near_straight_growth_where_contrast_is_low(seed: int) -> None:
    shape = (96, 96)
    row, column = np.indices(shape) - 48
    blob = (row / 19) ** 2 + (column / 32) ** 2 <= 1
    depth = distance_transform_edt(blob)
    marks = depth >= np.quantile(depth[blob], 0.9)
    image = 0.4 + 0.02 * blob + 0.1 * np.random.default_rng(seed).standard_normal(shape)
    area = int(blob.sum())
    growth = grow(marks, area, image.clip(0, 1))
    assert growth.cost in {"euclidean", "blend"}
    assert iou(growth.mask, blob) > max(0.93, iou(grow(marks, area, image.clip(0, 1), cost="paths").mask, blob))


def test_marks_off_the_middle_do_not_count_as_eroded() -> None:
    blob = disc((96, 96), (48, 48), 28)
    marks = disc((96, 96), (48, 34), 7)
    growth = grow(marks, int(blob.sum()), noisy(blob))
    assert growth.cost not in {"euclidean", "blend"}
    assert iou(growth.mask, blob) > 0.93


@pytest.mark.parametrize("cost", ["paths", "walker", "auto"])
def test_a_large_image_grows_as_its_small_copy_does(cost: str) -> None:
    middle, radius = (150, 140), 90
    blob = disc((300, 300), middle, radius)
    marks = disc((300, 300), (150, 90), 20)
    growth = grow(marks, int(blob.sum()), noisy(blob), cost=cost)
    assert growth.mask.sum() == blob.sum()
    assert iou(growth.mask, blob) > 0.93


def test_on_a_coarse_grid_walls_hold_and_gaps_lead_on() -> None:
    blob = disc((300, 300), (150, 150), 90)
    walls = np.zeros_like(blob)
    walls[:, 160] = True
    marks, image = disc((300, 300), (150, 110), 15), noisy(blob)
    held = grow(marks, 20000, image, cost="paths", excluded=walls)
    assert held.mask.sum() == held.mask[:, :160].sum() == 20000
    assert np.isinf(held.order[:, 160:]).all()
    walls[150, 160] = False
    through = grow(marks, 160 * 300 + 500, image, cost="paths", excluded=walls)
    assert through.mask.sum() == 160 * 300 + 500
    assert through.mask[:, 161:].any()


def test_curved_likeness_is_the_ratio_of_two_normal_densities() -> None:
    rng = np.random.default_rng(0)
    inside = np.arange(600) < 300
    features = np.where(inside[:, None], rng.normal(0, 0.3, (600, 3)), rng.normal(0.2, 1.0, (600, 3)))
    densities = [
        multivariate_normal(sample.mean(axis=0), np.cov(sample.T) + 1e-4 * np.eye(3)).logpdf(features)
        for sample in (features[inside], features[~inside])
    ]
    expected = np.clip(densities[0] - densities[1], -5, 5)
    assert np.allclose(curved_likeness(features, inside, ~inside, limit=5.0), expected)


@pytest.mark.parametrize(("shape", "blocks"), [((7, 12), (2, 3)), ((5, 6, 9), (1, 2, 2)), ((4, 4, 3), (2, 2, 1))])
def test_block_means_are_those_of_a_slow_reduction(shape: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).random(shape)
    padded = np.pad(array, [(0, -length % block) for length, block in zip(shape, blocks, strict=True)], mode="edge")
    assert np.allclose(shrink(array, blocks), block_reduce(padded, blocks, np.mean))
    assert np.array_equal(shrink_mask(array > 0.7, blocks), block_reduce(padded > 0.7, blocks, np.max))


def test_channels_that_say_the_same_change_nothing() -> None:
    blob = disc((60, 60), (30, 30), 12)
    image, marks = noisy(blob), disc((60, 60), (25, 30), 3)
    area = int(blob.sum())
    grey = grow(marks, area, image, cost="paths").mask
    colour = grow(marks, area, np.stack([image] * 3, axis=-1), cost="paths").mask
    assert iou(grey, colour) > 0.95


def test_separation_of_long_pixels_sees_the_next_one() -> None:
    image = np.array([[0.0], [1.0]])[..., None]
    mask = np.array([[False], [True]])
    far = np.array([[3.0], [3.0]])
    assert separation(image, mask, far * mask, far * ~mask) == pytest.approx(1 / np.sqrt(1e-6))
