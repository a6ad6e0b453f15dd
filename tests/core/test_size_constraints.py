"""Size constraints: slow references, hand-counted values, what is unknown, and numerics at every extreme."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tallymark.core.size_constraints import barrier_extension, log_barrier_loss, size_bounds, size_penalty
from tallymark.errors import ConfigError

NAN = math.nan


def slow_bounds(value: float, low: float, high: float, margin: float) -> tuple[float, float] | None:
    if not (math.isnan(low) and math.isnan(high)):
        ends = (-math.inf if math.isnan(low) else low), (math.inf if math.isnan(high) else high)
        return ends if ends[0] != ends[1] else (low * (1 - margin), high * (1 + margin))
    return None if math.isnan(value) else (value * (1 - margin), value * (1 + margin))


def slow_psi(z: float, t: float) -> float:
    """The definition of the paper, literally."""
    return -math.log(-z) / t if z <= -1 / t**2 else t * z - math.log(1 / t**2) / t + 1 / t


def slow(prob: np.ndarray, value: np.ndarray, low: np.ndarray, high: np.ndarray, sharpness: float | None) -> float:
    """Image by image and structure by structure; a penalty without a sharpness, a barrier with one."""
    found = []
    for place in np.ndindex(*value.shape):
        bounds = slow_bounds(value[place], low[place], high[place], 0.1)
        if bounds is None:
            continue
        size = prob[place].mean()
        if sharpness is None:
            found.append(max(0.0, bounds[0] - size) ** 2 + max(0.0, size - bounds[1]) ** 2)
        else:
            below = slow_psi(bounds[0] - size, sharpness) if bounds[0] > 0 else 0.0
            above = slow_psi(size - bounds[1], sharpness) if bounds[1] < 1 else 0.0
            found.append(below + above)
    return float(np.mean(found)) if found else 0.0


maybe = st.one_of(st.just(NAN), st.just(0.0), st.floats(0, 1))


@pytest.mark.parametrize("sharpness", [None, 1.0, 5.0, 200.0])
@given(
    st.lists(st.tuples(maybe, maybe, maybe), min_size=4, max_size=4),
    st.lists(st.floats(0, 1), min_size=24, max_size=24),
)
def test_is_its_definition(sharpness: float | None, rows: list[tuple[float, ...]], pixels: list[float]) -> None:
    value, low, high = np.array(rows).reshape(2, 2, 3).transpose(2, 0, 1)
    low, high = np.where(low > high, high, low), np.where(low > high, low, high)
    prob = torch.tensor(pixels, dtype=torch.float64).reshape(2, 2, 2, 3).requires_grad_()
    numbers = [torch.tensor(x) for x in (value, low, high)]
    loss = size_penalty(prob, *numbers) if sharpness is None else log_barrier_loss(prob, *numbers, sharpness=sharpness)
    expected = slow(prob.detach().numpy(), value, low, high, sharpness)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    loss.backward()
    assert prob.grad is not None
    assert prob.grad.isfinite().all()


def images(size: float, *space: int) -> Tensor:
    """One structure whose pixels all have this probability."""
    return torch.full((1, 1, *space), size)


@pytest.mark.parametrize(
    ("size", "low", "high", "expected"),
    [
        (0.52, NAN, NAN, 0.3**2),  # the upper bound is 0.2 + 10 %
        (0.21, NAN, NAN, 0.0),
        (0.1, NAN, NAN, 0.08**2),
        (0.1, 0.3, NAN, 0.2**2),  # the interval replaces the value, and has no margin
        (0.9, 0.3, NAN, 0.0),
        (0.9, NAN, 0.3, 0.6**2),
        (0.25, 0.2, 0.3, 0.0),
    ],
)
def test_hinges(size: float, low: float, high: float, expected: float) -> None:
    known = [torch.tensor([[x]]) for x in (0.2, low, high)]
    assert size_penalty(images(size, 4, 4), *known).item() == pytest.approx(expected, abs=1e-6)


LOSSES = pytest.mark.parametrize("loss", [size_penalty, log_barrier_loss])


@LOSSES
def test_what_is_unknown_does_not_count(loss) -> None:
    prob = torch.stack([images(0.5, 3, 3)[0], images(0.9, 3, 3)[0]]).requires_grad_()
    alone = loss(images(0.5, 3, 3), torch.tensor([[0.2]]))
    found = loss(prob, torch.tensor([[0.2], [NAN]]))
    assert found.item() == pytest.approx(alone.item())
    found.backward()
    assert (prob.grad[1] == 0).all()
    nothing = loss(prob, torch.full((2, 1), NAN))
    assert nothing.item() == 0
    assert (torch.autograd.grad(nothing, prob)[0] == 0).all()


@LOSSES
@pytest.mark.parametrize("space", [(4, 6), (2, 4, 6)])
def test_the_border_of_a_view_does_not_count(loss, space: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    prob = torch.rand(2, 2, *space, generator=generator)
    value = torch.tensor([[0.2, 0.0], [NAN, 0.9]])
    valid = torch.ones(2, 1, *space, dtype=torch.bool)
    valid[..., -2:] = False
    changed = torch.where(valid, prob, 1.0).requires_grad_()
    found = loss(changed, value, valid=valid)
    assert found.item() == pytest.approx(loss(prob[..., :-2], value).item(), rel=1e-5)
    found.backward()
    assert (changed.grad[..., -2:] == 0).all()


@LOSSES
def test_an_exact_zero_pushes_every_pixel_down_and_a_full_image_up(loss) -> None:
    prob = images(0.4, 3, 3).requires_grad_()
    (down,) = torch.autograd.grad(loss(prob, torch.tensor([[0.0]])), prob)
    (up,) = torch.autograd.grad(loss(prob, torch.tensor([[1.0]])), prob)
    assert (down > 0).all()
    assert (up < 0).all()


@LOSSES
def test_gradients_are_those_of_finite_differences(loss) -> None:
    prob = torch.rand(3, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    value = torch.tensor([[0.2, 0.5], [NAN, 0.9], [0.0, NAN]], dtype=torch.float64)
    low = torch.tensor([[NAN, NAN], [0.7, NAN], [NAN, NAN]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: loss(p, value, low), prob)


@LOSSES
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=8, max_size=8), maybe, maybe)
def test_any_logits_stay_finite(loss, logits: list[float], value: float, low: float) -> None:
    for dtype in (torch.float32, torch.float64, torch.float16):
        logit = torch.tensor(logits, dtype=torch.float32).to(dtype).clamp(-6e4, 6e4).reshape(1, 2, 2, 2)
        logit.requires_grad_()
        numbers = torch.tensor([[value, 0.5]], dtype=torch.float32), torch.tensor([[low, NAN]], dtype=torch.float32)
        found = loss(logit.sigmoid(), *numbers)
        found.backward()
        assert found.isfinite()
        assert logit.grad.isfinite().all()


def test_outside_its_bounds_a_barrier_pulls_with_its_sharpness_and_between_them_it_holds() -> None:
    """t = 8: beyond a bound the slope is 8, less 1 / (8 0.5) of the other bound; half-way they cancel."""
    for size, slope in ((0.9, 7.75), (0.1, -7.75), (0.5, 0.0)):
        prob = images(size, 1, 1).requires_grad_()
        low, high = torch.tensor([[0.4]]), torch.tensor([[0.6]])
        log_barrier_loss(prob, torch.tensor([[NAN]]), low, high, sharpness=8.0).backward()
        assert prob.grad.item() == pytest.approx(slope, abs=1e-5)


@given(st.floats(0.1, 1e3))
def test_the_barrier_is_continued_without_a_step(sharpness: float) -> None:
    """At z = -1/t^2 the logarithm and its tangent meet in value and slope."""
    joint = -1 / sharpness**2
    beside = torch.tensor([joint * (1 + 1e-6), joint * (1 - 1e-6)], dtype=torch.float64, requires_grad=True)
    curved, straight = barrier_extension(beside, sharpness)
    assert curved.item() == pytest.approx(straight.item(), abs=3e-6 / sharpness + 1e-9)
    (slope,) = torch.autograd.grad(curved + straight, beside)
    assert slope.tolist() == pytest.approx([sharpness, sharpness], rel=1e-5)


def test_bounds_of_numbers_and_intervals() -> None:
    value = torch.tensor([[0.5, 0.0, 0.5, 0.5, NAN]])
    low = torch.tensor([[NAN, NAN, 0.25, NAN, NAN]])
    high = torch.tensor([[NAN, NAN, 0.75, 0.75, NAN]])
    lower, upper = size_bounds(value, low, high, margin=0.5)
    assert lower[0, :4].tolist() == [0.25, 0.0, 0.25, -math.inf]
    assert upper[0, :4].tolist() == [0.75, 0.0, 0.75, 0.75]
    assert lower[0, 4].isnan()
    assert upper[0, 4].isnan()


def test_options_out_of_range_are_refused() -> None:
    prob, value = images(0.5, 2, 2), torch.tensor([[0.5]])
    with pytest.raises(ConfigError, match="margin"):
        size_penalty(prob, value, margin=-0.1)
    for sharpness in (0.0, -1.0, math.inf, NAN):
        with pytest.raises(ConfigError, match="sharpness"):
            log_barrier_loss(prob, value, sharpness=sharpness)
