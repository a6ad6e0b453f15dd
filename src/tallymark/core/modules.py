"""The losses as modules, for loops that collect modules; each only remembers the options of its function."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from tallymark.core import losses


class StatisticLoss(nn.Module):
    """:func:`tallymark.core.losses.statistic_loss` with its level kept.

    Example:
        >>> import torch
        >>> StatisticLoss()(torch.tensor([[0.5]]), torch.tensor([[0.25]]))
        tensor(0.2500)
    """

    def __init__(self, level: losses.Level = "image") -> None:
        super().__init__()
        self.level: losses.Level = level

    def forward(
        self,
        value: Float[Tensor, "b s"],
        target: Float[Tensor, "b s"],
        low: Float[Tensor, "b s"] | None = None,
        high: Float[Tensor, "b s"] | None = None,
    ) -> Float[Tensor, ""]:
        """Distance between the statistics and the numbers kept."""
        return losses.statistic_loss(value, target, low, high, level=self.level)


class WeakLoss(nn.Module):
    """:func:`tallymark.core.losses.weak_loss` with its reduction kept.

    Example:
        >>> import torch
        >>> round(WeakLoss("marked")(torch.zeros(1, 1, 2, 2), torch.eye(2)[None, None]).item(), 4)
        0.6931
    """

    def __init__(self, reduction: losses.Reduction = "all") -> None:
        super().__init__()
        self.reduction: losses.Reduction = reduction

    def forward(
        self,
        logit: Float[Tensor, "b k *space"],
        marks: Float[Tensor, "b k *space"] | Bool[Tensor, "b k *space"],
        valid: Bool[Tensor, "b 1 *space"] | None = None,
    ) -> Float[Tensor, ""]:
        """Cross-entropy at the marked pixels."""
        return losses.weak_loss(logit, marks, self.reduction, valid)


class ExclusionLoss(nn.Module):
    """:func:`tallymark.core.losses.exclusion_loss` with its reduction kept.

    Example:
        >>> import torch
        >>> round(ExclusionLoss("marked")(torch.zeros(1, 1, 2, 2), torch.eye(2)[None, None]).item(), 4)
        0.6931
    """

    def __init__(self, reduction: losses.Reduction = "all") -> None:
        super().__init__()
        self.reduction: losses.Reduction = reduction

    def forward(
        self,
        logit: Float[Tensor, "b k *space"],
        excluded: Float[Tensor, "b #k *space"] | Bool[Tensor, "b #k *space"],
        valid: Bool[Tensor, "b 1 *space"] | None = None,
    ) -> Float[Tensor, ""]:
        """Cross-entropy at the pixels marked as none of the structures."""
        return losses.exclusion_loss(logit, excluded, self.reduction, valid)


class ConfidenceLoss(nn.Module):
    """:func:`tallymark.core.losses.confidence_loss`.

    Example:
        >>> import torch
        >>> ConfidenceLoss()(torch.full((1, 1, 2, 2), 0.5))
        tensor(0.2500)
    """

    def forward(
        self, prob: Float[Tensor, "b k *space"], valid: Bool[Tensor, "b 1 *space"] | None = None
    ) -> Float[Tensor, ""]:
        """Price of indecision."""
        return losses.confidence_loss(prob, valid)


class ReconstructionLoss(nn.Module):
    """:func:`tallymark.core.losses.reconstruction_loss`.

    Example:
        >>> import torch
        >>> ReconstructionLoss()(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
        tensor(1.)
    """

    def forward(
        self,
        output: Float[Tensor, "b c *space"],
        image: Float[Tensor, "b c *space"],
        valid: Bool[Tensor, "b 1 *space"] | None = None,
    ) -> Float[Tensor, ""]:
        """Mean absolute difference."""
        return losses.reconstruction_loss(output, image, valid)


class CrossEntropyLoss(nn.Module):
    """:func:`tallymark.core.losses.cross_entropy_loss`.

    Example:
        >>> import torch
        >>> round(CrossEntropyLoss()(torch.zeros(1, 1, 2, 2), torch.eye(2)[None, None]).item(), 4)
        0.6931
    """

    def forward(
        self,
        logit: Float[Tensor, "b k *space"],
        truth: Float[Tensor, "b k *space"] | Bool[Tensor, "b k *space"],
        valid: Bool[Tensor, "b 1 *space"] | None = None,
    ) -> Float[Tensor, ""]:
        """Binary cross-entropy against full masks."""
        return losses.cross_entropy_loss(logit, truth, valid)


class DiceLoss(nn.Module):
    """:func:`tallymark.core.losses.dice_loss` with its smoothing kept.

    Example:
        >>> import torch
        >>> DiceLoss()(torch.eye(2)[None, None], torch.eye(2)[None, None])
        tensor(0.)
    """

    def __init__(self, smoothing: float = 1.0) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(
        self,
        prob: Float[Tensor, "b k *space"],
        truth: Float[Tensor, "b k *space"] | Bool[Tensor, "b k *space"],
        valid: Bool[Tensor, "b 1 *space"] | None = None,
    ) -> Float[Tensor, ""]:
        """Soft Dice loss against full masks."""
        return losses.dice_loss(prob, truth, valid, self.smoothing)
