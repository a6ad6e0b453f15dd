"""Losses: hand-counted values, independent references, and numerics at every extreme."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tallymark import core
from tallymark.core import losses
from tallymark.errors import ConfigError, GeometryError

NAN = math.nan


def column(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


# --- the number -------------------------------------------------------------------------------------------------------


def slow_statistic_loss(value: np.ndarray, target: np.ndarray, low: np.ndarray, high: np.ndarray, level: str) -> float:
    """The definition, number by number."""
    ends: dict[tuple[int, int], tuple[float, float]] = {}
    for place in np.ndindex(*value.shape):
        a, b = low[place], high[place]
        if not (np.isnan(a) and np.isnan(b)):
            ends[place] = (-np.inf if np.isnan(a) else a, np.inf if np.isnan(b) else b)
        elif not np.isnan(target[place]):
            ends[place] = (target[place], target[place])

    def distance(v: float, a: float, b: float) -> float:
        return a - v if v < a else v - b if v > b else 0.0

    if level == "image":
        found = [distance(value[place], *ends[place]) for place in ends]
    else:
        found = []
        for s in range(value.shape[1]):
            rows = [place for place in ends if place[1] == s]
            if rows:
                mean = np.mean([value[place] for place in rows])
                found.append(distance(mean, np.mean([ends[p][0] for p in rows]), np.mean([ends[p][1] for p in rows])))
    return float(np.mean(found)) if found else 0.0


maybe = st.one_of(st.just(NAN), st.floats(0, 1))


@pytest.mark.parametrize("level", ["image", "batch"])
@given(st.lists(st.tuples(st.floats(0, 1), maybe, maybe, maybe), min_size=6, max_size=6))
def test_statistic_loss_is_its_definition(level: losses.Level, rows: list[tuple[float, ...]]) -> None:
    table = np.array(rows).reshape(3, 2, 4)
    value, target, low, high = np.moveaxis(table, -1, 0)
    low, high = np.fmin(low, np.where(np.isnan(low), NAN, high)), np.where(np.isnan(low), high, np.fmax(low, high))
    high = np.where(np.isnan(table[..., 3]), NAN, high)
    tensor = torch.tensor(value, requires_grad=True)
    loss = losses.statistic_loss(tensor, *(torch.tensor(x) for x in (target, low, high)), level=level)
    assert loss.item() == pytest.approx(slow_statistic_loss(value, target, low, high, level), abs=1e-12)
    loss.backward()
    assert tensor.grad is not None
    assert tensor.grad.isfinite().all()


def test_statistic_loss_pulls_with_one_over_the_count() -> None:
    value = column(0.5, 0.2, 0.9, 0.4).requires_grad_()
    losses.statistic_loss(value, column(0.2, 0.3, NAN, 0.4)).backward()
    assert value.grad is not None
    assert value.grad.flatten().tolist() == pytest.approx([1 / 3, -1 / 3, 0, 0])


def test_statistic_loss_has_no_pull_at_the_ends_of_an_interval() -> None:
    value = column(0.25, 0.5).requires_grad_()
    losses.statistic_loss(value, column(0.9, 0.9), column(0.25, 0.25), column(0.5, 0.5)).backward()
    assert value.grad is not None
    assert value.grad.tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("level", ["image", "batch"])
def test_statistic_loss_knows_nothing(level: losses.Level) -> None:
    # A value may itself be unknown (an area without a spacing) where no number was kept.
    value = column(0.5, NAN).requires_grad_()
    loss = losses.statistic_loss(value, column(NAN, NAN), level=level)
    loss.backward()
    assert loss.item() == 0
    assert value.grad is not None
    assert value.grad.tolist() == [[0.0], [0.0]]


def test_a_batch_meets_its_mean_where_its_images_do_not() -> None:
    value, target = column(0.1, 0.5), column(0.5, 0.1)
    assert losses.statistic_loss(value, target, level="batch").item() == pytest.approx(0)
    assert losses.statistic_loss(value, target).item() == pytest.approx(0.4)


def test_statistic_loss_without_statistics_is_zero() -> None:
    assert losses.statistic_loss(torch.zeros(2, 0), torch.zeros(2, 0)).item() == 0


@pytest.mark.usefixtures("as_installed")
def test_statistic_loss_refuses_to_broadcast() -> None:
    with pytest.raises(GeometryError, match=r"value and low differ in shape; found \(3, 1\) and \(1, 1\)"):
        losses.statistic_loss(column(1, 2, 3), column(1, 2, 3), column(1))


@pytest.mark.usefixtures("as_installed")
def test_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="'mean'; expected 'image' or 'batch'"):
        losses.statistic_loss(column(1), column(1), level="mean")  # type: ignore[arg-type]
    for loss in (losses.weak_loss, losses.exclusion_loss):
        with pytest.raises(ConfigError, match="'mean'; expected 'all' or 'marked'"):
            loss(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), "mean")  # type: ignore[arg-type]


# --- the marks --------------------------------------------------------------------------------------------------------


def literal_weak_loss(p: float, w: float) -> float:
    """The paper's formula with 0 log 0 = 0."""
    first = w * math.log(w * p) if w > 0 else 0.0
    second = (1 - w) * math.log(1 - w * p) if w < 1 else 0.0
    return -(first + second)


