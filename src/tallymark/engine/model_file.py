"""The trained model as one file: weights, configuration and what it was asked for, and nothing that could run code."""

from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tallymark.data.atomic import write_bytes
from tallymark.engine.config import RunConfig
from tallymark.engine.config_reading import validate
from tallymark.engine.task import Task
from tallymark.errors import CheckpointError
from tallymark.measure.definition import Statistic
from tallymark.models.interface import Network
from tallymark.models.registry import build

FORMAT = 1


@dataclass(frozen=True)
class Model:
    """A trained network with what is needed to use it.

    Args:
        network: in evaluation mode.
        config: of the run that trained it.
        task: structures, statistics and the kind of image it expects.
    """

    network: Network
    config: RunConfig
    task: Task


def build_network(config: RunConfig, task: Task) -> Network:
    """The network that a configuration names, with its initial weights."""
    return build(
        config.model.name,
        image_channels=task.image_channels,
        structures=len(task.structures),
        dimension=task.dimension,
        weights=config.model.weights,
        **config.model.options,
    )


def save_model(model: Model, path: Path) -> None:
    """Write a model atomically.

    Raises:
        StorageError: it cannot be written; an older file at that place is still whole.
    """
    content = {
        "format": FORMAT,
        "config": model.config.model_dump_json(exclude_none=True),
        "task": json.dumps(dataclasses.asdict(model.task)),
        "state_dict": {name: tensor.detach().cpu() for name, tensor in model.network.state_dict().items()},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def load_model(path: Path, device: torch.device | str = "cpu") -> Model:
    """Read a model, with ``weights_only``: a file from elsewhere cannot run code here.

    Raises:
        CheckpointError: missing, damaged, not a tallymark model, of another version, or its weights do not fit.
    """
    content = _read(path)
    if content["format"] != FORMAT:
        raise CheckpointError(
            "written by another version of tallymark",
            where=path,
            found=f"model format {content['format']}",
            expected=f"model format {FORMAT}",
            remedy="use the version that trained it, or train again",
        )
    config = validate(json.loads(content["config"]), where=str(path))
    # The weights are in this file: no download and no other file, whatever the run started from.
    config = config.model_copy(update={"model": config.model.model_copy(update={"weights": "random"})})
    task = json.loads(content["task"])
    task["statistics"] = tuple(
        Statistic(**{**entry, "of": tuple(entry["of"]), "over": tuple(entry["over"])}) for entry in task["statistics"]
    )
    task["structures"] = tuple(task["structures"])
    task["window"] = None if task["window"] is None else tuple(task["window"])
    model = Model(build_network(config, Task(**task)), config, Task(**task))
    try:
        model.network.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise CheckpointError("the weights do not fit the network", where=path, found=str(error)) from error
    model.network.to(device).eval()
    return model


def read_tensors(path: Path) -> Any:
    """What ``torch.save`` wrote, with ``weights_only``: tensors and plain values, never code.

    Raises:
        CheckpointError: it cannot be read, or holds anything else.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        remedy = "train the run first, or finish it: 'tallymark train --resume'"
        raise CheckpointError("there is no trained model", where=path, remedy=remedy) from error
    except Exception as error:  # bytes at random make an unpickler raise almost anything
        found = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError("cannot be read as a model", where=path, found=found) from error


def _read(path: Path) -> dict[str, Any]:
    content = read_tensors(path)
    wanted = {"format", "config", "task", "state_dict"}
    if not isinstance(content, dict) or "format" not in content:
        raise CheckpointError("not a tallymark model", where=path, expected="a model.pt that 'tallymark train' wrote")
    if content["format"] == FORMAT and not wanted <= set(content):
        missing = ", ".join(sorted(wanted - set(content)))
        raise CheckpointError("incomplete model", where=path, found=f"no {missing}")
    return content
