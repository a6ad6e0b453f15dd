"""Mixed pseudo labels: a slow reference, no gradient through the label, and numerics at every extreme."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tallymark.core.mixed_pseudo_labels import mixed_pseudo_label_loss
from tallymark.errors import ConfigError


def slow(one: np.ndarray, other: np.ndarray, share: float) -> float:
    total = 0.0
    for a, b in zip(one.flat, other.flat, strict=True):
        p, q = 1 / (1 + math.exp(-a)), 1 / (1 + math.exp(-b))
        label = share * p + (1 - share) * q
        for guess in (p, q):
            total -= (label * math.log(guess) + (1 - label) * math.log(1 - guess)) / 2
    return total / one.size


@given(st.lists(st.floats(-15, 15), min_size=16, max_size=16), st.floats(0, 1))
def test_is_its_definition(logits: list[float], share: float) -> None:
    branches = torch.tensor(logits, dtype=torch.float64).reshape(2, 1, 2, 2, 2)
    expected = slow(*branches.numpy(), share)
    assert mixed_pseudo_label_loss(branches, share).item() == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_the_label_is_fixed_while_both_branches_learn() -> None:
    """d/dz CE(sigmoid(z), q) = (p - q) / pixels, halved; with share 1 the first branch is its own label and stays."""
    branches = torch.tensor([2.0, 0.0]).reshape(2, 1, 1, 1, 1).requires_grad_()
    mixed_pseudo_label_loss(branches, 1.0).backward()
    p = 1 / (1 + math.exp(-2))
    assert branches.grad.flatten().tolist() == pytest.approx([0.0, (0.5 - p) / 2])


def test_branches_that_agree_pay_their_entropy() -> None:
    assert mixed_pseudo_label_loss(torch.zeros(2, 1, 1, 2, 2), 0.3).item() == pytest.approx(math.log(2))
    assert mixed_pseudo_label_loss(torch.full((2, 1, 1, 2, 2), 50.0), 0.3).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("space", [(4, 6), (2, 4, 6)])
def test_the_border_of_a_view_does_not_count(space: tuple[int, ...]) -> None:
    branches = torch.randn(2, 2, 2, *space, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(2, 1, *space, dtype=torch.bool)
    valid[..., -2:] = False
    changed = torch.where(valid, branches, 50.0).requires_grad_()
    found = mixed_pseudo_label_loss(changed, 0.4, valid)
    assert found.item() == pytest.approx(mixed_pseudo_label_loss(branches[..., :-2], 0.4).item(), rel=1e-5)
    found.backward()
    assert (changed.grad[..., -2:] == 0).all()


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=8, max_size=8), st.floats(0, 1))
def test_any_logits_stay_finite(logits: list[float], share: float) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        branches = torch.tensor(logits, dtype=dtype).reshape(2, 1, 1, 2, 2).requires_grad_()
        found = mixed_pseudo_label_loss(branches, share)
        found.backward()
        assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert found.isfinite()
        assert branches.grad.isfinite().all()


def test_gradient_of_a_branch_with_the_label_held_fast() -> None:
    """With all weight on the other branch the label does not depend on this one, so that finite differences apply."""
    other = torch.randn(1, 1, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    one = torch.zeros_like(other).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: mixed_pseudo_label_loss(torch.stack([z, other]), 0.0), one)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_outside_the_unit_interval_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="share"):
        mixed_pseudo_label_loss(torch.zeros(2, 1, 1, 2, 2), share)
