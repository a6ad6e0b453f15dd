"""The first weights of a network: random, ImageNet's, or those of a local file.

The one place in the models that may use a network, and that only when asked to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

import torch
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights

from tallymark.errors import CheckpointError, ConfigError, ReadError
from tallymark.models.interface import Network, Provenance

State = dict[str, Tensor]

# V1, as torchvision's own DeepLabV3 was trained from.
IMAGENET = ResNet50_Weights.IMAGENET1K_V1


def load_weights(network: Network, weights: str | Path) -> Provenance:
    """Put the first weights into ``network``, in place, and record on it where they came from.

    Args:
        network: of :func:`~tallymark.models.registry.build`, with random weights.
        weights: ``"random"`` keeps what is there. ``"imagenet"`` gives torchvision's ResNet-50 weights to the backbone;
            they are fetched once into torch's cache. Anything else is a local file saved by ``torch.save``: the
            state of a torchvision ResNet-50 (``conv1.weight``, ..., with or without its classifier ``fc``), which goes
            to the backbone, or the full state of the same network.

    Returns:
        What ``network.provenance`` holds from now on.

    Raises:
        ConfigError: no such file; ImageNet weights for a network without a backbone, or no network to fetch them.
        ReadError: the file may not be read.
        CheckpointError: the file is damaged, holds something else, or its names or shapes do not fit.

    Backbone weights expect images normalised as ImageNet's were, so the network's normalisation changes with them; a
    full state brings its own. A first convolution made for three colours is adapted by :func:`adapt_first`.
    """
    if weights == "random":
        network.provenance = Provenance("random")
        return network.provenance
    if weights == "imagenet":
        if network.backbone() is None:
            raise ConfigError(
                "there are no ImageNet weights for this network",
                where="weights",
                found="imagenet",
                expected="random or a file with its own state",
                remedy="choose deeplabv3_resnet50, or weights = random",
            )
        source, path = str(IMAGENET), _fetch_imagenet()
    else:
        source, path = str(weights), Path(weights)
    state = _read(path)
    backbone = network.backbone()
    if backbone is not None and "conv1.weight" in state:
        state = {name: value for name, value in state.items() if not name.startswith("fc.")}
        state["conv1.weight"] = adapt_first(state["conv1.weight"], network.image_channels)
        _fit(backbone, state, path)
        network.normalise.use_imagenet()
    else:
        _fit(network, state, path)
    with path.open("rb") as file:
        network.provenance = Provenance(source, hashlib.file_digest(file, "sha256").hexdigest())
    return network.provenance


def adapt_first(weight: Tensor, channels: int) -> Tensor:
    """A first convolution made for three colours, made to fit ``channels``.

    One channel takes the sum over the colours: a grey image then gives exactly what the colour network gives for three
    equal channels, which is how it saw grey pictures in training. Other numbers of channels repeat the colours in
    turn, scaled by ``3 / channels`` so that equal channels again give the same response up to the colours' own
    differences. A convolution that has the channels already stays as it is.

    Args:
        weight: (out, 3, row, column), or any that has ``channels`` already.
        channels: of the image.

    Returns:
        (out, channels, row, column); the input itself where neither rule applies, for the caller to refuse.

    Example:
        >>> colours = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
        >>> adapt_first(colours, 1).flatten().tolist()
        [6.0]
        >>> adapt_first(colours, 6).flatten().tolist()
        [0.5, 1.0, 1.5, 0.5, 1.0, 1.5]
    """
    if weight.ndim != 4 or weight.shape[1] != 3 or channels == 3:
        return weight
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    return weight[:, torch.arange(channels) % 3] * (3 / channels)


def _fetch_imagenet() -> Path:
    try:
        IMAGENET.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:  # no network, or a broken transfer
        raise ConfigError(
            "the ImageNet weights cannot be fetched",
            where="weights = imagenet",
            found=str(error),
            expected="a network connection, or the file in torch's cache",
            remedy="save torchvision's resnet50 state on a machine with a network and give the file: weights = FILE",
        ) from error
    return Path(torch.hub.get_dir(), "checkpoints", PurePosixPath(urlparse(IMAGENET.url).path).name)


def _read(path: Path) -> State:
    if not path.is_file():
        raise ConfigError(
            "no such weights", where="weights", found=str(path), expected="random, imagenet or the path of a file"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise ReadError("the weights may not be read", where=path, remedy="ask for permission to read it") from error
    except Exception as error:  # the unpickler raises whatever the damaged bytes lead it to
        raise CheckpointError(
            "the weights are damaged or hold more than tensors",
            where=path,
            found=str(error).partition("\n")[0] or type(error).__name__,
            expected="a file that torch.load(weights_only=True) accepts",
            remedy="save them again with torch.save(network.state_dict(), FILE)",
        ) from error
    flat = isinstance(state, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    if not flat or not state:
        found = f"a mapping with {_few(map(str, state))}" if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(
            "the weights are not a state",
            where=path,
            found=found,
            expected="names of parameters and their tensors",
            remedy="save the network's state alone: torch.save(network.state_dict(), FILE)",
        )
    return dict(state)


def _fit(module: nn.Module, state: State, path: Path) -> None:
    own = module.state_dict()
    # Files written before torch 0.4 lack these counters, and nothing here reads them.
    state |= {name: value for name, value in own.items() if name.endswith("num_batches_tracked") and name not in state}
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    shapes = [
        f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    if any(faults.values()):
        raise CheckpointError(
            "the weights are those of another network",
            where=path,
            found="; ".join(f"{len(names)} {fault}: {_few(names)}" for fault, names in faults.items() if names),
            remedy="build the network with the options of the file: name, image channels, structures, dimension, ...",
        )
    module.load_state_dict(state)


def _few(names: Iterable[str], limit: int = 3) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
