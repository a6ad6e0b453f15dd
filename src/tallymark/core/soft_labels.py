"""Learning from labels that are likely, not certain: cross-entropy and Dice with a weight for every pixel."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from tallymark.core.reduce import full_precision, require_same_shape, sum_space, within

_SMOOTHING = 1.0


def soft_label_loss(
    logit: Float[Tensor, "b k *space"],
    label: Float[Tensor, "b k *space"],
    weight: Float[Tensor, "b k *space"],
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, ""]:
    """Weighted binary cross-entropy plus weighted soft Dice loss.

    sum(w BCE) / sum(w) over all images and structures, plus the mean over those with any weight of
    1 - (2 sum(w p m) + 1) / (sum(w p) + sum(w m) + 1). With weights of 1 it is what full supervision minimises.

    Args:
        logit: any finite value.
        label: m, in [0, 1].
        weight: w, >= 0; 0 where the label says nothing.
        valid: pixels that show the image.

    Returns:
        >= 0; 0 with a zero gradient where no pixel has a weight.

    Raises:
        GeometryError: shapes that differ.

    Source: as :func:`tallymark.core.losses.cross_entropy_loss` and :func:`tallymark.core.losses.dice_loss`; ours: the
        weights.

    Example:
        >>> logit, label = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])
        >>> round(soft_label_loss(logit, label, torch.ones_like(label)).item(), 4)  # 0.6931 + 1 - 2 / 3
        1.0265
    """
    require_same_shape(logit, label, "logit and label")
    require_same_shape(logit, weight, "logit and weight")
    logit, label = full_precision(logit), full_precision(label)
    weight = within(full_precision(weight), valid)
    entropy = functional.binary_cross_entropy_with_logits(logit, label, reduction="none")
    cross_entropy = (weight * entropy).sum() / weight.sum().clamp(min=1)
    prob = torch.sigmoid(logit)
    overlap = 2 * sum_space(weight * prob * label) + _SMOOTHING
    dice = 1 - overlap / (sum_space(weight * prob) + sum_space(weight * label) + _SMOOTHING)
    known = sum_space(weight) > 0
    return cross_entropy + torch.where(known, dice, 0.0).sum() / known.sum().clamp(min=1)
