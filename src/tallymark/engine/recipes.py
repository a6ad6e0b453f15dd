"""Recipes (what is learned from) and profiles (how large): named layers of settings, nothing more.

A recipe switches losses on; a profile chooses the network, the size and the schedule. Every recipe runs under every
profile with the same network, schedule and augmentation, which is what makes their figures comparable.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tallymark.engine.config import RunConfig
from tallymark.engine.config_reading import merge, parse_settings, read_toml, validate
from tallymark.errors import ConfigError

# What the comparators share. Partial cross-entropy knows the marked pixels, and background where someone marked it or,
# for recipes that read the numbers, where the number is exactly 0.
_MARKS: dict[str, Any] = {"weight": 1.0, "reduction": "marked"}
_MARKS_AND_ZEROS: dict[str, Any] = _MARKS | {"zero_is_background": True}
# The authors' code weighs squared pixels over pixels by 0.01 to 0.05, which is 92 to 460 of squared shares at 96 x 96.
# On phantoms 10 outlined better than 30, 100 or 655, and pseudo labels collapse beside a large one.
_SIZE: dict[str, Any] = {"weight": 10.0}

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
    # Ours: marks grown to the number as labels; then self-training at the exact number, beside what needs no label and
    # holds where growth errs: the number, the marks, and that near pixels which look alike belong together.
    "grow": {
        "losses": {
            "grown": {"weight": 1.0},
            "weak": _MARKS_AND_ZEROS,
            "size": _SIZE,
            "gated_crf": {"weight": 0.1},
        }
    },
    # Kervadec et al. 2019, DOI 10.1016/j.media.2019.02.009: partial cross-entropy and a squared hinge at 10 % of the
    # known size. Like ours, their marks are of the structure alone (their code takes no background class); the size
    # says the rest. Ours: the known size of each image in place of an estimate, which they have as an ablation.
    "kervadec": {"losses": {"weak": _MARKS_AND_ZEROS, "size": _SIZE}},
    # Kervadec et al. 2022, DOI 10.23919/EUSIPCO55093.2022.9909927: the same bounds as a log-barrier. Ours: the
    # sharpness grows over the whole training, however long it is, in place of 1.1 times an epoch.
    "log_barrier": {"losses": {"weak": _MARKS_AND_ZEROS, "log_barrier": {"weight": 0.1}}},
    # Zhang & Zhuang 2022 (ShapePU), DOI 10.1007/978-3-031-16452-1_16: pixels that the network ranks below the known
    # size are background. Ours: the kept number for each image in place of one estimated for a batch, a band that is
    # left alone, no consistency under cut-outs, no epochs without negatives before.
    "ranked_negatives": {"losses": {"weak": _MARKS, "ranked_negatives": {"weight": 1.0}}},
    # Kiryo et al. 2017, arXiv 1703.00593, with the number as the class prior of its image. Marks are not selected at
    # random from the structure, as the method assumes. Ours: the logistic surrogate, since with the paper's sigmoid the
    # prediction stays too small.
    "nnpu": {"losses": {"nnpu": {"weight": 1.0, "surrogate": "logistic"}}},
    # Obukhov et al. 2019, arXiv 1906.04651: partial cross-entropy and the gated CRF with the paper's weight. Their
    # clicks and scribbles name the background too; ours seldom do, and then a mask of ones costs nothing.
    "gated_crf": {"losses": {"weak": _MARKS, "gated_crf": {"weight": 0.1}}},
    # The same with the size penalty of "kervadec" in the place of the background marks.
    "gated_crf_size": {"losses": {"weak": _MARKS_AND_ZEROS, "gated_crf": {"weight": 0.1}, "size": _SIZE}},
    # Han et al. 2024 (DMSPS), DOI 10.1016/j.media.2024.103274, its first stage with the weight of their code: two
    # decoders, partial cross-entropy on both, and a soft random mixture of both as the label of every pixel. Without
    # marks of the background it drifts towards a mask of ones, as "gated_crf" does. Predictions are the mean of both.
    "dmsps": {
        "model": {"options": {"branches": 2}},
        "losses": {"weak": _MARKS, "mixed_pseudo_labels": {"weight": 8.0}},
    },
    # The same with the size penalty of "kervadec" in the place of the background marks.
    "dmsps_size": {
        "model": {"options": {"branches": 2}},
        "losses": {"weak": _MARKS_AND_ZEROS, "mixed_pseudo_labels": {"weight": 8.0}, "size": _SIZE},
    },
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


# A network that has taken fewer knows little, however few its images are: docs/results/archive.md, small archives.
_STEPS = 600


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

    Few images come round more often, so that a run has 600 steps, unless a file or a setting says how many epochs.

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
    asked: dict[str, Any] = {}
    where = "settings"
    if file is not None:
        merge(asked, read_toml(file))
        where = str(file)
    named = {"marks": marks, "numbers": numbers}
    merge(
        asked,
        {"data": {key: value for key, value in named.items() if value is not None}},
    )
    merge(asked, parse_settings(settings))
    if "epochs" not in asked.get("optim", {}):
        merge(layers, {"optim": {"steps": _STEPS}})
    merge(layers, asked)
    return validate(layers, where=where)


def _named(table: dict[str, dict[str, Any]], name: str, what: str) -> dict[str, Any]:
    if name not in table:
        raise ConfigError(f"unknown {what}", found=repr(name), expected=f"one of {', '.join(table)}")
    return table[name]
