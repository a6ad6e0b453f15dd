"""Statistics of groups: against exact ones of all pixels at once, and whole-group gradients from part of a group."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tallymark import measure
from tallymark.core.groups import Parts, of_groups, parts, with_others
from tallymark.measure.definition import Statistic

STATISTICS = (
    Statistic("share", "area_fraction", of=("fat",)),
    Statistic("ratio", "area_ratio", of=("fat",), over=("fat", "muscle")),
    Statistic("area", "area", of=("fat",), unit="mm2"),
    Statistic("grey", "mean_intensity", of=("muscle",), unit="intensity"),
    Statistic("long", "longest_axis", of=("fat",), unit="mm"),
)
NAMES = ("fat", "muscle")


def drawn(seed: int, images: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    fat = rng.random((images, 6, 6)) < 0.3
    muscle = (rng.random((images, 6, 6)) < 0.5) & ~fat
    return torch.tensor(np.stack([fat, muscle], axis=1)).float(), torch.tensor(rng.random((images, 1, 6, 6))).float()


def test_numbers_of_a_group_are_those_of_all_its_pixels() -> None:
    masks, image = drawn(0)
    spacing = torch.full((3, 2), 0.5)
    seen = parts(STATISTICS, NAMES, masks, torch.full((3,), 36.0), spacing_mm=spacing, image=image)
    group = of_groups(STATISTICS, torch.tensor([0, 0, 0]), seen, 1)[0].tolist()
    # The images laid side by side are one image.
    whole = {name: np.concatenate(list(masks[:, k].numpy() > 0), axis=1) for k, name in enumerate(NAMES)}
    side_by_side = np.concatenate(list(image[:, 0].numpy()), axis=1)[..., None]
    exact = measure.evaluate(STATISTICS[:4], whole, spacing_mm=(0.5, 0.5), image=side_by_side)
    assert group[0] == pytest.approx(exact["share"], rel=1e-5)
    assert group[1] == pytest.approx(exact["ratio"], rel=1e-5)
    assert group[2] * 3 == pytest.approx(exact["area"], rel=1e-5)
    assert group[3] == pytest.approx(exact["grey"], rel=1e-5)
    alone = parts(STATISTICS, NAMES, masks, torch.full((3,), 36.0), spacing_mm=spacing, image=image).above[:, 4]
    assert group[4] == pytest.approx(float(alone.max()))


def test_images_of_other_sizes_count_with_their_pixels() -> None:
    share = STATISTICS[:1]
    masks = torch.zeros(2, 2, 1, 4)
    masks[0, 0] = 1.0
    seen = parts(share, NAMES, masks, torch.tensor([100.0, 300.0]))
    assert of_groups(share, torch.tensor([0, 0]), seen, 1).item() == pytest.approx(0.25)


def test_one_image_at_a_time_has_the_gradient_of_the_whole_group() -> None:
    masks, image = drawn(1)
    prob = (masks * 0.6 + 0.2).requires_grad_()
    spacing, pixels, of = torch.ones(3, 2), torch.tensor([36.0, 72.0, 18.0]), torch.tensor([0, 0, 0])

    def seen(prob: torch.Tensor, which: list[int]) -> Parts:
        return parts(STATISTICS, NAMES, prob[which], pixels[which], spacing_mm=spacing[which], image=image[which])

    everything = seen(prob, [0, 1, 2])
    whole = torch.autograd.grad(of_groups(STATISTICS, of, everything, 1).sum(), prob)[0]
    memory = Parts(*(part.detach() for part in everything))
    for which in ([0], [1, 2]):
        value = with_others(STATISTICS, of, memory, torch.tensor(which), seen(prob, which))
        own = torch.autograd.grad(value.sum(), prob)[0]
        assert torch.allclose(own[which], whole[which], atol=1e-6)
        assert torch.allclose(value, of_groups(STATISTICS, of, everything, 1).expand_as(value), rtol=1e-5)


def test_an_image_stands_for_its_group_until_others_are_seen_and_groups_do_not_mix() -> None:
    share = STATISTICS[:1]
    memory = Parts(torch.tensor([[math.nan], [math.nan], [50.0]]), torch.tensor([[math.nan], [math.nan], [100.0]]))
    own = Parts(torch.tensor([[20.0]]), torch.tensor([[100.0]]))
    of = torch.tensor([0, 0, 1])
    assert with_others(share, of, memory, torch.tensor([0]), own).item() == pytest.approx(0.2)
    assert with_others(share, torch.tensor([-1, -1, 1]), memory, torch.tensor([0]), own).isnan().all()
    assert of_groups(share, of, memory, 2).isnan().tolist() == [[True], [False]]
