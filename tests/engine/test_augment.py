"""Augmentation must keep the number true: the fraction over the valid pixels is that of the whole image."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tallymark.core import statistics
from tallymark.engine.augment import augment_geometry, augment_light
from tallymark.engine.batch import Batch
from tallymark.engine.config import AugmentConfig

LIGHT_OFF = {"brightness": 0.0, "contrast": 0.0, "gamma": 0.0, "noise": 0.0}


def make_batch(masks: torch.Tensor) -> Batch:
    count, _, *space = masks.shape
    image = masks[:, :1].float() * 0.8 + 0.1
    unknown = torch.full((count, 1), float("nan"))
    return Batch(
        image=image,
        valid=torch.ones(count, 1, *space, dtype=torch.bool),
        value=masks[:, :1].float().flatten(1).mean(1, keepdim=True),
        low=unknown,
        high=unknown,
        spacing_mm=torch.ones(count, len(space)),
        extent_mm=torch.full((count,), float(torch.tensor(space).prod())),
        marks=masks.clone(),
        excluded=torch.zeros(count, 1, *space, dtype=torch.bool),
        truth=masks.clone(),
    )


def discs(count: int, size: int = 96) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    generator = torch.Generator().manual_seed(1)
    centre = torch.rand(count, 2, generator=generator) * size
    radius = 8 + torch.rand(count, generator=generator) * 20
    distance = (rows - centre[:, 0, None, None]) ** 2 + (columns - centre[:, 1, None, None]) ** 2
    return (distance < radius[:, None, None] ** 2)[:, None]


@given(seed=st.integers(0, 10_000))
def test_the_fraction_stays_true_under_every_view(seed):
    batch = make_batch(discs(8))
    torch.manual_seed(seed)
    config = AugmentConfig(flip=("row", "column"), affine=1.0, rotation=30, shrink=0.7)
    view = augment_geometry(batch, config)
    fraction = statistics.area_fraction(view.truth.float(), valid=view.valid)
    # Discs cut by the border of the image are among them: nothing may leave the view.
    torch.testing.assert_close(fraction, batch.value, atol=0.006, rtol=0.02)


@given(seed=st.integers(0, 10_000))
def test_flips_only_move_pixels(seed):
    batch = make_batch(discs(4))
    torch.manual_seed(seed)
    view = augment_geometry(batch, AugmentConfig(flip=("row", "column")))
    assert torch.equal(view.truth.sum(dim=(1, 2, 3)), batch.truth.sum(dim=(1, 2, 3)))
    assert torch.equal(view.truth, view.marks)
    assert torch.equal(view.image > 0.5, view.truth)
    assert bool(view.valid.all())


def test_every_flip_occurs_and_cases_are_drawn_on_their_own():
    batch = make_batch(torch.eye(8, dtype=torch.bool).roll(2, dims=1)[None, None].repeat(64, 1, 1, 1))
    torch.manual_seed(0)
    view = augment_geometry(batch, AugmentConfig(flip=("row", "column")))
    assert len({case.numpy().tobytes() for case in view.truth}) == 4


def test_image_marks_and_mask_stay_together_in_a_warped_view():
    batch = make_batch(discs(16))
    torch.manual_seed(3)
    view = augment_geometry(batch, AugmentConfig(flip=(), affine=1.0, rotation=45, shrink=0.6))
    assert torch.equal(view.truth, view.marks)
    bright = view.image > 0.5
    both = (bright & view.truth).sum() / (bright | view.truth).sum()
    assert both > 0.97
    assert not bool(view.valid.all())
    assert not bool((view.truth & ~view.valid).any())


def test_a_share_of_zero_is_no_warp_and_three_axes_work():
    volume = torch.zeros(2, 1, 8, 12, 16, dtype=torch.bool)
    volume[:, :, 2:5, 3:9, 4:10] = True
    batch = make_batch(volume)
    torch.manual_seed(0)
    still = augment_geometry(batch, AugmentConfig(flip=()))
    assert torch.equal(still.truth, batch.truth)
    view = augment_geometry(batch, AugmentConfig(flip=("plane", "row", "column"), affine=1.0))
    fraction = statistics.area_fraction(view.truth.float(), valid=view.valid)
    torch.testing.assert_close(fraction, batch.value, atol=0.03, rtol=0)


def test_light_stays_in_range_differs_by_case_and_leaves_still_what_is_off():
    image = torch.rand(6, 3, 16, 16)
    torch.manual_seed(0)
    lit = augment_light(image, AugmentConfig(brightness=1, contrast=0.9, gamma=0.9, noise=1))
    assert lit.min() >= 0
    assert lit.max() <= 1
    assert len({float(case.mean()) for case in lit}) == 6
    torch.testing.assert_close(augment_light(image, AugmentConfig(**LIGHT_OFF)), image, atol=2e-6, rtol=0)


@pytest.mark.parametrize("image", [torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)])
def test_light_has_finite_gradients_at_black_and_white(image):
    image.requires_grad_()
    augment_light(image, AugmentConfig()).sum().backward()
    assert bool(image.grad.isfinite().all())


@given(seed=st.integers(0, 10_000))
def test_views_that_are_cut_out_show_a_part_around_the_middle_image_and_labels_alike(seed):
    masks = torch.zeros(6, 1, 96, 96, dtype=torch.bool)
    masks[:, :, 40:56, 40:56] = True
    torch.manual_seed(seed)
    view = augment_geometry(make_batch(masks), AugmentConfig(flip=(), crop=2 / 3, rotation=20))
    assert view.image.shape == (6, 1, 64, 64)
    # A pixel of the view is one of the image, give or take a fifth: 16 x 16 become 171 to 382 pixels, none cut off.
    area = view.truth.sum(dim=(1, 2, 3))
    assert ((area > 150) & (area < 410)).all()
    assert not view.truth[..., [0, -1]].any()
    inside = (view.image > 0.5) & view.valid
    assert ((inside != view.truth) & view.valid).sum() <= 6 * 60  # pixels of the edge are between the two
    assert not torch.equal(view.truth[0], view.truth[1])


def test_a_view_that_is_cut_out_of_a_volume_is_not_turned():
    masks = torch.zeros(2, 1, 12, 24, 24, dtype=torch.bool)
    masks[..., 5:7, 10:14, 10:14] = True
    torch.manual_seed(0)
    view = augment_geometry(make_batch(masks), AugmentConfig(flip=(), crop=0.5, rotation=90))
    assert view.image.shape == (2, 1, 6, 12, 12)
    for mask in view.truth[:, 0]:
        rows, columns = mask.any(dim=(0, 2)), mask.any(dim=(0, 1))
        assert mask.sum() == mask.any(dim=(1, 2)).sum() * rows.sum() * columns.sum()
