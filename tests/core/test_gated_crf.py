"""Gated CRF: a slow reference over all pairs, symmetry, and what it does to a mask."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tallymark.core.gated_crf import gated_crf_loss
from tallymark.errors import ConfigError, GeometryError


def slow(
    prob: np.ndarray, image: np.ndarray, valid: np.ndarray, radius: int, position: float, intensity: float
) -> float:
    """Every ordered pair within the window."""
    total = 0.0
    places = list(np.ndindex(*prob.shape[2:]))
    for b in range(len(prob)):
        for i, j in itertools.product(places, places):
            step = [abs(a - c) for a, c in zip(i, j, strict=True)]
            if i == j or max(step) > radius or not (valid[(b, 0, *i)] and valid[(b, 0, *j)]):
                continue
            unlike = ((image[(b, slice(None), *i)] - image[(b, slice(None), *j)]) ** 2).sum() / intensity**2
            weight = math.exp(-(sum(s**2 for s in step) / position**2 + unlike) / 2)
            for p in prob[b]:
                total += weight * (p[i] * (1 - p[j]) + (1 - p[i]) * p[j])
    return total / max(1, valid.sum() * prob.shape[1])


@pytest.mark.parametrize(
    ("space", "radius"), [((4, 5), 1), ((4, 5), 2), ((3, 6), 9), ((2, 3, 3), 1), ((2, 3, 4), 2), ((7,), 2)]
)
def test_is_the_sum_over_all_pairs(space: tuple[int, ...], radius: int) -> None:
    generator = torch.Generator().manual_seed(0)
    prob = torch.rand(2, 2, *space, dtype=torch.float64, generator=generator)
    image = torch.rand(2, 3, *space, generator=generator)
    valid = torch.rand(2, 1, *space, generator=generator) > 0.3
    arguments = {"radius": radius, "position": 2.0, "intensity": 0.4}
    found = gated_crf_loss(prob, image, valid=valid, **arguments)
    assert found.item() == pytest.approx(slow(prob.numpy(), image.numpy(), valid.numpy(), **arguments), rel=1e-6)
    everywhere = np.ones(valid.shape, dtype=bool)
    found = gated_crf_loss(prob, image, **arguments)
    assert found.item() == pytest.approx(slow(prob.numpy(), image.numpy(), everywhere, **arguments), rel=1e-6)


def test_an_image_and_its_mirror_cost_the_same() -> None:
    generator = torch.Generator().manual_seed(1)
    prob, image = torch.rand(1, 1, 8, 9, generator=generator), torch.rand(1, 1, 8, 9, generator=generator)
    there = gated_crf_loss(prob, image)
    for axes in ([-1], [-2], [-1, -2]):
        assert gated_crf_loss(prob.flip(axes), image.flip(axes)).item() == pytest.approx(there.item(), rel=1e-5)
    turned = gated_crf_loss(prob.transpose(-1, -2), image.transpose(-1, -2))
    assert turned.item() == pytest.approx(there.item(), rel=1e-5)


def test_a_border_along_an_edge_of_the_image_is_cheap_and_one_across_is_dear() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 4:] = 1.0
    along, across = image.clone(), image.transpose(-1, -2).clone()
    assert gated_crf_loss(along, image).item() == pytest.approx(0, abs=1e-6)
    assert gated_crf_loss(across, image).item() > 1


def test_a_certain_constant_mask_costs_nothing_and_doubt_does() -> None:
    image = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(2))
    for constant in (0.0, 1.0):
        assert gated_crf_loss(torch.full((1, 1, 6, 6), constant), image).item() == 0
    assert gated_crf_loss(torch.full((1, 1, 6, 6), 0.5), image).item() > 0


def test_a_pixel_follows_its_likes() -> None:
    """An undecided pixel between a bright half inside and a dark half outside goes with the half it resembles."""
    image = torch.tensor([[[[1.0, 1.0, 1.0, 0.0, 0.0]]]])
    logit = torch.tensor([[[[9.0, 9.0, 0.0, -9.0, -9.0]]]], requires_grad=True)
    gated_crf_loss(logit.sigmoid(), image, radius=2).backward()
    assert logit.grad.flatten()[2] < 0


def test_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(3)
    prob = torch.rand(1, 2, 3, 4, dtype=torch.float64, generator=generator).requires_grad_()
    image = torch.rand(1, 1, 3, 4, generator=generator)
    valid = torch.rand(1, 1, 3, 4, generator=generator) > 0.2
    assert torch.autograd.gradcheck(lambda p: gated_crf_loss(p, image, radius=2, valid=valid), prob)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=12, max_size=12))
def test_any_logits_stay_finite(logits: list[float]) -> None:
    image = torch.linspace(0, 1, 12).reshape(1, 1, 3, 4)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        logit = torch.tensor(logits, dtype=dtype).reshape(1, 1, 3, 4).requires_grad_()
        found = gated_crf_loss(logit.sigmoid(), image.to(dtype))
        found.backward()
        assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert found.isfinite()
        assert logit.grad.isfinite().all()


def test_no_valid_pixel_costs_nothing() -> None:
    prob = torch.rand(1, 1, 3, 3, requires_grad=True)
    found = gated_crf_loss(prob, torch.rand(1, 1, 3, 3), valid=torch.zeros(1, 1, 3, 3, dtype=torch.bool))
    found.backward()
    assert found.item() == 0
    assert (prob.grad == 0).all()


@pytest.mark.usefixtures("as_installed")
def test_what_does_not_fit_is_refused() -> None:
    prob, image = torch.rand(1, 1, 3, 3), torch.rand(1, 1, 3, 3)
    for option in ({"radius": 0}, {"position": 0.0}, {"intensity": -1.0}, {"intensity": math.nan}):
        with pytest.raises(ConfigError, match="out of range"):
            gated_crf_loss(prob, image, **option)
    with pytest.raises(GeometryError, match="prob and image"):
        gated_crf_loss(prob, image[..., :2])
    with pytest.raises(GeometryError, match="prob and valid"):
        gated_crf_loss(prob, image, valid=torch.ones(1, 1, 3, 2, dtype=torch.bool))
