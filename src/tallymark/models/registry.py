"""Networks by name."""

from __future__ import annotations

import inspect
from pathlib import Path

from tallymark.errors import ConfigError
from tallymark.models.deeplab import DeepLabV3ResNet50
from tallymark.models.interface import Network
from tallymark.models.unet import UNet
from tallymark.models.weights import load_weights

# A network of one's own becomes known to every recipe by adding its class here.
NETWORKS: dict[str, type[Network]] = {"deeplabv3_resnet50": DeepLabV3ResNet50, "unet": UNet}


def build(
    name: str,
    *,
    image_channels: int,
    structures: int,
    dimension: int = 2,
    weights: str | Path = "random",
    **options: object,
) -> Network:
    """A network, ready to train.

    Args:
        name: a key of :data:`NETWORKS`.
        image_channels: channels of the images.
        structures: structures to segment.
        dimension: 2 for images, 3 for volumes.
        weights: ``"random"``, ``"imagenet"`` or a local file; see :func:`~tallymark.models.weights.load_weights`.
            Nothing is fetched unless ``"imagenet"`` is asked for.
        options: those of the network's class.

    Raises:
        ConfigError: unknown name or option, or a value out of range.
        ReadError: the file of weights may not be read.
        CheckpointError: it does not fit.

    Example:
        >>> network = build("unet", image_channels=1, structures=2, width=8)
        >>> type(network).__name__, network.provenance.source
        ('UNet', 'random')
    """
    if name not in NETWORKS:
        raise ConfigError("no such network", where="network", found=repr(name), expected=" or ".join(NETWORKS))
    known = [option for option in inspect.signature(NETWORKS[name]).parameters if option not in _COMMON]
    unknown = [option for option in options if option not in known]
    if unknown:
        expected = ", ".join(known) if known else "no options"
        raise ConfigError(f"unknown option of {name}", found=", ".join(unknown), expected=expected)
    network = NETWORKS[name](image_channels=image_channels, structures=structures, dimension=dimension, **options)
    load_weights(network, weights)
    return network


_COMMON = ("image_channels", "structures", "dimension")
