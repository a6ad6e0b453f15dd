"""Bring images in [0, 1] to about zero mean and unit deviation, inside the network."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Mean and deviation of the images that torchvision's ImageNet weights were trained on, for red, green and blue.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalise(nn.Module):
    """``(image - mean) / std``, with mean and std in the state, so that a saved network needs no other file.

    Args:
        channels: channels of the image.
        dimension: 2 or 3.

    Example:
        >>> normalise = Normalise(channels=1, dimension=2)  # mean 0.5, std 0.25
        >>> normalise(torch.tensor([[[[0.0, 0.5, 1.0]]]])).tolist()
        [[[[-2.0, 0.0, 2.0]]]]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, dimension: int) -> None:
        super().__init__()
        shape = (channels, *[1] * dimension)
        self.register_buffer("mean", torch.full(shape, 0.5))
        self.register_buffer("std", torch.full(shape, 0.25))

    def use_imagenet(self) -> None:
        """Take ImageNet's values: per channel for three channels, their average where the channels are not colours."""
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        if len(self.mean) != 3:
            mean, std = mean.mean(), std.mean()
        # In place: the buffers keep their device, and whoever holds them sees the change.
        self.mean.copy_(mean.reshape(-1, *[1] * (self.mean.ndim - 1)).expand_as(self.mean))
        self.std.copy_(std.reshape(-1, *[1] * (self.std.ndim - 1)).expand_as(self.std))

    def forward(self, image: Float[Tensor, "b c *space"]) -> Float[Tensor, "b c *space"]:
        """The image, normalised channel by channel."""
        return (image - self.mean) / self.std
