"""Synthetic marbled muscle: two structures that exclude each other, a ratio, and the study made of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes

from tallymark.data.study import Study
from tallymark.datasets.exact_numbers import measure_exact
from tallymark.datasets.marbled import draw_marbled, write_marbled
from tallymark.datasets.pairs import import_pairs, parse_codes, parse_ratio
from tallymark.errors import ConfigError


def test_fat_lies_in_the_muscle_and_varies() -> None:
    ratios, wholes = [], []
    for seed in range(8):
        phantom = draw_marbled(seed, 96)
        fat, muscle = phantom.masks["fat"], phantom.masks["muscle"]
        assert not (fat & muscle).any()
        whole = fat | muscle
        assert np.array_equal(binary_fill_holes(whole), whole)
        ratios.append(fat.sum() / whole.sum())
        wholes.append(whole.mean())
        # Fat echoes more than muscle, and other tissue is as bright as fat: brightness alone solves nothing.
        inside, outside = phantom.image[fat].mean(), phantom.image[~whole].mean()
        assert inside > phantom.image[muscle].mean() + 20
        assert abs(inside - outside) < inside - phantom.image[muscle].mean()
    assert np.ptp(ratios) > 0.1
    assert np.ptp(wholes) > 0.1


def test_the_same_seed_draws_the_same_and_too_small_is_refused() -> None:
    assert np.array_equal(draw_marbled("a", 48).image, draw_marbled("a", 48).image)
    assert not np.array_equal(draw_marbled("a", 48).image, draw_marbled("b", 48).image)
    with pytest.raises(ConfigError, match="too small"):
        draw_marbled(0, 16)


def test_a_study_of_it_has_the_ratio_as_a_number(tmp_path) -> None:
    root = write_marbled(tmp_path / "source", 3, size=48)
    codes, groups = parse_codes("fat=1,muscle=2"), root / "groups.csv"
    ratio = parse_ratio("fat/fat+muscle")
    import_pairs(root / "images", root / "masks", tmp_path / "study", groups=groups, codes=codes, statistics=[ratio])
    study = Study.open(tmp_path / "study")
    measure_exact(study)
    for case in study.cases:
        fat, muscle = (study.truth.mask(case, name).sum() for name in study.structures)
        assert study.numbers("exact")[case.id, "fat_ratio"].value == pytest.approx(fat / (fat + muscle))


def test_a_ratio_that_cannot_be_read_is_refused() -> None:
    for text in ("fat", "fat/", "/fat", "fat+/muscle"):
        with pytest.raises(ConfigError, match="the ratio cannot be read"):
            parse_ratio(text)
