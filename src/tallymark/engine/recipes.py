"""Recipes (what is learned from) and profiles (how large): named layers of settings, nothing more.

A recipe switches losses on; a profile chooses the network, the size and the schedule. Every recipe runs under every
profile with the same network, schedule and augmentation, which is what makes their figures comparable.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tallymark.engine.config import (
    RunConfig,
    merge,
    parse_settings,
    read_toml,
    validate,
)
from tallymark.errors import ConfigError

RECIPES: dict[str, dict[str, Any]] = {
    # Kulkarni, Raff & Oates 2026, arXiv 2605.03059: L_s + L_ws + L_c + L_r. The weights are not stated: 1, 1, 1, 1.
    "paper": {
        "losses": {
            "statistic": {"weight": 1.0},
            "weak": {"weight": 1.0, "reduction": "all"},
            "confidence": {"weight": 1.0},
            "reconstruction": {"weight": 1.0},
        }
    },
    # The upper bound: full masks. Whether the paper's supervised row keeps L_r and L_c is not stated; ours does not.
    "full": {"losses": {"cross_entropy": {"weight": 1.0}, "dice": {"weight": 1.0}}},
}

PROFILES: dict[str, dict[str, Any]] = {
    # Minutes on a CPU.
    "small": {
        "data": {"size": [96, 96]},
        "model": {"name": "unet"},
        "optim": {"epochs": 40, "batch_size": 16, "learning_rate": 2e-3},
    },
    # The paper's network; one GPU.
    "paper": {
        "data": {"size": [256, 256]},
        "model": {"name": "deeplabv3_resnet50"},
        "optim": {"epochs": 100, "batch_size": 16, "learning_rate": 3e-4},
        "runtime": {"checkpoint_every": 5},
    },
}


def resolve(
    recipe: str,
    profile: str,
    *,
    seed: int = 0,
    marks: str | None = None,
    numbers: str | None = None,
    file: Path | None = None,
    settings: Sequence[str] = (),
) -> RunConfig:
    """Assemble a run's configuration: profile, recipe, file, named arguments, settings; later ones win.

    Args:
        recipe: a key of :data:`RECIPES`.
        profile: a key of :data:`PROFILES`.
        seed: of every random draw in the run.
        marks: the mark set to learn from; None: the only one.
        numbers: the number variant to learn from; None: recorded, or the only simulated one.
        file: a TOML file with the sections of :class:`~tallymark.engine.config.RunConfig`.
        settings: ``section.key=value`` strings.

    Raises:
        ConfigError: unknown recipe, profile or key, or a value of the wrong type or out of range.

    Example:
        >>> config = resolve("paper", "small", settings=["losses.weak.weight=2"])
        >>> config.losses.weak.weight, config.reads_masks
        (2.0, False)
    """
    layers: dict[str, Any] = {"recipe": recipe, "profile": profile, "seed": seed}
    merge(layers, copy.deepcopy(_named(PROFILES, profile, "profile")))
    merge(layers, copy.deepcopy(_named(RECIPES, recipe, "recipe")))
    where = "settings"
    if file is not None:
        merge(layers, read_toml(file))
        where = str(file)
    named = {"marks": marks, "numbers": numbers}
    merge(
        layers,
        {"data": {key: value for key, value in named.items() if value is not None}},
    )
    merge(layers, parse_settings(settings))
    return validate(layers, where=where)


def _named(table: dict[str, dict[str, Any]], name: str, what: str) -> dict[str, Any]:
    if name not in table:
        raise ConfigError(f"unknown {what}", found=repr(name), expected=f"one of {', '.join(table)}")
    return table[name]
