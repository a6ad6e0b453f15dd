"""Tensor maths: differentiable statistics of probability masks, and the losses, for anybody's loop."""

from __future__ import annotations

from tallymark.core.gated_crf import gated_crf_loss
from tallymark.core.losses import (
    confidence_loss,
    cross_entropy_loss,
    dice_loss,
    exclusion_loss,
    reconstruction_loss,
    statistic_loss,
    weak_loss,
)
from tallymark.core.mixed_pseudo_labels import mixed_pseudo_label_loss
from tallymark.core.modules import (
    ConfidenceLoss,
    CrossEntropyLoss,
    DiceLoss,
    ExclusionLoss,
    ReconstructionLoss,
    StatisticLoss,
    WeakLoss,
)
from tallymark.core.positive_unlabelled import nnpu_loss, ranked_negatives_loss
from tallymark.core.projection import project, project_pooled
from tallymark.core.ratio import project_ratio
from tallymark.core.size_constraints import log_barrier_loss, size_penalty
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
    "gated_crf_loss",
    "harden",
    "log_barrier_loss",
    "mean_intensity",
    "mixed_pseudo_label_loss",
    "nnpu_loss",
    "project",
    "project_pooled",
    "project_ratio",
    "ranked_negatives_loss",
    "reconstruction_loss",
    "size_penalty",
    "statistic_loss",
    "union",
    "weak_loss",
]
