"""Soft statistics: equal to the exact ones on binary masks, differentiable everywhere, true in physical units."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from tallymark import core, measure
from tallymark.errors import ConfigError, GeometryError, StudyError
from tallymark.measure import Statistic

spaces = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)),
)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Masks (2 images, 3 structures, may be empty or full), an image, a spacing."""
    space = draw(spaces)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    masks = random.random((2, 3, *space)) < share
    spacing = tuple(draw(st.floats(0.1, 10)) for _ in space)
    return masks, random.random((2, 2, *space)), spacing


def soft(masks: np.ndarray, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(masks).to(dtype)


def same(one: float, exact: float) -> bool:
    """Equal where the exact one is defined; 0 where it is not."""
    return one == pytest.approx(0.0 if math.isnan(exact) else exact, rel=1e-9, abs=1e-6)


@given(scenes())
def test_soft_equals_exact_on_binary_masks(scene: tuple[np.ndarray, np.ndarray, tuple[float, ...]]) -> None:
    masks, image, spacing = scene
    prob, mm = soft(masks), torch.tensor([spacing] * 2, dtype=torch.float64)
    found_fraction, found_area = core.area_fraction(prob), core.area(prob, mm)
    found_ratio = core.area_ratio(prob, [0, 1], [0, 1, 2])
    found_intensity = core.mean_intensity(prob, torch.tensor(image))
    found_centre, found_axes = core.centroid(prob, mm), core.axis_lengths(prob, mm)
    for b in range(2):
        for k in range(3):
            mask = masks[b, k]
            assert same(found_fraction[b, k].item(), measure.area_fraction(mask))
            assert same(found_area[b, k].item(), measure.area(mask, spacing))
            assert same(found_intensity[b, k].item(), measure.mean_intensity(mask, np.moveaxis(image[b], 0, -1)))
            for axis, exact in enumerate(measure.centroid(mask, spacing)):
                assert same(found_centre[b, k, axis].item(), exact)
            for side, exact in enumerate(measure.axis_lengths(mask, spacing)):
                assert same(found_axes[b, k, side].item(), exact)
        assert same(found_ratio[b].item(), measure.area_ratio(masks[b, :2].any(0), masks[b].any(0)))


@given(scenes())
def test_float32_is_enough(scene: tuple[np.ndarray, np.ndarray, tuple[float, ...]]) -> None:
    masks, _, spacing = scene
    mm = torch.tensor([spacing] * 2, dtype=torch.float64)
    for function in (core.area, core.centroid, core.axis_lengths):
        single, double = function(soft(masks, torch.float32), mm.float()), function(soft(masks), mm)
        # An axis of length 0 is the root of a rounding error: a thousandth of the image is allowed.
        scale = max(edge * n for edge, n in zip(spacing, masks.shape[2:], strict=True))
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=2e-3 * scale)


def test_moments_keep_their_digits_far_from_the_origin() -> None:
    mask = np.zeros((1, 1, 2048, 2048), bool)
    mask[0, 0, 2000:2020, 2000:2010] = True
    found = core.axis_lengths(soft(mask, torch.float32), torch.ones(1, 2))[0, 0].tolist()
    assert found == pytest.approx(measure.axis_lengths(mask[0, 0], (1.0, 1.0)), rel=1e-5)


KINDS = [
    Statistic("share", "area_fraction", of=("a",), unit="percent"),
    Statistic("both", "area_fraction", of=("a", "b")),
    Statistic("ratio", "area_ratio", of=("a",), over=("a", "c")),
    Statistic("bright", "mean_intensity", of=("b", "c"), unit="intensity"),
    Statistic("long", "longest_axis", of=("a", "b"), unit="cm"),
    Statistic("short", "shortest_axis", of=("a",), unit="mm"),
]


@given(scenes())
def test_evaluate_equals_exact_evaluate(scene: tuple[np.ndarray, np.ndarray, tuple[float, ...]]) -> None:
    masks, image, spacing = scene
    size = Statistic("size", "area", of=("c", "a"), unit="cm2" if masks.ndim == 4 else "ml")
    found = core.evaluate(
        [*KINDS, size],
        ["a", "b", "c"],
        soft(masks),
        spacing_mm=torch.tensor([spacing] * 2, dtype=torch.float64),
        image=torch.tensor(image),
    )
    for b in range(2):
        exact = measure.evaluate(
            [*KINDS, size],
            dict(zip("abc", masks[b], strict=True)),
            spacing_mm=spacing,
            image=np.moveaxis(image[b], 0, -1),
        )
        for column, statistic in enumerate([*KINDS, size]):
            assert same(found[b, column].item(), exact[statistic.name] * statistic.scale), statistic.name