@given(st.floats(-30, 30), st.floats(0, 1, width=32))
def test_weak_loss_is_the_papers_formula(z: float, w: float) -> None:
    logit, marks = (torch.full((1, 1, 1, 1), x, dtype=torch.float64) for x in (z, w))
    expected = literal_weak_loss(1 / (1 + math.exp(-z)), marks.item())
    assert losses.weak_loss(logit, marks).item() == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_weak_loss_says_nothing_off_the_marks() -> None:
    logit = torch.linspace(-100, 100, 8).reshape(1, 1, 2, 4).requires_grad_()
    marks = torch.zeros(1, 1, 2, 4)
    marks[0, 0, 0, 1] = 1
    losses.weak_loss(logit, marks).backward()
    assert logit.grad is not None
    pulled = logit.grad.flatten()
    assert pulled[1].item() == pytest.approx(-1 / 8)  # -(1 - p) / pixels
    assert (pulled[torch.arange(8) != 1] == 0).all()


def test_weak_loss_takes_masks_and_numbers_alike() -> None:
    logit, marks = torch.randn(2, 3, 4, 5), torch.rand(2, 3, 4, 5) > 0.7
    assert losses.weak_loss(logit, marks, "marked") == losses.weak_loss(logit, marks.float(), "marked")


def test_marked_reduction_weighs_every_marked_structure_the_same() -> None:
    logit = torch.zeros(2, 2, 1, 4)
    logit[0, 1] = 100.0  # -log p = 0
    marks = torch.zeros(2, 2, 1, 4)
    marks[0, 0, 0, :3] = 1  # three pixels at log 2
    marks[0, 1, 0, :1] = 1  # one pixel at 0; image 1 has no marks
    assert losses.weak_loss(logit, marks, "marked").item() == pytest.approx(math.log(2) / 2)
    assert losses.weak_loss(logit, marks).item() == pytest.approx(3 * math.log(2) / 16)


def test_alone_the_weak_loss_is_degenerate() -> None:
    logit = torch.full((1, 1, 4, 4), 100.0)
    marks = torch.rand(1, 1, 4, 4) > 0.5
    assert losses.weak_loss(logit, marks).item() == pytest.approx(0, abs=1e-30)
    assert losses.confidence_loss(logit.sigmoid()).item() == 0


def test_exclusion_mirrors_the_weak_loss() -> None:
    logit, marks = torch.randn(2, 3, 4, 4), torch.rand(2, 3, 4, 4) > 0.6
    for reduction in ("all", "marked"):
        mirrored = losses.weak_loss(-logit, marks, reduction)
        assert losses.exclusion_loss(logit, marks, reduction).item() == pytest.approx(mirrored.item())


def test_one_excluded_channel_holds_for_every_structure() -> None:
    logit, excluded = torch.randn(2, 3, 4, 4), torch.rand(2, 1, 4, 4) > 0.6
    each = losses.exclusion_loss(logit, excluded.expand(2, 3, 4, 4))
    assert losses.exclusion_loss(logit, excluded) == each


# --- full masks, confidence, reconstruction ---------------------------------------------------------------------------


def test_confidence_of_a_constant_mask_is_its_variance() -> None:
    assert losses.confidence_loss(torch.full((2, 1, 3, 3), 0.1)).item() == pytest.approx(0.09)
    assert losses.confidence_loss(torch.tensor([[[0.0, 1.0]]])).item() == 0


@pytest.mark.usefixtures("as_installed")
def test_channels_that_would_broadcast_are_refused() -> None:
    one, three = torch.zeros(2, 1, 4, 4), torch.zeros(2, 3, 4, 4)
    for loss in (losses.reconstruction_loss, losses.weak_loss, losses.cross_entropy_loss, losses.dice_loss):
        with pytest.raises(GeometryError, match="differ in shape"):
            loss(one, three)
    for excluded in (torch.zeros(2, 2, 4, 4), torch.zeros(1, 1, 4, 4)):
        with pytest.raises(GeometryError, match="logit and excluded"):
            losses.exclusion_loss(three, excluded)
    with pytest.raises(GeometryError, match="valid"):
        losses.confidence_loss(three, torch.ones(2, 1, 1, 4, dtype=torch.bool))


