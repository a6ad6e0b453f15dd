"""Blobs of a known size, and which of them are alike in all images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallymark.grow import Blob, prefer, propose


def disc(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> np.ndarray:
    grid = np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij")
    return np.asarray(sum((axis - middle) ** 2 for axis, middle in zip(grid, centre, strict=True)) <= radius**2)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


class TestPropose:
    """Where something of this size stands out."""

    @pytest.mark.parametrize(("shape", "centre"), [((60, 80), (22.0, 51.0)), ((20, 40, 40), (9.0, 24.0, 15.0))])
    @pytest.mark.parametrize("bright", [False, True])
    def test_the_disc_of_this_size_is_found_and_not_a_smaller_one(self, shape, centre, bright: bool) -> None:
        radius, small = 7.0, tuple(5.0 for _ in shape)
        structure, other = disc(shape, centre, radius), disc(shape, small, 2.5)
        change = 0.4 if bright else -0.4
        image = 0.5 + change * (structure | other) + np.random.default_rng(0).normal(0, 0.05, shape)
        found = propose(image[..., None], float(structure.sum()), (1.0,) * len(shape))
        best = max(found, key=lambda blob: blob.features[0])
        assert overlap(best.mask(shape, (1.0,) * len(shape)), structure) > 0.8

    def test_a_long_one_is_found_by_an_ellipse_in_its_direction(self) -> None:
        rows, columns = np.indices((60, 60)) + 0.5 - 30
        along, across = (columns + rows) / np.sqrt(2), (columns - rows) / np.sqrt(2)
        structure = (along / 12) ** 2 + (across / 7) ** 2 <= 1
        blob = propose(1.0 - structure[..., None], float(structure.sum()), (1.0, 1.0))[0]
        assert overlap(blob.mask((60, 60), (1.0, 1.0)), structure) > 0.85

    def test_spacing_is_heeded_and_the_mask_fits_any_grid(self) -> None:
        # Pixels twice as high as wide: a disc in space is half as high in pixels.
        structure = disc((60, 60), (30.0, 30.0), 10.0)[::2]
        blob = propose(1.0 - structure[..., None], float(structure.sum()), (2.0, 1.0))[0]
        assert blob.centre == pytest.approx((30.0, 30.0), abs=1.5)
        assert overlap(blob.mask((60, 60), (1.0, 1.0)), disc((60, 60), (30.0, 30.0), 10.0)) > 0.85

    def test_none_where_it_was_excluded_nor_where_it_does_not_fit(self) -> None:
        structure = disc((40, 40), (20.0, 20.0), 6.0)
        image = 1.0 - structure[..., None]
        for blob in propose(image, float(structure.sum()), (1.0, 1.0), excluded=structure):
            assert not structure[tuple(int(place) for place in blob.centre)]
        assert propose(image, 2500.0, (1.0, 1.0)) == []

    def test_the_one_around_a_known_pixel_comes_first(self) -> None:
        structure, other = disc((60, 60), (20.0, 18.0), 6.0), disc((60, 60), (42.0, 42.0), 6.0)
        image = 0.5 + 0.1 * structure - 0.4 * other
        area = float(structure.sum())
        blobs = propose(image[..., None], area, (1.0, 1.0), inside=(22, 19))
        assert overlap(blobs[0].mask((60, 60), (1.0, 1.0)), structure) > 0.8
        without = propose(image[..., None], area, (1.0, 1.0))
        assert overlap(without[0].mask((60, 60), (1.0, 1.0)), other) > 0.8
        assert sorted(blob.centre for blob in blobs) == sorted(blob.centre for blob in without)  # none comes twice
        # Around a pixel at the edge of the image nothing of this size fits.
        assert propose(image[..., None], area, (1.0, 1.0), inside=(0, 59)) == []

    def test_a_flat_image_is_no_error(self) -> None:
        assert all(np.isfinite(blob.features).all() for blob in propose(np.full((20, 20, 1), 0.5), 30.0, (1.0, 1.0)))

    def test_the_core_has_a_pixel_at_least(self) -> None:
        blob = Blob((3.2, 3.2), (0.1, 0.1), 0.0, np.zeros(1))
        assert np.argwhere(blob.mask((8, 8), (1.0, 1.0))).tolist() == [[3, 3]]


class TestPrefer:
    """What the structure has in common."""

    def test_a_study_finds_out_that_its_structure_is_dark(self) -> None:
        # In every image something brighter stands out as much somewhere, and something dark where the structure is.
        rng = np.random.default_rng(1)
        found, truth = [], []
        for _ in range(40):
            dark = disc((50, 50), (rng.uniform(12, 18), rng.uniform(20, 30)), 6.0)
            bright = disc((50, 50), (rng.uniform(10, 40), rng.choice([8.0, 42.0])), 6.0)
            image = 0.5 - 0.3 * dark + rng.uniform(0.2, 0.36) * bright + rng.normal(0, 0.08, (50, 50))
            found.append(propose(image[..., None], float(dark.sum()), (1.0, 1.0)))
            truth.append(dark)
        by_contrast = [max(blobs, key=lambda blob: blob.features[0]) for blobs in found]
        chances = prefer([np.array([blob.features for blob in blobs]) for blobs in found])
        likely = [blobs[int(chance.argmax())] for blobs, chance in zip(found, chances, strict=True)]
        hits = [
            np.mean(
                [overlap(blob.mask((50, 50), (1.0, 1.0)), dark) > 0.5 for blob, dark in zip(one, truth, strict=True)]
            )
            for one in (by_contrast, likely)
        ]
        assert hits[0] < 0.9
        assert hits[1] > 0.95

    def test_what_is_known_of_some_decides_for_the_others(self) -> None:
        # Two things stand out alike in every image, one at the left and one at the right.
        rng = np.random.default_rng(3)
        pairs = [np.array([[1.0, rng.normal(side, 0.1)] for side in (-1, 1)]) for _ in range(30)]
        for known in (0, 1):
            told = [number < 3 for number in range(30)]
            first = [pair[[known, 1 - known]] if number < 3 else pair for number, pair in enumerate(pairs)]
            chances = prefer(first, told)
            assert all(one.tolist() == [1.0, 0.0] for one in chances[:3])
            assert min(one[known] for one in chances[3:]) > 0.9

    @settings(max_examples=30)
    @given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(0, 2**31))
    def test_chances_of_each_image_are_one_together(self, counts: list[int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        chances = prefer([rng.normal(size=(count, 3)) for count in counts])
        assert [len(one) for one in chances] == counts
        assert all(one.sum() == pytest.approx(1) for one in chances if len(one))

    def test_nothing_to_choose_from(self) -> None:
        assert [one.tolist() for one in prefer([np.zeros((0, 0)), np.zeros((0, 0))])] == [[], []]
