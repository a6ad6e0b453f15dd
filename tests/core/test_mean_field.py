"""What neighbours say: a slow reference over all pairs, sizes that are met, and what it does to a noisy outline."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tallymark.core.mean_field import heard
from tallymark.core.projection import project
from tallymark.errors import ConfigError, GeometryError

UNKNOWN = torch.full((1, 2), torch.nan)


def softmax(logits: np.ndarray) -> np.ndarray:
    spread = np.exp(logits - logits.max(axis=0))
    return np.asarray(spread / spread.sum(axis=0))


def slow(score: np.ndarray, image: np.ndarray, strength: float, position: float, intensity: float) -> np.ndarray:
    """Six rounds over every ordered pair of the window, no size known."""
    space, radius = score.shape[1:], math.ceil(1.5 * position)
    none = np.zeros((1, *space))
    belief = softmax(np.concatenate([none, score]))
    mass = belief[1:].reshape(len(score), -1).sum(axis=1)
    variance = [sum(np.average((c - np.average(c, weights=b)) ** 2, weights=b) for c in image) for b in belief[1:]]
    spread = intensity**2 * np.average(variance, weights=mass)
    said = np.zeros_like(score)
    whole = sum(
        math.exp(-sum(s * s for s in step) / (2 * position**2))
        for step in itertools.product(range(-radius, radius + 1), repeat=len(space))
        if any(step) and all(abs(s) < n for s, n in zip(step, space, strict=True))
    )
    for _ in range(6):
        more, said = belief[1:] - belief[:1], np.zeros_like(score)
        for i, j in itertools.product(np.ndindex(*space), repeat=2):
            step = [a - b for a, b in zip(i, j, strict=True)]
            if i == j or max(map(abs, step)) > radius:
                continue
            unlike = sum((c[i] - c[j]) ** 2 for c in image) / spread
            weight = math.exp(-(sum(s * s for s in step) / position**2 + unlike) / 2)
            said[(slice(None), *i)] += weight * more[(slice(None), *j)]
        said *= strength / whole
        belief = softmax(np.concatenate([none, score + said]))
    return said


@pytest.mark.parametrize(("space", "position"), [((4, 5), 1.0), ((5, 6), 2.0), ((2, 3, 4), 1.0)])
def test_is_the_sum_over_all_pairs(space: tuple[int, ...], position: float) -> None:
    generator = torch.Generator().manual_seed(0)
    score = 3 * torch.randn(1, 2, *space, dtype=torch.float64, generator=generator)
    image = torch.rand(1, 3, *space, dtype=torch.float64, generator=generator)
    found = heard(score, image, UNKNOWN, UNKNOWN, strength=5.0, position=position, intensity=0.8)
    expected = slow(score[0].numpy(), image[0].numpy(), 5.0, position, 0.8)
    assert found[0].numpy() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@given(st.integers(0, 10_000), st.floats(0, 40), st.floats(0.5, 4))
def test_stays_within_the_strength_and_turns_with_the_image(seed: int, strength: float, position: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    score = 4 * torch.randn(1, 2, 7, 9, generator=generator)
    image, sizes = torch.rand(1, 1, 7, 9, generator=generator), torch.tensor([[5.0, 11.0]])
    found = heard(score, image, sizes, sizes, strength=strength, position=position)
    assert found.isfinite().all()
    assert found.abs().max() <= strength * (1 + 1e-5)
    for axes in ([-1], [-2]):
        turned = heard(score.flip(axes), image.flip(axes), sizes, sizes, strength=strength, position=position)
        assert torch.allclose(turned.flip(axes), found, atol=1e-2 * max(strength, 1))


def disc(noise: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A dark disc in a bright image, and scores that know it badly."""
    generator = torch.Generator().manual_seed(3)
    row, column = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    truth = ((row - 15) ** 2 + (column - 17) ** 2) < 64
    image = (0.7 - 0.3 * truth + 0.05 * torch.randn(32, 32, generator=generator))[None, None]
    score = (6 * truth - 3.0 + noise * torch.randn(32, 32, generator=generator))[None, None]
    return truth, image, score


def overlap_of(score: torch.Tensor, truth: torch.Tensor) -> float:
    share = truth.float().mean().reshape(1, 1)
    mask = project(score, share, torch.full_like(share, torch.nan), torch.full_like(share, torch.nan))[0, 0] > 0
    return float((mask & truth).sum() / (mask | truth).sum())


def test_a_noisy_outline_follows_the_image() -> None:
    truth, image, score = disc(noise=4.0)
    size = truth.sum().reshape(1, 1).float()
    assert overlap_of(score, truth) < 0.5
    assert overlap_of(score + heard(score, image, size, size, intensity=2.0), truth) > 0.9
    # In an image without a picture neighbours still agree, and no edge stops them.
    assert overlap_of(score + heard(score, torch.zeros_like(image), size, size), truth) > 0.8


def test_the_size_is_what_neighbours_hear_of() -> None:
    """Scores far too high everywhere say nothing of the size; the number does."""
    truth, image, score = disc(noise=1.0)
    size = truth.sum().reshape(1, 1).float()
    moved = heard(score + 8, image, size, size, intensity=2.0)
    assert torch.allclose(moved, heard(score, image, size, size, intensity=2.0), atol=0.5)
    assert (moved[0, 0][~truth] < 0).float().mean() > 0.9
    unknown = torch.full_like(size, torch.nan)
    assert (heard(score + 8, image, unknown, unknown, intensity=2.0)[0, 0] > 0).all()


def test_an_absent_structure_is_heard_of_nowhere() -> None:
    _, image, score = disc(noise=1.0)
    both, sizes = score.repeat(1, 2, 1, 1), torch.tensor([[200.0, 0.0]])
    found = heard(both, image, sizes, sizes)
    assert (found[0, 1] <= 0).all()
    assert torch.allclose(found[:, :1], heard(score, image, sizes[:, :1], sizes[:, :1]), atol=0.05)


def test_within_an_interval_nothing_is_moved() -> None:
    truth, image, score = disc(noise=1.0)
    own = truth.sum().reshape(1, 1).float()
    free = torch.full_like(own, torch.nan)
    wide = heard(score, image, own * 0.2, own * 5)
    assert torch.allclose(wide, heard(score, image, free, free), atol=1e-4)


@pytest.mark.parametrize("wrong", [{"strength": -1.0}, {"position": 0.0}, {"intensity": 0.0}, {"strength": math.nan}])
def test_what_is_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    score = torch.zeros(1, 2, 3, 3)
    with pytest.raises(ConfigError, match="out of range"):
        heard(score, torch.zeros(1, 1, 3, 3), UNKNOWN, UNKNOWN, **wrong)


@pytest.mark.usefixtures("as_installed")
def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(GeometryError, match="differ in shape"):
        heard(torch.zeros(1, 2, 3, 3), torch.zeros(1, 1, 3, 4), UNKNOWN, UNKNOWN)
