"""What a network sees of one image: the image itself, and its mirror images."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tallymark.data.images import Image, normalise
from tallymark.data.resize import resize_image
from tallymark.engine.augment import AXES
from tallymark.engine.model_file import Model


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
    return torch.stack([model.network(image.flip(flip)).logit.float().flip(flip) for flip in flips])
