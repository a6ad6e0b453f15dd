"""nnPU and ranked negatives: slow references, the corrected gradient, ties, and what is unknown."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tallymark.core.positive_unlabelled import nnpu_loss, ranked_negatives, ranked_negatives_loss
from tallymark.errors import ConfigError, GeometryError

NAN = math.nan


def column(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


# --- nnPU -------------------------------------------------------------------------------------------------------------


def slow_nnpu(
    logit: np.ndarray, marks: np.ndarray, prior: np.ndarray, valid: np.ndarray, surrogate: str, beta: float
) -> float:
    """Algorithm 1 of the paper, image by image and pixel by pixel."""

    def loss(z: float, sign: int) -> float:
        return 1 / (1 + math.exp(sign * z)) if surrogate == "sigmoid" else math.log1p(math.exp(-sign * z))

    risks = []
    for b, k in np.ndindex(*prior.shape):
        pixels = [z for z, v in zip(logit[b, k].flat, valid[b, 0].flat, strict=True) if v]
        positives = [z for z, m, v in zip(logit[b, k].flat, marks[b, k].flat, valid[b, 0].flat, strict=True) if m and v]
        pi = prior[b, k]
        if math.isnan(pi) or (not positives and pi > 0):
            continue
        r_plus = pi * np.mean([loss(z, 1) for z in positives]) if positives else 0.0
        r_minus = np.mean([loss(z, -1) for z in pixels])
        if positives:
            r_minus -= pi * np.mean([loss(z, -1) for z in positives])
        risks.append(r_plus + max(-beta, r_minus))
    return float(np.mean(risks)) if risks else 0.0


@pytest.mark.parametrize("surrogate", ["sigmoid", "logistic"])
@given(
    st.lists(st.floats(-20, 20), min_size=24, max_size=24),
    st.lists(st.booleans(), min_size=24, max_size=24),
    st.lists(st.booleans(), min_size=11, max_size=11),
    st.lists(st.one_of(st.just(NAN), st.just(0.0), st.floats(0, 1)), min_size=4, max_size=4),
    st.floats(0, 0.5),
)
def test_nnpu_is_its_definition(
    surrogate, logits: list[float], marks: list[bool], valid: list[bool], prior: list[float], beta: float
) -> None:
    logit = torch.tensor(logits, dtype=torch.float64).reshape(2, 2, 2, 3).requires_grad_()
    marked = torch.tensor(marks).reshape(2, 2, 2, 3)
    shown = torch.tensor([*valid, True]).reshape(2, 1, 2, 3)
    shown[0, 0, 0, 0] = True
    number = torch.tensor(prior, dtype=torch.float64).reshape(2, 2)
    found = nnpu_loss(logit, marked, number, surrogate=surrogate, beta=beta, valid=shown)
    expected = slow_nnpu(logit.detach().numpy(), marked.numpy(), number.numpy(), shown.numpy(), surrogate, beta)
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    found.backward()
    assert logit.grad.isfinite().all()


def marked(first: int, pixels: int) -> torch.Tensor:
    """The first pixels of a row are marked."""
    return (torch.arange(pixels) < first).reshape(1, 1, 1, pixels)


def test_nnpu_at_zero_logits_is_one_half_whatever_the_prior() -> None:
    for prior in (0.1, 0.5, 0.9):
        assert nnpu_loss(torch.zeros(1, 1, 1, 4), marked(1, 4), torch.tensor([[prior]])).item() == pytest.approx(0.5)


def test_nnpu_undoes_overfitting_with_the_negative_risk_alone() -> None:
    """Only the marked pixel is positive although half of the image should be: the gradient lifts the others."""
    logit = torch.tensor([[[[8.0, -8.0, -8.0, -8.0]]]], dtype=torch.float64, requires_grad=True)
    found = nnpu_loss(logit, marked(1, 4), column(0.5), gamma=0.5)
    assert found.item() == pytest.approx(0.5 / (1 + math.exp(8)))  # R_u- = 1/4 is less than pi R_p- = 1/2
    found.backward()
    slope = 1 / (1 + math.exp(8)) * (1 - 1 / (1 + math.exp(8)))  # of the sigmoid at 8 and at -8
    pull = [-0.5 * slope * (1 / 4 - 1 / 2)] + [-0.5 * slope / 4] * 3
    assert logit.grad.flatten().tolist() == pytest.approx(pull)


def test_nnpu_takes_the_value_before_the_middle_of_an_interval() -> None:
    logit = torch.randn(1, 1, 1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    at = {prior: nnpu_loss(logit, marked(1, 6), column(prior)).item() for prior in (0.2, 0.3)}
    assert nnpu_loss(logit, marked(1, 6), column(0.2), column(0.25), column(0.35)).item() == pytest.approx(at[0.2])
    assert nnpu_loss(logit, marked(1, 6), column(NAN), column(0.25), column(0.35)).item() == pytest.approx(at[0.3])
    assert nnpu_loss(logit, marked(1, 6), column(NAN), column(0.25)).item() == 0


def test_nnpu_learns_nothing_where_the_prior_or_the_marks_are_missing() -> None:
    logit = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    marks = torch.zeros(2, 1, 2, 2, dtype=torch.bool)
    marks[0, 0, 0, 0] = True
    found = nnpu_loss(logit, marks, torch.tensor([[NAN], [0.5]]))
    found.backward()
    assert found.item() == 0
    assert (logit.grad == 0).all()


def test_nnpu_takes_every_pixel_of_an_image_without_the_structure_as_negative() -> None:
    logit = torch.randn(1, 1, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = nnpu_loss(logit, torch.zeros(1, 1, 3, 3, dtype=torch.bool), torch.tensor([[0.0]]))
    assert found.item() == pytest.approx(logit.sigmoid().mean().item())
    found.backward()
    assert (logit.grad > 0).all()


@pytest.mark.parametrize("surrogate", ["sigmoid", "logistic"])
def test_nnpu_gradients_are_those_of_finite_differences_where_nothing_is_corrected(surrogate) -> None:
    generator = torch.Generator().manual_seed(2)
    logit = torch.randn(2, 1, 3, 3, dtype=torch.float64, generator=generator).requires_grad_()
    marks = torch.rand(2, 1, 3, 3, generator=generator) > 0.6
    prior = column(0.2, 0.1)
    assert nnpu_loss(logit, marks, prior, surrogate=surrogate) == nnpu_loss(
        logit, marks, prior, surrogate=surrogate, beta=9.0
    )
    assert torch.autograd.gradcheck(lambda z: nnpu_loss(z, marks, prior, surrogate=surrogate), logit)


# --- ranked negatives -------------------------------------------------------------------------------------------------


def slow_negatives(
    logit: np.ndarray, marks: np.ndarray, upper: np.ndarray, valid: np.ndarray, margin: float
) -> np.ndarray:
    """Sort, count, spare ties."""
    found = np.zeros(logit.shape, dtype=bool)
    for b, k in np.ndindex(*upper.shape):
        if math.isnan(upper[b, k]) or math.isinf(upper[b, k]):
            continue
        places = [p for p in np.ndindex(*logit.shape[2:]) if valid[(b, 0, *p)]]
        score = {p: math.inf if marks[(b, k, *p)] else logit[(b, k, *p)] for p in places}
        kept = max(1, round(margin * upper[b, k] * len(places))) if upper[b, k] > 0 else 0
        if kept >= len(places):
            continue
        last = sorted(score.values(), reverse=True)[kept - 1] if kept else math.inf
        for p in places:
            found[(b, k, *p)] = score[p] < last
    return found


@given(
    st.lists(st.one_of(st.integers(-2, 2), st.floats(-1e4, 1e4, width=32)), min_size=24, max_size=24),
    st.lists(st.booleans(), min_size=24, max_size=24),
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.lists(st.sampled_from([NAN, 0.0, 1e-6, 0.1, 0.3, 0.55, 0.9, 1.0, math.inf]), min_size=4, max_size=4),
    st.sampled_from([1.0, 1.3, 2.0]),
)
def test_ranked_negatives_are_their_definition(
    logits: list[float], marks: list[bool], valid: list[bool], upper: list[float], margin: float
) -> None:
    logit = torch.tensor(logits, dtype=torch.float64).reshape(2, 2, 2, 3)
    some = torch.tensor(marks).reshape(2, 2, 2, 3)
    shown = torch.tensor(valid).reshape(2, 1, 2, 3)
    # An open interval is kept as "at least 0".
    known = torch.tensor(upper, dtype=torch.float64).reshape(2, 2)
    low = torch.where(known.isinf(), 0.0, NAN)
    value = torch.where(known.isinf(), NAN, known)
    found = ranked_negatives(logit, some, value, low, margin=margin, valid=shown)
    expected = slow_negatives(logit.numpy(), some.numpy(), known.numpy(), shown.numpy(), margin)
    assert (found.numpy() == expected).all()
    assert not (found & some).any()


def test_the_band_between_is_left_alone() -> None:
    """Ten pixels, two of them the structure: with a margin of 1.5 the three highest may be it."""
    logit = torch.linspace(5, -4, 10).reshape(1, 1, 1, 10).requires_grad_()
    found = ranked_negatives_loss(logit, marked(1, 10), torch.tensor([[0.2]]), margin=1.5)
    expected = np.log1p(np.exp(np.linspace(5, -4, 10)[3:])).mean()
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert (logit.grad.flatten()[:3] == 0).all()
    assert (logit.grad.flatten()[3:] > 0).all()


def test_a_marked_pixel_is_first_however_low_it_is() -> None:
    logit = torch.tensor([[[[-9.0, 1.0, 2.0, 3.0]]]])
    found = ranked_negatives(logit, marked(1, 4), torch.tensor([[0.5]]), margin=1.0)
    assert found.flatten().tolist() == [False, True, True, False]


def test_a_tie_has_no_raster_bias() -> None:
    flat = torch.zeros(1, 1, 4, 4)
    assert not ranked_negatives(flat, None, torch.tensor([[0.25]])).any()
    two_levels = torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]])
    assert not ranked_negatives(two_levels, None, torch.tensor([[0.5]]), margin=1.0).any()


def test_the_largest_size_of_an_interval_counts() -> None:
    logit = torch.tensor([[[4.0, 3.0, 2.0, 1.0]]])
    low, high = torch.tensor([[0.25]]), torch.tensor([[0.75]])
    found = ranked_negatives(logit, None, torch.tensor([[0.25]]), low, high, margin=1.0)
    assert found.flatten().tolist() == [False, False, False, True]


def test_a_size_above_zero_is_at_least_one_pixel_and_an_exact_zero_none() -> None:
    logit = torch.tensor([[[4.0, 3.0, 2.0, 1.0]]])
    assert ranked_negatives(logit, None, torch.tensor([[1e-3]])).flatten().tolist() == [False, True, True, True]
    assert ranked_negatives(logit, None, torch.tensor([[0.0]])).all()


# --- both -------------------------------------------------------------------------------------------------------------

BOTH = pytest.mark.parametrize("loss", [nnpu_loss, ranked_negatives_loss])


@BOTH
@pytest.mark.parametrize("space", [(4, 6), (2, 4, 6)])
def test_the_border_of_a_view_does_not_count(loss, space: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    logit = torch.randn(2, 2, *space, generator=generator)
    marks = torch.rand(2, 2, *space, generator=generator) > 0.8
    value = torch.tensor([[0.3, 0.0], [NAN, 0.2]])
    valid = torch.ones(2, 1, *space, dtype=torch.bool)
    valid[..., -2:] = False
    changed = torch.where(valid, logit, 50.0).requires_grad_()
    found = loss(changed, marks | ~valid, value, valid=valid)
    assert found.item() == pytest.approx(loss(logit[..., :-2], marks[..., :-2], value).item(), rel=1e-5)
    found.backward()
    assert (changed.grad[..., -2:] == 0).all()
    assert (changed.grad[..., :-2] != 0).any()


@BOTH
@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=12, max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.sampled_from([NAN, 0.0, 1e-30, 0.5, 1.0]),
)
def test_any_logits_stay_finite(loss, logits: list[float], marks: list[bool], value: float) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        logit = torch.tensor(logits, dtype=dtype).reshape(1, 2, 2, 3).requires_grad_()
        found = loss(logit, torch.tensor(marks).reshape(1, 2, 2, 3), torch.tensor([[value, 0.25]]))
        found.backward()
        assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert found.isfinite()
        assert logit.grad.isfinite().all()


def test_ranked_gradients_are_those_of_finite_differences() -> None:
    logit = torch.randn(2, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: ranked_negatives_loss(z, None, column(0.3, 0.0)), logit)


@pytest.mark.usefixtures("as_installed")
def test_what_does_not_fit_is_refused() -> None:
    logit, marks, value = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.bool), torch.tensor([[0.5]])
    with pytest.raises(ConfigError, match="'hinge'; expected 'sigmoid' or 'logistic'"):
        nnpu_loss(logit, marks, value, surrogate="hinge")
    with pytest.raises(ConfigError, match="at least 1"):
        ranked_negatives_loss(logit, marks, value, margin=0.9)
    for loss in (nnpu_loss, ranked_negatives_loss):
        with pytest.raises(GeometryError, match="logit and marks"):
            loss(logit, marks[:, :, :1], value)
