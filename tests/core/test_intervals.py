"""The ends of a number: what replaces what, and shapes that must not broadcast."""

from __future__ import annotations

import math

import pytest
import torch

from tallymark.core.intervals import interval
from tallymark.errors import GeometryError

NAN = math.nan


@pytest.mark.parametrize(
    ("target", "low", "high", "ends"),
    [
        (0.5, NAN, NAN, (0.5, 0.5)),
        (0.5, 0.1, 0.2, (0.1, 0.2)),
        (NAN, 0.1, 0.2, (0.1, 0.2)),
        (0.5, 0.1, NAN, (0.1, math.inf)),
        (0.5, NAN, 0.2, (-math.inf, 0.2)),
    ],
)
def test_an_interval_replaces_the_number(target: float, low: float, high: float, ends: tuple[float, float]) -> None:
    numbers = [torch.tensor([[x]], dtype=torch.float64) for x in (target, low, high)]
    lower, upper = interval(numbers[0], *numbers)
    assert (lower.item(), upper.item()) == ends


def test_nothing_known_is_not_a_number() -> None:
    unknown = torch.tensor([[NAN]])
    assert all(end.isnan().all() for end in interval(torch.zeros(1, 1), unknown, unknown, unknown))


@pytest.mark.usefixtures("as_installed")
def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(GeometryError, match="value and high differ in shape"):
        interval(torch.zeros(2, 1), torch.zeros(2, 1), None, torch.zeros(1, 1))