def test_evaluate_looks_at_valid_pixels_only() -> None:
    generator = torch.Generator().manual_seed(5)
    prob, image = torch.rand(2, 3, 6, 7, generator=generator), torch.rand(2, 1, 6, 7, generator=generator)
    valid = torch.ones(2, 1, 6, 7, dtype=torch.bool)
    valid[..., 5:] = False
    size = Statistic("size", "area", of=("c", "a"), unit="mm2")
    spacing = torch.tensor([[0.5, 2.0], [1.0, 3.0]])
    names = ["a", "b", "c"]
    inside = core.evaluate([*KINDS, size], names, prob[..., :5], spacing_mm=spacing, image=image[..., :5])
    changed = torch.where(valid, prob, 1.0)
    found = core.evaluate([*KINDS, size], names, changed, valid=valid, spacing_mm=spacing, image=image)
    torch.testing.assert_close(found, inside)


def test_an_area_survives_zooming() -> None:
    """A view at half the scale with a border shows the same lesion on a quarter of the pixels: the same mm2."""
    lesion = Statistic("lesion", "area", of=("lesion",), unit="cm2")
    full = torch.zeros(1, 1, 8, 8)
    full[..., 2:6, 2:4] = 1
    small, valid = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    small[..., 2:6, 2:6] = full[..., ::2, ::2]
    valid[..., 2:6, 2:6] = True
    spacing = torch.tensor([[0.5, 0.25]])
    extent = spacing.prod(dim=1) * 64
    as_taken = core.evaluate([lesion], ["lesion"], full, spacing_mm=spacing)
    zoomed = core.evaluate([lesion], ["lesion"], small, valid=valid, spacing_mm=spacing, extent_mm=extent)
    assert as_taken.item() == zoomed.item() == 1.0  # 8 pixels of 0.125 mm2


def test_no_statistics_make_no_columns() -> None:
    assert core.evaluate([], ["a"], torch.zeros(2, 1, 3, 3)).shape == (2, 0)


LESION = Statistic("lesion", "area", of=("lesion",), unit="mm2")


