"""How networks are asked for what they see: whole, and, where they learned from views cut out, in many of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tallymark.engine.views import BEYOND, middle_logits, searched_logits
from tallymark.models.interface import Network, Output


class Seeing(Network):
    """A network whose logits are a function of the view."""

    def __init__(self, logit: Callable[[Tensor], Tensor]) -> None:
        super().__init__(image_channels=1, structures=1, dimension=2)
        self._logit = logit

    def forward(self, image: Tensor) -> Output:
        return Output(self._logit(image), image)


def test_what_all_views_agree_on_stays() -> None:
    image = torch.rand(2, 1, 24, 36, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(searched_logits(Seeing(lambda view: view), image, 2 / 3), image, atol=1e-6)
    assert torch.equal(searched_logits(Seeing(lambda view: view), image), image)


def test_views_lie_around_the_middle_and_the_whole_counts_as_much_as_all_of_them() -> None:
    sides: list[tuple[int, ...]] = []

    def area(view: Tensor) -> Tensor:
        sides.append(tuple(view.shape[2:]))
        return torch.full_like(view, 1.0 if view.shape[2] < 96 else 3.0)

    found = searched_logits(Seeing(area), torch.zeros(1, 1, 96, 96), 2 / 3)[0, 0]
    assert sorted(sides) == [(64, 64)] * 9 + [(96, 96)]
    expected = torch.full((96, 96), 3.0)
    expected[8:88, 8:88] = 2.0  # views begin at 8, 16 and 24
    assert torch.allclose(found, expected)


def test_a_view_counts_more_near_its_middle() -> None:
    columns = searched_logits(
        Seeing(lambda view: torch.arange(view.shape[3]).expand(view.shape).float()), torch.zeros(1, 1, 12, 12), 2 / 3
    )
    # Views of 8 begin at 1, 2 and 3; in them the seventh column of the image is the sixth, fifth and fourth.
    places = np.array([5.0, 4.0, 3.0])
    weights = 1.1 - abs(2 * places / 7 - 1)
    assert columns[0, 0, 5, 6].item() == pytest.approx(((places * weights).sum() / weights.sum() + 6) / 2)


def test_the_middle_alone_is_seen_as_in_training() -> None:
    image = torch.rand(1, 1, 9, 12, generator=torch.Generator().manual_seed(2))
    found = middle_logits(Seeing(lambda view: view), image, 0.5)
    inside = torch.zeros(9, 12, dtype=torch.bool)
    inside[2:6, 3:9] = True
    assert torch.equal(found[0, 0][inside], image[0, 0][inside])
    assert (found[0, 0][~inside] == BEYOND).all()
