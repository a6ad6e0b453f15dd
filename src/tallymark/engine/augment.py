"""Augmentation that keeps the number true.

A crop changes the fraction that a structure covers, and with it the one thing that is known. So a view shows the whole
image: flipped, or turned, shrunk and shifted inside the frame. What lies outside the image in such a view is
marked in ``valid``, and statistics and losses look at valid pixels only. Light, contrast, gamma and noise change the
network's input but not the image that an intensity statistic is measured on.

Where labels were made on the whole image before, and no loss reads the number, a view may show a part of it
(``crop``). Close-ups are seen so: otherwise a network learns that the middle of the image is the structure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from tallymark.engine.batch import Batch
from tallymark.engine.config import AugmentConfig

# A view that is cut out shows a part by up to this factor (as a logarithm) smaller or larger than asked for ...
_ZOOM = 0.2
# ... and is shifted by up to this share of what it leaves out.
_SHIFT = 0.36
# Counted from the end, so that 2-D and 3-D tensors share them.
AXES = {"column": -1, "row": -2, "plane": -3}


def augment_geometry(batch: Batch, config: AugmentConfig) -> Batch:
    """Flip, and turn, shrink and shift, every case of a batch on its own, image, marks and masks alike.

    Draws from torch's global generator; the caller seeds it. Areas, fractions and their ratios stay true; lengths stay
    true under flips only, which is why the affine part is off unless asked for. In views that are cut out
    (``crop`` below 1) no number is true.

    Args:
        batch: the batch; not changed.
        config: which axes, how far.

    Returns:
        A batch of the same shape, or of the size of the views that are cut out; ``valid`` is False where a view shows
        no image.
    """
    for name in config.flip:
        axis = AXES[name]
        if -axis > batch.image.ndim - 2:
            continue
        batch = _flip(batch, torch.rand(len(batch.image), device=batch.image.device) < 0.5, axis)
    if config.crop < 1:
        return _cut_out(batch, config)
    if config.affine > 0:
        batch = _warp(batch, config)
    return batch


def augment_light(image: Float[Tensor, "b c *space"], config: AugmentConfig) -> Float[Tensor, "b c *space"]:
    """Change gamma, contrast and brightness of every image on its own and add noise; the result stays in [0, 1].

    Example:
        >>> still = AugmentConfig(brightness=0, contrast=0, gamma=0, noise=0)
        >>> augment_light(torch.full((1, 1, 2, 2), 0.5), still).unique().item()
        0.5
    """
    shape = (len(image), *(1,) * (image.ndim - 1))

    def draw(width: float) -> Tensor:
        return (torch.rand(shape, device=image.device) * 2 - 1) * width

    gamma = torch.exp(draw(math.log1p(config.gamma)))
    # The small floor keeps the gradient of the power finite; an image is data, but a caller may differentiate by it.
    image = image.clamp(min=1e-6).pow(gamma) if config.gamma > 0 else image
    mean = image.mean(dim=tuple(range(1, image.ndim)), keepdim=True)
    image = (image - mean) * (1 + draw(config.contrast)) + mean + draw(config.brightness)
    if config.noise > 0:
        image = image + torch.randn_like(image) * (torch.rand(shape, device=image.device) * config.noise)
    return image.clamp(0, 1)


def _flip(batch: Batch, chosen: Tensor, axis: int) -> Batch:
    def flip(pixels: Tensor) -> Tensor:
        which = chosen.view(-1, *(1,) * (pixels.ndim - 1))
        return torch.where(which, pixels.flip(axis), pixels)

    return _map_pixels(batch, flip, flip)


def _warp(batch: Batch, config: AugmentConfig) -> Batch:
    """Turn, shrink and shift a share of the views such that all four (eight) corners stay inside the frame."""
    count, dimension, device = (
        len(batch.image),
        batch.image.ndim - 2,
        batch.image.device,
    )
    chosen = (torch.rand(count, device=device) < config.affine).float()
    angle = (torch.rand(count, device=device) * 2 - 1) * math.radians(config.rotation) * chosen
    if dimension == 3:
        angle = angle * 0
    # The turned image fits into the frame when it is shrunk by this factor (coordinates run from -1 to 1 on each axis).
    fit = 1 / (angle.cos().abs() + angle.sin().abs())
    shrink = config.shrink + torch.rand(count, device=device) * (1 - config.shrink)
    scale = torch.lerp(torch.ones_like(fit), fit * shrink, chosen)
    slack = 1 - scale / fit
    shift = (torch.rand(count, dimension, device=device) * 2 - 1) * slack[:, None]
    return _sampled(batch, angle, scale, shift, batch.image.shape[2:])


def view_length(length: int, crop: float) -> int:
    """Pixels of a side of a view that is cut out of an image.

    Example:
        >>> view_length(96, 2 / 3)
        64
    """
    return max(1, round(length * crop))


def _cut_out(batch: Batch, config: AugmentConfig) -> Batch:
    """A part of each image around its middle: turned, enlarged or made smaller, and shifted."""
    count, dimension, device = len(batch.image), batch.image.ndim - 2, batch.image.device

    def draw(width: float, *shape: int) -> Tensor:
        return (torch.rand(count, *shape, device=device) * 2 - 1) * width

    angle = draw(math.radians(config.rotation)) if dimension == 2 else torch.zeros(count, device=device)
    scale = 1 / (config.crop * draw(_ZOOM).exp())
    shift = draw((1 - config.crop) * _SHIFT, dimension) * scale[:, None]
    size = [view_length(length, config.crop) for length in batch.image.shape[2:]]
    return _sampled(batch, angle, scale, shift, size)


def _sampled(batch: Batch, angle: Tensor, scale: Tensor, shift: Tensor, size: Sequence[int]) -> Batch:
    """Views of a batch: turned by ``angle``, ``scale`` times as large, and shifted (1 is half a view)."""
    count, dimension = shift.shape
    # affine_grid wants the map from the view back to the image: x = R^T (y - shift) / scale.
    matrix = torch.zeros(count, dimension, dimension + 1, device=shift.device)
    rotation = torch.eye(dimension, device=shift.device).repeat(count, 1, 1)
    if dimension == 2:
        rotation = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], dim=1).view(count, 2, 2)
    matrix[:, :, :dimension] = rotation / scale[:, None, None]
    matrix[:, :, dimension] = -(matrix[:, :, :dimension] @ shift[:, :, None])[:, :, 0]
    grid = functional.affine_grid(matrix, [*batch.image.shape[:2], *size], align_corners=False)

    def smooth(pixels: Tensor) -> Tensor:
        return functional.grid_sample(pixels, grid.to(pixels.dtype), mode="bilinear", align_corners=False)

    def nearest(pixels: Tensor) -> Tensor:
        return functional.grid_sample(pixels.float(), grid, mode="nearest", align_corners=False) > 0.5

    return _map_pixels(batch, smooth, nearest)


def _map_pixels(
    batch: Batch,
    smooth: Callable[[Tensor], Tensor],
    nearest: Callable[[Tensor], Tensor],
) -> Batch:
    return batch._replace(
        image=smooth(batch.image),
        valid=nearest(batch.valid),
        marks=None if batch.marks is None else nearest(batch.marks),
        excluded=None if batch.excluded is None else nearest(batch.excluded),
        truth=None if batch.truth is None else nearest(batch.truth),
        # The order of growth is true for the whole image only; labels are made of it before a view is.
        grown=None if batch.grown is None else smooth(batch.grown),
        certainty=None if batch.certainty is None else smooth(batch.certainty),
        order=None,
    )