@pytest.mark.parametrize(
    ("statistic", "error", "says"),
    [
        (LESION, GeometryError, "statistic 'lesion': the physical size of a pixel is needed"),
        (Statistic("v", "area", of=("lesion",), unit="ml"), GeometryError, "another dimension"),
        (Statistic("l", "longest_axis", of=("lesion",), unit="mm"), GeometryError, "physical size"),
        (Statistic("i", "mean_intensity", of=("lesion",), unit="intensity"), ConfigError, "image is needed"),
        (Statistic("c", "area_fraction", of=("cyst",)), StudyError, "'cyst'; expected lesion"),
        (Statistic("r", "area_ratio", of=("lesion",), over=("cyst",)), StudyError, "'cyst'"),
    ],
)
def test_evaluate_guesses_nothing(statistic: Statistic, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        core.evaluate([statistic], ["lesion"], torch.zeros(1, 1, 2, 2))
    with pytest.raises(error, match=says):
        measure.evaluate([statistic], {"lesion": np.zeros((2, 2), bool)})


@pytest.mark.parametrize("spacing", [[[0.0, 1.0]], [[-1.0, 1.0]], [[1.0, 1.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]])
@pytest.mark.parametrize("name", ["area", "centroid", "axis_lengths"])
@pytest.mark.usefixtures("as_installed")
def test_a_wrong_spacing_is_refused(name: str, spacing: list[list[float]]) -> None:
    with pytest.raises(GeometryError, match="spacing_mm"):
        getattr(core, name)(torch.zeros(1, 1, 2, 2), torch.tensor(spacing))


@pytest.mark.parametrize("statistic", [LESION, Statistic("l", "longest_axis", of=("lesion",), unit="mm")])
@pytest.mark.parametrize("given_as", ["spacing_mm", "extent_mm"])
def test_an_unknown_size_passes_no_gradient(statistic: Statistic, given_as: str) -> None:
    prob = torch.rand(2, 1, 4, 4, requires_grad=True)
    sizes = {"spacing_mm": torch.tensor([[math.nan, math.nan], [1.0, 1.0]])}
    if given_as == "extent_mm":
        sizes["extent_mm"] = torch.tensor([math.nan, 16.0])
    value = core.evaluate([statistic], ["lesion"], prob, **sizes)
    assert value.isnan().tolist() == [[True], [False]]
    # Where nothing was recorded either, the image takes no part.
    core.losses.statistic_loss(value, torch.tensor([[math.nan], [0.0]])).backward()
    assert prob.grad is not None
    assert (prob.grad[0] == 0).all()
    assert (prob.grad[1] != 0).any()
    assert prob.grad.isfinite().all()


# --- gradients --------------------------------------------------------------------------------------------------------

DIFFERENTIABLE: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "area_fraction": lambda p, mm, x: core.area_fraction(p),
    "area": lambda p, mm, x: core.area(p, mm),
    "area_ratio": lambda p, mm, x: core.area_ratio(p, [0], [0, 1]),
    "mean_intensity": lambda p, mm, x: core.mean_intensity(p, x),
    "centroid": lambda p, mm, x: core.centroid(p, mm),
    "axis_lengths": lambda p, mm, x: core.axis_lengths(p, mm),
}
every_statistic = pytest.mark.parametrize("function", DIFFERENTIABLE.values(), ids=DIFFERENTIABLE.keys())


@every_statistic
@pytest.mark.parametrize("space", [(4, 5), (2, 3, 4)])
def test_gradients_are_those_of_finite_differences(
    function: Callable[[Tensor, Tensor, Tensor], Tensor], space: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(6)
    prob = torch.rand(2, 2, *space, dtype=torch.float64, generator=generator).requires_grad_()
    image = torch.rand(2, 3, *space, dtype=torch.float64, generator=generator)
    spacing = torch.tensor([[0.5, 1.5, 2.0][: len(space)], [1.0, 0.7, 0.9][: len(space)]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: function(p, spacing, image), prob)


def disc(n: int = 9) -> Tensor:
    row, column = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    return ((row - n // 2) ** 2 + (column - n // 2) ** 2 <= (n // 3) ** 2).float()


DEGENERATE = {
    "empty": torch.zeros(9, 9),
    "full": torch.ones(9, 9),
    "isotropic": disc(),
    "one pixel": torch.eye(9)[4][:, None] * torch.eye(9)[4],
    "a line": torch.eye(9)[4][:, None].expand(9, 9).contiguous(),
    "nearly empty": torch.full((9, 9), 1e-8),
    "uniform": torch.full((9, 9), 0.3),
}


@every_statistic
@pytest.mark.parametrize("mask", DEGENERATE.values(), ids=DEGENERATE.keys())
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_degenerate_masks_have_finite_gradients(
    function: Callable[[Tensor, Tensor, Tensor], Tensor], mask: Tensor, dtype: torch.dtype
) -> None:
    prob = mask.expand(1, 2, 9, 9).to(dtype).requires_grad_()
    value = function(prob, torch.tensor([[0.5, 0.5]]), torch.rand(1, 1, 9, 9))
    assert value.isfinite().all()
    value.sum().backward()
    assert prob.grad is not None
    assert prob.grad.isfinite().all()


@every_statistic
@pytest.mark.parametrize("logit_value", [-100.0, 100.0])
def test_saturated_logits_have_finite_gradients(
    function: Callable[[Tensor, Tensor, Tensor], Tensor], logit_value: float
) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        logit = torch.full((1, 2, 5, 5), logit_value, dtype=dtype, requires_grad=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            function(logit.sigmoid(), torch.ones(1, 2), torch.rand(1, 1, 5, 5)).sum().backward()
        assert logit.grad is not None
        assert logit.grad.isfinite().all()


def test_axes_grow_towards_their_gradient() -> None:
    """Pulling an isotropic disc longer makes it longer: the gradient at equal axes is one of the true slopes."""
    prob = (disc() * 0.8 + 0.1)[None, None].requires_grad_()
    before = core.axis_lengths(prob, torch.ones(1, 2))[0, 0, 0]
    before.backward()
    assert prob.grad is not None
    after = core.axis_lengths(prob.detach() + 0.01 * prob.grad.sign(), torch.ones(1, 2))[0, 0, 0]
    assert after > before


# --- hardening and unions ---------------------------------------------------------------------------------------------


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32))
def test_hardened_is_exactly_binary(p: float, threshold: float) -> None:
    prob = torch.full((1, 1, 1), p, requires_grad=True)
    found = core.harden(prob, threshold)
    assert found.item() == float(p > threshold)
    (3 * found).sum().backward()
    assert prob.grad is not None
    assert prob.grad.item() == 3


def test_hard_area_counts_pixels_and_still_learns() -> None:
    logit = torch.tensor([[[-1.0, 0.5, 2.0, 3.0]]], requires_grad=True)
    fraction = core.area_fraction(core.harden(logit.sigmoid()))
    assert fraction.item() == 0.75
    fraction.backward()
    p = logit.detach().sigmoid()
    assert logit.grad is not None
    torch.testing.assert_close(logit.grad, p * (1 - p) / 4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_union_is_independent_and_within_bounds(p: list[float]) -> None:
    assume(all(x == 0 or x > 1e-9 for x in p))
    found = core.union(torch.tensor(p, dtype=torch.float64)[None, :, None], range(len(p))).item()
    assert found == pytest.approx(1 - math.prod(1 - x for x in p), abs=1e-12)
    assert max(p) - 1e-12 <= found <= 1
