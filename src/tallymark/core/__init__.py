"""Tensor maths: differentiable statistics of probability masks, and the losses, for anybody's loop."""

from __future__ import annotations

from tallymark.core.losses import (
    confidence_loss,
    cross_entropy_loss,
    dice_loss,
    exclusion_loss,
    reconstruction_loss,
    statistic_loss,
    weak_loss,
)
from tallymark.core.modules import (
    ConfidenceLoss,
    CrossEntropyLoss,
    DiceLoss,
    ExclusionLoss,
    ReconstructionLoss,
    StatisticLoss,
    WeakLoss,
)
from tallymark.core.statistics import (
    area,
    area_fraction,
    area_ratio,
    axis_lengths,
    centroid,
    evaluate,
    harden,
    mean_intensity,
    union,
)

__all__ = [
    "ConfidenceLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "ExclusionLoss",
    "ReconstructionLoss",
    "StatisticLoss",
    "WeakLoss",
    "area",
    "area_fraction",
    "area_ratio",
    "axis_lengths",
    "centroid",
    "confidence_loss",
    "cross_entropy_loss",
    "dice_loss",
    "evaluate",
    "exclusion_loss",
    "harden",
    "mean_intensity",
    "reconstruction_loss",
    "statistic_loss",
    "union",
    "weak_loss",
]
