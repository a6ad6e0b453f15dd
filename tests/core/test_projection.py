"""Projection of several images to one size: against a slow loop, and as properties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tallymark.core.projection import project, project_pooled
from tallymark.errors import ConfigError, GeometryError

NAN = math.nan


def images(seed: int, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [3 * torch.randn(shape, generator=generator) for shape in shapes]


def slow(scores: list[np.ndarray], total: float, weights: list[float]) -> list[np.ndarray]:
    """Take the best pixel of all images, one by one, while that comes nearer to the total."""
    masks = [np.zeros(score.shape) for score in scores]
    pixels = [(-score[at], i, at) for i, score in enumerate(scores) for at in np.ndindex(score.shape)]
    taken = 0.0
    for _, i, at in sorted(pixels):
        if abs(taken + weights[i] - total) >= abs(taken - total) and (taken > 0 or total == 0):
            break
        masks[i][at] = 1
        taken += weights[i]
    return masks


@given(st.integers(0, 999), st.floats(0, 1), st.lists(st.sampled_from([1.0, 0.5, 3.0]), min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_one_threshold_for_all_images_is_what_a_slow_loop_finds(seed: int, share: float, weights: list[float]) -> None:
    scores = images(seed, (4, 5), (3, 3), (2, 2, 2))
    total = share * sum(w * score.numel() for w, score in zip(weights, scores, strict=True))
    # A tie between two totals that are equally near has no right answer.
    found = project_pooled(scores, share, weights=weights)
    expected = slow([score.numpy() for score in scores], total, weights)
    reached, wanted = (
        sum(w * float(mask.sum()) for w, mask in zip(weights, masks, strict=True)) for masks in (found, expected)
    )
    assert abs(reached - total) == pytest.approx(abs(wanted - total), abs=1e-6)
    if reached == wanted:
        assert all(np.array_equal(one.numpy(), other) for one, other in zip(found, expected, strict=True))


@given(st.integers(0, 999), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_no_other_masks_of_the_total_have_a_higher_sum_of_scores(seed: int, share: float) -> None:
    one, other = images(seed, (2, 2), (3,))
    found = torch.cat([mask.flatten() for mask in project_pooled([one, other], share)])
    score, count = torch.cat([one.flatten(), other]), int(found.sum())
    assert count == max(math.floor(share * 7 + 0.5), int(share > 0)) or share * 7 % 1 == 0.5
    best = max(sum(score[list(some)]) for some in itertools.combinations(range(7), count))
    assert float((found * score).sum()) == pytest.approx(float(best), abs=1e-5)


@given(st.integers(0, 999), st.floats(0.01, 0.99), st.sampled_from([0.5, 1.0, 4.0]))
@settings(max_examples=40, deadline=None)
def test_soft_masks_have_exactly_the_total_and_one_shift(seed: int, share: float, temperature: float) -> None:
    scores = images(seed, (4, 4), (5, 2))
    weights = [2.0, 1.0]
    masks = project_pooled(scores, share, weights=weights, temperature=temperature)
    total = sum(w * float(mask.sum()) for w, mask in zip(weights, masks, strict=True))
    assert total == pytest.approx(share * 42, rel=1e-4)
    shifts = torch.cat(
        [(torch.logit(m.double()) - s.double() / temperature).flatten() for m, s in zip(masks, scores, strict=True)]
    )
    inside = torch.cat([m.flatten() for m in masks])
    shifts = shifts[(inside > 1e-3) & (inside < 1 - 1e-3)]
    assert float(shifts.max() - shifts.min()) < 1e-2 if len(shifts) else True


def test_a_group_of_one_image_is_the_image() -> None:
    (score,) = images(3, (6, 7))
    unknown = torch.full((1, 1), NAN)
    for value, temperature in itertools.product((0.0, 0.5, 1.0, NAN), (0.0, 1.0)):
        alone = project(score[None, None], torch.tensor([[value]]), unknown, unknown, temperature=temperature)
        assert torch.allclose(project_pooled([score], value, temperature=temperature)[0], alone[0, 0], atol=1e-5)


def test_intervals_hold_for_the_total_and_not_for_an_image() -> None:
    one, other = torch.tensor([2.0, 1.0, -1.0]), torch.tensor([-2.0, -3.0, 3.0])
    counts = {
        (0.0, 1.0): [2, 1],  # inside: as the scores have it
        (0.0, 1 / 3): [1, 1],
        (4 / 6, 1.0): [3, 1],
        (5 / 6, NAN): [3, 2],
        (NAN, 1 / 6): [0, 1],
    }
    for (low, high), expected in counts.items():
        assert [int(mask.sum()) for mask in project_pooled([one, other], NAN, low, high)] == expected


def test_marks_are_forced_and_others_barred_across_images() -> None:
    one, other = torch.tensor([9.0, 8.0, 7.0]), torch.tensor([-9.0, -8.0])
    forced = [torch.zeros(3, dtype=torch.bool), torch.tensor([True, False])]
    barred = [torch.tensor([True, False, False]), torch.zeros(2, dtype=torch.bool)]
    masks = project_pooled([one, other], 0.4, forced=forced, barred=barred)
    assert [mask.tolist() for mask in masks] == [[0, 1, 0], [1, 0]]
    full = project_pooled([one, other], 1.0, forced=forced, barred=barred)
    assert [mask.tolist() for mask in full] == [[0, 1, 1], [1, 1]]


def test_what_cannot_be_is_refused() -> None:
    score = torch.zeros(2)
    with pytest.raises(ConfigError, match="positive"):
        project_pooled([score], 0.5, weights=[0.0])
    with pytest.raises(GeometryError, match="every image has a weight"):
        project_pooled([score], 0.5, weights=[1.0, 1.0])
    with pytest.raises(GeometryError, match="differ in shape"):
        project_pooled([score], 0.5, barred=[torch.zeros(3, dtype=torch.bool)])
    assert project_pooled([], 0.5) == []