@pytest.mark.parametrize(
    ("truth", "prob", "expected"),
    [
        ([0, 0, 0], [0, 0, 0], 0.0),
        ([0, 0, 0], [1, 1, 1], 0.75),
        ([1, 1, 1], [0, 0, 0], 0.75),
        ([1, 1, 0], [1, 1, 0], 0.0),
    ],
)
def test_dice_of_empty_and_perfect_masks(truth: list[int], prob: list[float], expected: float) -> None:
    loss = losses.dice_loss(torch.tensor([[prob]], dtype=torch.float32), torch.tensor([[truth]]) > 0)
    assert loss.item() == pytest.approx(expected)


def test_dice_loss_is_the_mean_over_images_and_structures() -> None:
    prob, truth = torch.rand(2, 3, 5, 5, dtype=torch.float64), torch.rand(2, 3, 5, 5) > 0.5
    found = []
    for b in range(2):
        for k in range(3):
            p, m = prob[b, k].numpy(), truth[b, k].numpy()
            found.append(1 - (2 * (p * m).sum() + 2) / (p.sum() + m.sum() + 2))
    assert losses.dice_loss(prob, truth, smoothing=2.0).item() == pytest.approx(np.mean(found))


def test_dice_loss_needs_smoothing() -> None:
    with pytest.raises(ConfigError, match="smoothing"):
        losses.dice_loss(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), smoothing=0.0)


# --- what all pixel losses share --------------------------------------------------------------------------------------

PixelLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
PIXEL_LOSSES: dict[str, PixelLoss] = {
    "weak all": lambda z, m, v: losses.weak_loss(z, m, "all", v),
    "weak marked": lambda z, m, v: losses.weak_loss(z, m, "marked", v),
    "exclusion all": lambda z, m, v: losses.exclusion_loss(z, m, "all", v),
    "exclusion marked": lambda z, m, v: losses.exclusion_loss(z, m, "marked", v),
    "confidence": lambda z, m, v: losses.confidence_loss(z.sigmoid(), v),
    "reconstruction": lambda z, m, v: losses.reconstruction_loss(z.sigmoid(), m, v),
    "cross entropy": lambda z, m, v: losses.cross_entropy_loss(z, m, v),
    "dice": lambda z, m, v: losses.dice_loss(z.sigmoid(), m, v),
}
every_pixel_loss = pytest.mark.parametrize("loss", PIXEL_LOSSES.values(), ids=PIXEL_LOSSES.keys())


@every_pixel_loss
@pytest.mark.parametrize("space", [(4, 5), (3, 4, 5)])
def test_only_valid_pixels_count(loss: PixelLoss, space: tuple[int, ...]) -> None:
    """A border that does not show the image changes nothing: the loss is that of the image without it."""
    generator = torch.Generator().manual_seed(1)
    logit = torch.randn(2, 3, *space, generator=generator)
    marks = (torch.rand(2, 3, *space, generator=generator) > 0.5).float()
    valid = torch.ones(2, 1, *space, dtype=torch.bool)
    valid[..., -2:] = False
    changed = torch.where(valid, logit, 50.0).requires_grad_()
    inside = loss(logit[..., :-2], marks[..., :-2], None)
    found = loss(changed, torch.where(valid, marks, 1.0), valid)
    assert found.item() == pytest.approx(inside.item(), rel=1e-5)
    found.backward()
    assert changed.grad is not None
    assert (changed.grad[..., -2:] == 0).all()
    assert (changed.grad[..., :-2] != 0).any()


@every_pixel_loss
def test_no_valid_pixel_costs_nothing(loss: PixelLoss) -> None:
    logit = torch.randn(1, 1, 2, 2, requires_grad=True)
    found = loss(logit, torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.bool))
    found.backward()
    assert found.item() == 0
    assert logit.grad is not None
    assert (logit.grad == 0).all()


@every_pixel_loss
def test_gradients_are_those_of_finite_differences(loss: PixelLoss) -> None:
    generator = torch.Generator().manual_seed(2)
    logit = torch.randn(2, 2, 3, 3, dtype=torch.float64, generator=generator).requires_grad_()
    marks = torch.rand(2, 2, 3, 3, dtype=torch.float64, generator=generator)
    valid = torch.rand(2, 1, 3, 3, generator=generator) > 0.2
    assert torch.autograd.gradcheck(lambda z: loss(z, marks, valid), logit)


