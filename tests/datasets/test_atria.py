"""Synthetic atria: irregular, in one piece, with thin parts, and no brighter than what lies beside them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_opening, label
from skimage.morphology import disk
from typer.testing import CliRunner

from tallymark.cli.app import app
from tallymark.data.study import Study
from tallymark.datasets.atria import draw_atrium, write_atria
from tallymark.errors import ConfigError


def test_an_atrium_is_in_one_piece_irregular_and_no_brighter_than_its_neighbours() -> None:
    thin, otsu = [], []
    for seed in range(12):
        phantom = draw_atrium(seed, 128)
        mask = phantom.masks["atrium"]
        assert label(mask, np.ones((3, 3)))[1] == 1
        assert 0.01 < mask.mean() < 0.2
        thin.append(1 - binary_opening(mask, disk(4)).sum() / mask.sum())
        # The best threshold of all, told by the mask itself, finds little: brightness alone solves nothing.
        cuts = [phantom.image > level for level in range(20, 250, 5)]
        otsu.append(max((cut & mask).sum() / (cut | mask).sum() for cut in cuts))
    assert np.mean(thin) > 0.1
    assert np.mean(otsu) < 0.4


def test_the_same_seed_draws_the_same_and_what_cannot_be_drawn_is_refused(tmp_path) -> None:
    assert np.array_equal(draw_atrium("a", 48).image, draw_atrium("a", 48).image)
    assert not np.array_equal(draw_atrium("a", 48).image, draw_atrium("b", 48).image)
    with pytest.raises(ConfigError, match="too small"):
        draw_atrium(0, 16)
    with pytest.raises(ConfigError, match="count 0"):
        write_atria(tmp_path, 0)


def test_a_study_of_them_by_the_command(tmp_path) -> None:
    done = CliRunner().invoke(
        app, ["import", "phantoms", "--kind", "atrium", "--cases", "3", "--size", "48", str(tmp_path / "study")]
    )
    assert done.exit_code == 0, done.output
    study = Study.open(tmp_path / "study")
    assert study.structures == ("atrium",)
    assert all(study.truth.mask(case, "atrium").any() for case in study.cases)
