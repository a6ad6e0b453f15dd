"""What every network promises, so that training, prediction and export know no network by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from tallymark.errors import ConfigError, GeometryError
from tallymark.models.normalise import Normalise
from tallymark.models.options import at_least


class Output(NamedTuple):
    """What a network returns for a batch of images.

    Attributes:
        logit: one logit per structure and pixel; structures are independent sigmoids and may overlap.
        reconstruction: the auxiliary head's picture of the input, with as many channels as the input has; on the scale
            of the input ([0, 1]) but not clipped to it.
        branches: the logits of each decoder where the network has several; ``logit`` is then :func:`mean_of_branches`.
    """

    logit: Float[Tensor, "b k *space"]
    reconstruction: Float[Tensor, "b c *space"]
    branches: Float[Tensor, "n b k *space"] | None = None


def mean_of_branches(branches: Float[Tensor, "n b k *space"]) -> Float[Tensor, "b k *space"]:
    """Logit of the mean probability of several branches, finite for all finite logits.

    Example:
        >>> import torch
        >>> one_doubts = torch.tensor([0.0, 100.0]).reshape(2, 1, 1, 1)  # probabilities 1/2 and 1
        >>> round(mean_of_branches(one_doubts).sigmoid().item(), 4)
        0.75
    """
    inside, outside = (functional.logsigmoid(side * branches).logsumexp(dim=0) for side in (1, -1))
    return inside - outside


class Provenance(NamedTuple):
    """Where the first weights of a network came from, so that a run can record it.

    Attributes:
        source: ``"random"``, the name of the published weights, or the path of the file.
        sha256: of the file; empty for random weights.
    """

    source: str
    sha256: str = ""


class Network(nn.Module, ABC):
    """A network that any recipe can train.

    Promises, tested by one contract suite: the output has the spatial size of the input whatever that size is; values
    and gradients are finite; ``eval`` is deterministic and independent of the other images in the batch; a
    ``state_dict`` saved and loaded gives the same output; images in [0, 1] are normalised inside.

    Args:
        image_channels: channels of the image, at least 1.
        structures: structures to segment, at least 1.
        dimension: 2 for images, 3 for volumes.

    Attributes:
        normalise: what ``forward`` applies to the image first.
        provenance: where the first weights came from.

    Raises:
        ConfigError: one of the three is out of range.
    """

    def __init__(self, *, image_channels: int, structures: int, dimension: int) -> None:
        super().__init__()
        self.image_channels = at_least(1, "image_channels", image_channels)
        self.structures = at_least(1, "structures", structures)
        if dimension not in (2, 3):
            raise ConfigError("no such dimension", where="dimension", found=repr(dimension), expected="2 or 3")
        self.dimension = dimension
        self.normalise = Normalise(image_channels, dimension)
        self.provenance = Provenance("random")

    @abstractmethod
    def forward(self, image: Float[Tensor, "b c *space"]) -> Output:
        """Logits and reconstruction for images in [0, 1].

        Raises:
            GeometryError: the image has other channels or another dimension than the network was built for.
        """

    def backbone(self) -> nn.Module | None:
        """The part that the weights of torchvision's ResNet-50 fit; None where there is none."""
        return None

    def check(self, image: Tensor) -> None:
        """Refuse an image that the network was not built for, before a convolution does so in its own words."""
        if image.ndim != self.dimension + 2 or image.shape[1] != self.image_channels or 0 in image.shape:
            space = "plane, row, column" if self.dimension == 3 else "row, column"
            raise GeometryError(
                "the image does not fit the network",
                found=f"shape {tuple(image.shape)}",
                expected=f"(batch, {self.image_channels}, {space}), none of them 0",
                remedy="build the network with the channels and the dimension of the images",
            )
