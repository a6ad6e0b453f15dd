"""Projection to a ratio: against all assignments of tiny images, and as properties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tallymark.core.ratio import project_ratio
from tallymark.errors import ConfigError, StudyError

NAN = torch.tensor([math.nan])


def drawn(seed: int, pixels: int, shift: float = 0.0) -> torch.Tensor:
    return 3 * torch.randn(1, 2, pixels, generator=torch.Generator().manual_seed(seed)) + shift


def projected(score: torch.Tensor, ratio: float, **options: object) -> torch.Tensor:
    return project_ratio(score, [0], [0, 1], torch.tensor([ratio]), NAN, NAN, **options)


@given(st.integers(0, 9999), st.floats(0.02, 0.98), st.sampled_from([-2.0, 0.0, 2.0]))
@settings(max_examples=60, deadline=None)
def test_no_masks_with_this_balance_have_a_larger_sum(seed: int, ratio: float, shift: float) -> None:
    score = drawn(seed, 7, shift)
    found = projected(score, ratio)[0].numpy()
    own = score[0].double().numpy()
    assert (found.sum(axis=0) <= 1).all()
    fat, muscle = found.sum(axis=1)
    balance = (1 - ratio) * fat - ratio * muscle
    assert abs(balance) <= 0.5 + 1e-6
    if fat + muscle == 1:  # what is left where no masks are worth having
        return
    assert (own > 0).any()
    best = max(
        sum(own[owner - 1, pixel] for pixel, owner in enumerate(owners) if owner)
        for owners in itertools.product(range(3), repeat=7)
        if abs((1 - ratio) * owners.count(1) - ratio * owners.count(2) - balance) < 1e-6
    )
    assert float((found * own).sum()) == pytest.approx(best, abs=1e-6)


@given(st.integers(0, 9999), st.floats(0.05, 0.95), st.sampled_from([0.5, 1.0, 3.0]))
@settings(max_examples=40, deadline=None)
def test_soft_areas_have_the_ratio_exactly(seed: int, ratio: float, temperature: float) -> None:
    soft = projected(drawn(seed, 40), ratio, temperature=temperature)[0].double()
    assert float(soft[0].sum() / soft.sum()) == pytest.approx(ratio, abs=1e-5)
    assert float(soft.sum(dim=0).max()) <= 1 + 1e-6


@given(st.integers(0, 9999), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_a_ratio_inside_its_interval_changes_nothing_and_outside_the_nearer_end_holds(seed, one, other) -> None:
    low, high = sorted((one, other))
    score = drawn(seed, 30)
    found = project_ratio(score, [0], [0, 1], NAN, torch.tensor([low]), torch.tensor([high]))[0]
    own = torch.where(score[0] == score[0].amax(dim=0), (score[0] > 0).float(), 0.0)
    ratio = float(own[0].sum() / own.sum())
    if low <= ratio <= high:
        assert torch.equal(found, own)
    elif found.sum() > 0:
        end = low if ratio < low else high
        assert abs(float(found[0].sum() - end * found.sum())) <= 0.5 + 1e-6


def test_ends_of_the_range_and_an_empty_union() -> None:
    score = torch.tensor([[[2.0, 1.0, -1.0], [1.0, 3.0, -1.0]]])
    assert projected(score, 0.0)[0].tolist() == [[0, 0, 0], [1, 1, 0]]
    assert projected(score, 1.0)[0].tolist() == [[1, 1, 0], [0, 0, 0]]
    nothing = torch.tensor([[[-2.0, -1.0], [-4.0, -3.0]]])
    assert projected(nothing, 0.8)[0].tolist() == [[0, 1], [0, 0]]
    assert projected(nothing, 0.2)[0].tolist() == [[0, 0], [0, 1]]
    unknown = project_ratio(score, [0], [0, 1], NAN, NAN, NAN)[0]
    assert unknown.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_equal_scores_share_out_to_the_pixel() -> None:
    """A flat image: all pixels change hands at once, and exactly so many do."""
    score = torch.ones(1, 2, 100)
    for ratio in (0.1, 0.37, 0.5, 0.9):
        found = projected(score, ratio)[0].sum(dim=1)
        assert found.tolist() == [pytest.approx(100 * ratio), pytest.approx(100 - 100 * ratio)]


def test_marks_are_forced_and_others_barred() -> None:
    score = torch.tensor([[[-9.0, 5.0, 4.0, 3.0], [8.0, -2.0, -2.0, 1.0]]])
    forced, barred = torch.zeros(2, 1, 2, 4, dtype=torch.bool)
    forced[0, 0, 0] = barred[0, 1, 1] = True
    found = projected(score, 0.5, forced=forced, barred=barred)[0]
    assert found[0, 0] == 1
    assert found[1, 1] == 0
    assert float(found[0].sum()) == float(found[1].sum())


def test_structures_that_the_ratio_does_not_name_keep_their_masks() -> None:
    score = torch.cat([drawn(1, 9), drawn(2, 9)], dim=1)
    found = project_ratio(score, [1], [1, 3], torch.tensor([0.5]), NAN, NAN)
    assert torch.equal(found[:, [0, 2]], (score[:, [0, 2]] > 0).float())


def test_a_part_over_another_structure() -> None:
    """R = A / B, with A not below the line."""
    score = drawn(5, 60)
    found = project_ratio(score, [0], [1], torch.tensor([2.0]), NAN, NAN)[0].sum(dim=1)
    assert abs(float(found[0] - 2 * found[1])) <= 1.5
    assert found.sum() > 0


def test_several_structures_above_the_line_share_it_by_their_scores() -> None:
    score = 3 * torch.randn(2, 4, 50, generator=torch.Generator().manual_seed(3))
    found = project_ratio(score, [0, 3], [0, 1, 3], torch.tensor([0.3, 0.7]), NAN.repeat(2), NAN.repeat(2))
    area = found.sum(dim=2)
    balance = area[:, 0] + area[:, 3] - torch.tensor([0.3, 0.7]) * (area[:, 0] + area[:, 1] + area[:, 3])
    assert (balance.abs() <= 0.5 + 1e-5).all()
    assert torch.equal(found[:, 2], (score[:, 2] > 0).float())
    taken = found[:, [0, 1, 3]]
    assert taken.sum(dim=1).max() == 1
    assert (score[:, 0] >= score[:, 3])[found[:, 0] == 1].all()
    # Every image by itself is as in a batch.
    alone = project_ratio(score[1:], [0, 3], [0, 1, 3], torch.tensor([0.7]), NAN, NAN)
    assert torch.equal(alone, found[1:])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="negative"):
        projected(drawn(0, 4), 0.5, temperature=-1.0)
    with pytest.raises(StudyError, match="cannot be projected"):
        project_ratio(drawn(0, 4), [], [0, 1], NAN, NAN, NAN)
    with pytest.raises(StudyError, match="all or none of them below it"):
        project_ratio(torch.zeros(1, 3, 4), [0, 1], [1, 2], NAN, NAN, NAN)
    assert np.isnan(NAN.numpy()).all()