def test_gradient_of_the_statistic_loss() -> None:
    value = torch.rand(4, 2, dtype=torch.float64, requires_grad=True)
    low = torch.full((4, 2), 0.45, dtype=torch.float64)
    for level in ("image", "batch"):
        assert torch.autograd.gradcheck(
            lambda v, level=level: losses.statistic_loss(v, torch.full_like(low, NAN), low, low + 0.1, level=level),
            value,
        )


EXTREMES = torch.tensor([-100.0, -20.0, -1.0, 0.0, 1.0, 20.0, 88.0, 100.0]).reshape(1, 1, 2, 4)


@every_pixel_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("mark", [0.0, 1e-4, 0.5, 0.999, 1.0])
def test_extremes_stay_finite(loss: PixelLoss, dtype: torch.dtype, mark: float) -> None:
    logit = EXTREMES.to(dtype, copy=True).requires_grad_()
    found = loss(logit, torch.full_like(EXTREMES, mark).to(dtype), None)
    found.backward()
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert found.isfinite()
    assert logit.grad is not None
    assert logit.grad.isfinite().all()


@every_pixel_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_the_input_only(loss: PixelLoss, dtype: torch.dtype) -> None:
    """Under autocast a network hands over half precision; from there on the loss is that of the rounded logits."""
    generator = torch.Generator().manual_seed(3)
    image, kernel = torch.randn(2, 1, 8, 8, generator=generator), torch.randn(2, 1, 3, 3, generator=generator)
    kernel.requires_grad_()
    marks = (torch.rand(2, 2, 8, 8, generator=generator) > 0.5).float()
    with torch.autocast("cpu", dtype=dtype):
        logit = torch.nn.functional.conv2d(image, kernel, padding=1)
        assert logit.dtype == dtype
        found = loss(logit, marks, None)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(loss(logit.detach().float(), marks, None).item(), rel=1e-2)
    found.backward()
    assert kernel.grad is not None
    assert kernel.grad.isfinite().all()


def test_a_mean_over_a_large_image_survives_half_precision() -> None:
    # 2^18 pixels: a sum in float16 would be infinite, one in bfloat16 would stall at 256.
    for dtype in (torch.float16, torch.bfloat16):
        logit = torch.zeros(1, 1, 512, 512, dtype=dtype)
        assert losses.weak_loss(logit, torch.ones_like(logit)).item() == pytest.approx(math.log(2), rel=1e-5)
        assert losses.dice_loss(logit.sigmoid(), torch.ones_like(logit)).item() == pytest.approx(1 / 3, rel=1e-4)


def test_numbers_zero_and_one_at_saturated_masks() -> None:
    for logit_value, number in ((-100.0, 1.0), (100.0, 0.0), (-100.0, 0.0), (100.0, 1.0)):
        logit = torch.full((1, 1, 4, 4), logit_value, requires_grad=True)
        loss = losses.statistic_loss(core.area_fraction(logit.sigmoid()), torch.tensor([[number]]))
        loss.backward()
        assert loss.item() == pytest.approx(abs((logit_value > 0) - number))
        assert logit.grad is not None
        assert logit.grad.isfinite().all()


def test_modules_are_their_functions() -> None:
    generator = torch.Generator().manual_seed(4)
    logit, truth = torch.randn(2, 2, 4, 4, generator=generator), torch.rand(2, 2, 4, 4, generator=generator) > 0.5
    valid = torch.rand(2, 1, 4, 4, generator=generator) > 0.3
    prob, number = logit.sigmoid(), torch.rand(2, 2, generator=generator)
    pairs = [
        (core.StatisticLoss("batch")(number, number / 2), losses.statistic_loss(number, number / 2, level="batch")),
        (core.WeakLoss("marked")(logit, truth, valid), losses.weak_loss(logit, truth, "marked", valid)),
        (core.ExclusionLoss("marked")(logit, truth, valid), losses.exclusion_loss(logit, truth, "marked", valid)),
        (core.ConfidenceLoss()(prob, valid), losses.confidence_loss(prob, valid)),
        (core.ReconstructionLoss()(prob, logit, valid), losses.reconstruction_loss(prob, logit, valid)),
        (core.CrossEntropyLoss()(logit, truth, valid), losses.cross_entropy_loss(logit, truth, valid)),
        (core.DiceLoss(3.0)(prob, truth, valid), losses.dice_loss(prob, truth, valid, 3.0)),
    ]
    for from_module, from_function in pairs:
        assert from_module == from_function
