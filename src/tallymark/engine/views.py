"""What a network sees of one image: the image itself, and its mirror images."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from tallymark.data.images import Image, normalise
from tallymark.data.resize import resize_image
from tallymark.engine.augment import AXES, view_length
from tallymark.engine.model_file import Model
from tallymark.models.interface import Network

BEYOND = -20.0
"""Logits of what a network was not shown: farther from any structure than it can tell."""


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
    return torch.stack([middle_logits(model.network, image.flip(flip), crop).flip(flip) for flip in flips])


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
    margins: list[int] = []
    seen = image
    for axis, length in enumerate(image.shape[2:], start=2):
        side = view_length(length, crop)
        before = (length - side) // 2
        seen = seen.narrow(axis, before, side)
        margins = [before, length - side - before, *margins]  # pad counts axes from the last to the first
    return functional.pad(network(seen).logit.float(), margins, value=BEYOND)
