"""DeepLabV3 with a ResNet-50: the network of the founding paper."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.segmentation import deeplabv3_resnet50
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead

from tallymark.errors import ConfigError
from tallymark.models.interface import Network, Output, mean_of_branches
from tallymark.models.options import one_or_two


class DeepLabV3ResNet50(Network):
    """Torchvision's DeepLabV3-ResNet50 whose auxiliary head reconstructs the image.

    The auxiliary head is torchvision's (a fully convolutional head on the features of ``layer3``, stride 8) with image
    channels in the place of classes, without a final activation: with the reconstruction loss it is the autoencoder of
    the paper. No skip of the input reaches it. Both heads are upsampled bilinearly to the size of the input.

    Args:
        image_channels: channels of the image; the first convolution takes as many.
        structures: structures to segment.
        dimension: 2; there is no DeepLabV3 for volumes.
        branches: 1, or 2 for a second classifier, which learns from the backbone's features with half of their channels
            dropped; both predict, and the logit is that of their mean probability.

    Raises:
        ConfigError: ``dimension`` is not 2, or a size is out of range.

    Source: Kulkarni, Raff & Oates 2026, arXiv 2605.03059 (network and autoencoder); Chen et al. 2017, arXiv 1706.05587
        (DeepLabV3). The paper states neither input channels nor normalisation: ours are options and
        :class:`~tallymark.models.normalise.Normalise`.

    Example:
        >>> network = DeepLabV3ResNet50(image_channels=1, structures=2).eval()
        >>> output = network(torch.rand(1, 1, 33, 40))
        >>> tuple(output.logit.shape), tuple(output.reconstruction.shape)
        ((1, 2, 33, 40), (1, 1, 33, 40))
    """

    def __init__(self, *, image_channels: int, structures: int, dimension: int = 2, branches: int = 1) -> None:
        super().__init__(image_channels=image_channels, structures=structures, dimension=dimension)
        if dimension != 2:
            raise ConfigError(
                "deeplabv3_resnet50 works on images only",
                where="dimension",
                found=dimension,
                expected=2,
                remedy="choose unet for volumes, or work slice by slice",
            )
        # weights_backbone=None: torchvision would fetch ImageNet weights without being asked.
        body = deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True, num_classes=structures)
        body.aux_classifier = FCNHead(1024, image_channels)
        first = body.backbone["conv1"]
        if first.in_channels != image_channels:
            body.backbone["conv1"] = nn.Conv2d(image_channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
            # torchvision's own initialisation of a ResNet.
            nn.init.kaiming_normal_(body.backbone["conv1"].weight, mode="fan_out", nonlinearity="relu")
        # The layout that a GPU's half-precision convolutions want; a CPU is as fast in it as in the other.
        self.body = body.to(memory_format=torch.channels_last)
        self.branches = one_or_two("branches", branches)
        if self.branches == 2:
            self.second = DeepLabHead(2048, structures).to(memory_format=torch.channels_last)

    def backbone(self) -> nn.Module:
        """The ResNet-50, without its classifier."""
        return cast(nn.Module, self.body.backbone)

    def forward(self, image: Float[Tensor, "b c *space"]) -> Output:
        """Logits and reconstruction for images in [0, 1].

        Raises:
            GeometryError: the image does not fit the network.
            ConfigError: training on a batch of one image, which the batch normalisation behind the image pooling (one
                value per channel and image) cannot do.
        """
        self.check(image)
        if len(image) == 1 and self._pooling_counts_the_batch():
            raise ConfigError(
                "deeplabv3_resnet50 cannot train on a batch of one image: its image pooling normalises over the batch",
                where="batch size",
                found=1,
                expected="at least 2",
                remedy="raise the batch size and drop an incomplete last batch",
            )
        pixels = self.normalise(image).contiguous(memory_format=torch.channels_last)
        if self.branches == 1:
            heads = self.body(pixels)
            return Output(heads["out"], heads["aux"])
        features = self.body.backbone(pixels)
        dropped = functional.dropout2d(features["out"], 0.5, self.training)
        classes, second, picture = (
            functional.interpolate(head, size=image.shape[2:], mode="bilinear", align_corners=False)
            for head in (
                self.body.classifier(features["out"]),
                self.second(dropped),
                self.body.aux_classifier(features["aux"]),
            )
        )
        both = torch.stack([classes, second])
        return Output(mean_of_branches(both), picture, both)

    def _pooling_counts_the_batch(self) -> bool:
        # The module itself is asked, not self.training: whoever freezes it or makes it synchronous across devices
        # may train on one image.
        norm = self.body.classifier[0].convs[-1][2]
        return isinstance(norm, nn.BatchNorm2d) and norm.training
