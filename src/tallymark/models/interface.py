"""What every network promises, so that training, prediction and export know no network by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


class Output(NamedTuple):
    """What a network returns for a batch of images.

    Attributes:
        logit: one logit per structure and pixel; structures are independent sigmoids and may overlap.
        reconstruction: the auxiliary head's picture of the input, with as many channels as the input has.
    """

    logit: Float[Tensor, "b k *space"]
    reconstruction: Float[Tensor, "b c *space"]


class Network(nn.Module, ABC):
    """A network that any recipe can train.

    Promises, tested by one contract suite: the output has the spatial size of the input whatever that size is; values
    and gradients are finite; ``eval`` is deterministic and independent of the other images in the batch; a
    ``state_dict`` saved and loaded gives the same output; images in [0, 1] are normalised inside.
    """

    dimension: int
    image_channels: int
    structures: int

    @abstractmethod
    def forward(self, image: Float[Tensor, "b c *space"]) -> Output:
        """Logits and reconstruction for images in [0, 1]."""
