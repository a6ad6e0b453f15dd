"""What a network sees of one image: the image itself, and its mirror images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import EllipsisType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tallymark.data.images import Image, normalise
from tallymark.data.resize import resize_image
from tallymark.engine.augment import AXES, view_length
from tallymark.engine.model_file import Model
from tallymark.models.interface import Network

BEYOND = -20.0
"""Logits of what a network was not shown: farther from any structure than it can tell."""
# Views are moved by so much of what they leave out; in training by up to .36 of it.
_SHIFT = 0.25


def network_input(image: Image, model: Model) -> Float[np.ndarray, "c *space"]:
    """An image as a model sees it: in [0, 1] and at the network's size."""
    pixels = normalise(image, model.task.image_channels, model.task.window)
    return np.moveaxis(resize_image(pixels, model.config.data.size), -1, 0).astype(np.float32)


@torch.inference_mode()
def flipped_logits(model: Model, image: Float[Tensor, "b c *space"]) -> Float[Tensor, "v b k *space"]:
    """Logits of an image and of its mirror images, turned back: all combinations of the flips that the training saw
    (if the configuration says so).

    Args:
        model: with a network in evaluation mode.
        image: in [0, 1], at the network's size, on the network's device.
    """
    axes = [AXES[name] for name in model.config.augment.flip if -AXES[name] <= image.ndim - 2]
    if not model.config.predict.flips:
        axes = []
    flips = [flip for count in range(len(axes) + 1) for flip in itertools.combinations(axes, count)]
    crop = model.config.augment.crop
    return torch.stack([searched_logits(model.network, image.flip(flip), crop).flip(flip) for flip in flips])


def searched_logits(
    network: Network, image: Float[Tensor, "b c *space"], crop: float = 1.0
) -> Float[Tensor, "b k *space"]:
    """Logits of an image: seen whole or, by a network that learned from views cut out, in nine views and whole.

    What is looked for is where growth is, not quite in the middle. The views lie around the middle as in training; each
    counts more the nearer a pixel is to its own middle. The whole is seen besides, and counts as much as all of them:
    it holds what no view does, and is outlined worse.

    Args:
        network: in evaluation mode.
        image: in [0, 1].
        crop: share of each side that a view shows.

    Returns:
        Logits.

    Source: ours; docs/results/recover.md says what it is worth.

    Example:
        >>> from tallymark.models.unet import UNet
        >>> network = UNet(image_channels=1, structures=1, width=2, depth=1).eval()
        >>> searched_logits(network, torch.rand(1, 1, 12, 12), crop=2 / 3).shape
        torch.Size([1, 1, 12, 12])
    """
    whole: Tensor = network(image).logit.float()
    if crop == 1:
        return whole
    space = image.shape[2:]
    steps = [_SHIFT * (length - view_length(length, crop)) for length in space]
    total, weight = torch.zeros_like(whole), torch.zeros_like(whole)
    for place in itertools.product((-1, 0, 1), repeat=len(space)):
        offsets = [round(one * step) for one, step in zip(place, steps, strict=True)]
        inside = _inside(space, crop, offsets)
        seen = network(image[inside]).logit.float()
        nearness = _nearness(seen)
        total[inside] += nearness * seen
        weight[inside] += nearness
    return torch.where(weight > 0, (total / weight.clamp(min=1e-6) + whole) / 2, whole)


def middle_logits(
    network: Network, image: Float[Tensor, "b c *space"], crop: float = 1.0
) -> Float[Tensor, "b k *space"]:
    """Logits of an image, seen as in training: whole, or its middle where views were cut out.

    A network that learned from small views knows where in a view it is; what lies around one confuses it.

    Args:
        network: in evaluation mode.
        image: in [0, 1].
        crop: share of each side that a view shows.

    Returns:
        Logits; -20 outside of the middle.

    Example:
        >>> from tallymark.models.unet import UNet
        >>> network = UNet(image_channels=1, structures=1, width=2, depth=1).eval()
        >>> (middle_logits(network, torch.rand(1, 1, 8, 8), crop=0.5) == -20).sum().item()  # all but 4 x 4 of 8 x 8
        48
    """
    if crop == 1:
        logit: Tensor = network(image).logit.float()
        return logit
    space = image.shape[2:]
    inside = _inside(space, crop, [0] * len(space))
    seen = network(image[inside]).logit.float()
    logits = torch.full((*seen.shape[:2], *space), BEYOND, device=seen.device)
    logits[inside] = seen
    return logits


def _inside(space: Sequence[int], crop: float, offsets: Sequence[int]) -> tuple[slice | EllipsisType, ...]:
    """Where a view lies in an image, so many pixels from the middle."""
    slices = []
    for length, offset in zip(space, offsets, strict=True):
        side = view_length(length, crop)
        start = (length - side) // 2 + offset
        slices.append(slice(start, start + side))
    return (..., *slices)


def _nearness(view: Float[Tensor, "b k *space"]) -> Float[Tensor, " *space"]:
    """Weights of the pixels of a view: 1.1 in its middle, falling to .1 at its sides, along each axis."""
    weight = torch.ones(view.shape[2:], device=view.device)
    for axis, length in enumerate(view.shape[2:]):
        along = 1.1 - torch.linspace(-1, 1, length, device=view.device).abs()
        weight *= along.reshape(-1, *(1,) * (view.ndim - 3 - axis))
    return weight
