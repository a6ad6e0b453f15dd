"""The losses, as pure functions: a number, a few marks, confidence, reconstruction, and the supervised ones.

All take ``(batch, structure, *space)`` tensors in 2-D or 3-D, reduce in float32 (float64 stays float64) whatever the
input's precision, and have finite values and gradients for any finite input: logits of +-100, no marks at all, numbers
0 and 1. ``valid`` marks the pixels of a view that show the image; an augmented view may have a border that does not,
and no loss looks at it.

The founding paper is Kulkarni, Raff & Oates 2026, *Learning to Segment using Summary Statistics and Weak Supervision*
(arXiv 2605.03059). It states neither the weights of its losses nor their reductions: both are the caller's choice here.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from tallymark.core.intervals import interval
from tallymark.core.reduce import full_precision, mean_over, require_same_shape, sum_space, within
from tallymark.errors import ConfigError

Level = Literal["image", "batch"]
Reduction = Literal["all", "marked"]


def statistic_loss(
    value: Float[Tensor, "b s"],
    target: Float[Tensor, "b s"],
    low: Float[Tensor, "b s"] | None = None,
    high: Float[Tensor, "b s"] | None = None,
    *,
    level: Level = "image",
) -> Float[Tensor, ""]:
    """Distance between a statistic of the prediction and the number that was kept.

    L_s = abs(value - target), or the distance to the interval [low, high] where one is given (0 inside it).

    Args:
        value: statistics of the prediction, in any unit.
        target: the numbers kept, in the same unit; NaN where unknown.
        low: lower end of the interval that replaces the target; NaN where not given. One end alone leaves the other
            side open: ``low=0.2`` means "at least 0.2", whatever the target says.
        high: upper end, >= low; NaN where not given.
        level: ``image`` compares every image with its number and takes the mean over all known numbers. ``batch``
            compares the means over the images whose number is known (for intervals the means of their ends), and
            takes the mean over the statistics.

    Returns:
        >= 0, in the unit of the statistics; 0 with a zero gradient where nothing is known. The gradient is +-1 over
        the count, whatever the distance, and 0 where the number is met.

    Raises:
        ConfigError: unknown level.
        GeometryError: shapes that differ.

    Source: Kulkarni, Raff & Oates 2026 (arXiv 2605.03059), L_s with the area fraction as the statistic, per image or
        per batch. Ours: any statistic, unknown numbers, intervals.

    Example:
        >>> value = torch.tensor([[0.5], [0.2], [0.9]])
        >>> target = torch.tensor([[0.2], [0.3], [float("nan")]])
        >>> round(statistic_loss(value, target).item(), 6)  # (0.3 + 0.1) / 2
        0.2
        >>> round(statistic_loss(value, target, level="batch").item(), 6)  # abs(0.35 - 0.25)
        0.1
        >>> low, high = torch.tensor([[0.4], [0.25], [0.1]]), torch.tensor([[0.6], [0.35], [0.8]])
        >>> round(statistic_loss(value, target, low, high).item(), 6)  # (0 + 0.05 + 0.1) / 3
        0.05
    """
    if level not in ("image", "batch"):
        raise ConfigError("unknown level of the statistic loss", found=repr(level), expected="'image' or 'batch'")
    value = full_precision(value)
    lower, upper = interval(value, target, low, high)
    known = ~(lower.isnan() | upper.isnan())
    lower, upper = torch.where(known, lower, 0.0), torch.where(known, upper, 0.0)
    if level == "batch":
        images = known.sum(dim=0, keepdim=True).clamp(min=1)
        value, lower, upper = (
            torch.where(known, v, 0.0).sum(dim=0, keepdim=True) / images for v in (value, lower, upper)
        )
        known = known.any(dim=0, keepdim=True)
    # relu, not clamp: at the very end of the interval its gradient is 0, so that a number that is met stays met.
    distance = functional.relu(lower - value) + functional.relu(value - upper)
    return torch.where(known, distance, 0.0).sum() / known.sum().clamp(min=1)


def weak_loss(
    logit: Float[Tensor, "b k *space"],
    marks: Float[Tensor, "b k *space"] | Bool[Tensor, "b k *space"],
    reduction: Reduction = "all",
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy at the marked pixels, where the structure is known to be.

    L_ws = -[W log(W p) + (1 - W) log(1 - W p)] with 0 log 0 = 0, computed from logits. For marks that are 0 or 1 it is
    -log p = softplus(-logit) where marked and exactly 0 (value and gradient) elsewhere.

    Three traps. It says nothing about unmarked pixels: unmarked is not background. Alone it is degenerate: p = 1
    everywhere makes it and the confidence loss both 0, so a run without the statistic loss measures accidents of
    optimisation. And under ``all`` its weight grows with the size of the marks: 8 % of a breast lesion is about 0.75 %
    of the image, so that its gradient is that much smaller than under ``marked``.

    Args:
        logit: any finite value.
        marks: W in [0, 1], per structure.
        reduction: ``all``: mean over all (valid) pixels, the natural reading of the paper, which states none.
            ``marked``: mean over the pixels with W > 0 of each image and structure, then over those that have any.
        valid: pixels that show the image.

    Returns:
        >= 0; 0 with a zero gradient where nothing is marked. For a fractional W the least value is the entropy of W, at
        p = 1: doubt in a mark lifts the floor and weakens the pull, but p = 1 remains the answer.

    Raises:
        ConfigError: unknown reduction.
        GeometryError: shapes that differ.

    Source: Kulkarni, Raff & Oates 2026 (arXiv 2605.03059), L_ws. Ours: stable computation, ``marked``, ``valid``.

    Example:
        >>> logit = torch.zeros(1, 1, 2, 2)  # p = 1/2 everywhere, -log p = 0.6931
        >>> marks = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
        >>> round(weak_loss(logit, marks).item(), 4), round(weak_loss(logit, marks, "marked").item(), 4)
        (0.1733, 0.6931)
    """
    require_same_shape(logit, marks, "logit and marks")
    logit, weight = full_precision(logit), full_precision(marks)
    # 1 - W p as a sum of positive terms: no cancellation near p = 1. Where W is 1 its factor 1 - W is 0, and a 1 in
    # its place keeps log 0 out of the value and the gradient.
    rest = torch.where(weight < 1, (1 - weight) + weight * torch.sigmoid(-logit), 1.0)
    loss = weight * functional.softplus(-logit) - torch.xlogy(weight, weight) - (1 - weight) * rest.log()
    return _mean_of_marks(loss, weight > 0, reduction, valid)


def exclusion_loss(
    logit: Float[Tensor, "b k *space"],
    excluded: Float[Tensor, "b #k *space"] | Bool[Tensor, "b #k *space"],
    reduction: Reduction = "all",
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy at the pixels that were marked as "not any of these".

    -log(1 - p) = softplus(logit) at the excluded pixels, 0 elsewhere.

    Args:
        logit: any finite value.
        excluded: 1 at negatives. One channel excludes every structure, a channel per structure excludes each alone.
        reduction: as in :func:`weak_loss`.
        valid: pixels that show the image.

    Returns:
        >= 0; 0 with a zero gradient where nothing is excluded.

    Raises:
        ConfigError: unknown reduction.
        GeometryError: shapes that do not fit.

    Source: partial cross-entropy; the founding paper has no negatives.

    Example:
        >>> logit = torch.zeros(1, 2, 1, 2)  # 1 - p = 1/2 in both structures
        >>> excluded = torch.tensor([[[[True, False]]]])
        >>> round(exclusion_loss(logit, excluded, "marked").item(), 4)
        0.6931
    """
    one_for_all = excluded.shape[1] == 1
    require_same_shape(logit[:, :1] if one_for_all else logit, excluded, "logit and excluded")
    negative = (excluded > 0).expand_as(logit)
    loss = torch.where(negative, functional.softplus(full_precision(logit)), 0.0)
    return _mean_of_marks(loss, negative, reduction, valid)


def _mean_of_marks(
    loss: Float[Tensor, "b k *space"],
    marked: Bool[Tensor, "b k *space"],
    reduction: Reduction,
    valid: Bool[Tensor, "b 1 *space"] | None,
) -> Float[Tensor, ""]:
    if reduction == "all":
        return mean_over(loss, valid)
    if reduction != "marked":
        raise ConfigError("unknown reduction", found=repr(reduction), expected="'all' or 'marked'")
    # The loss is 0 off the marks, so its sum over the image is its sum over the marks.
    sums = sum_space(within(loss, valid))
    counts = sum_space(marked if valid is None else marked & valid)
    return (sums / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)


def confidence_loss(
    prob: Float[Tensor, "b k *space"], valid: Bool[Tensor, "b 1 *space"] | None = None
) -> Float[Tensor, ""]:
    """Price of indecision: 0 where p is 0 or 1, largest where it is 1/2.

    L_c = mean(0.25 - (0.5 - p)^2) = mean(p (1 - p))

    Its gradient vanishes at p = 1/2, so that it never decides by itself; and a constant mask at p = r pays only
    r (1 - r).

    Args:
        prob: probability in [0, 1], not logits.
        valid: pixels that show the image.

    Returns:
        In [0, 0.25].

    Raises:
        GeometryError: shapes that differ.

    Source: Kulkarni, Raff & Oates 2026 (arXiv 2605.03059), L_c.

    Example:
        >>> confidence_loss(torch.tensor([[[[0.5, 1.0]]]]))
        tensor(0.1250)
    """
    return mean_over(0.25 - (0.5 - full_precision(prob)) ** 2, valid)


def reconstruction_loss(
    output: Float[Tensor, "b c *space"],
    image: Float[Tensor, "b c *space"],
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, ""]:
    """Mean absolute difference between the auxiliary head's picture and the image.

    L_r = mean(abs(output - image))

    Args:
        output: the auxiliary head's output, with the image's channels.
        image: intensities in [0, 1].
        valid: pixels that show the image.

    Returns:
        >= 0, in units of intensity.

    Raises:
        GeometryError: shapes that differ, for example class channels where image channels belong.

    Source: Kulkarni, Raff & Oates 2026 (arXiv 2605.03059), L_r.

    Example:
        >>> reconstruction_loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.5, 1.0]]]]))
        tensor(0.7500)
    """
    require_same_shape(output, image, "output and image")
    return mean_over((full_precision(output) - full_precision(image)).abs(), valid)


def cross_entropy_loss(
    logit: Float[Tensor, "b k *space"],
    truth: Float[Tensor, "b k *space"] | Bool[Tensor, "b k *space"],
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, ""]:
    """Binary cross-entropy of every structure against a full mask, the mean over all pixels.

    Args:
        logit: any finite value.
        truth: full masks, 0 or 1, or probabilities in between.
        valid: pixels that show the image.

    Returns:
        >= 0.

    Raises:
        GeometryError: shapes that differ.

    Source: standard; :func:`torch.nn.functional.binary_cross_entropy_with_logits`.

    Example:
        >>> round(cross_entropy_loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[True, False]]]])).item(), 4)
        0.6931
    """
    require_same_shape(logit, truth, "logit and truth")
    logit = full_precision(logit)
    return mean_over(functional.binary_cross_entropy_with_logits(logit, truth.to(logit), reduction="none"), valid)


def dice_loss(
    prob: Float[Tensor, "b k *space"],
    truth: Float[Tensor, "b k *space"] | Bool[Tensor, "b k *space"],
    valid: Bool[Tensor, "b 1 *space"] | None = None,
    smoothing: float = 1.0,
) -> Float[Tensor, ""]:
    """Soft Dice loss, the mean over images and structures.

    1 - (2 sum(p m) + s) / (sum(p) + sum(m) + s)

    Args:
        prob: probability in [0, 1], not logits.
        truth: full masks, 0 or 1.
        valid: pixels that show the image.
        smoothing: s, in pixels; > 0. It decides what an empty mask costs: an empty prediction then costs 0 and every
            predicted pixel is pushed down, so that images without the structure are learnt from.

    Returns:
        In [0, 1].

    Raises:
        ConfigError: smoothing <= 0, under which an empty mask has no loss at all.
        GeometryError: shapes that differ.

    Source: Milletari, Navab & Ahmadi 2016, V-Net (DOI 10.1109/3DV.2016.79), without squares in the denominator; ours:
        the smoothing in numerator and denominator.

    Example:
        >>> prob, truth = torch.tensor([[[[1.0, 1.0, 0.0]]]]), torch.tensor([[[[True, False, False]]]])
        >>> dice_loss(prob, truth)  # 1 - (2 + 1) / (2 + 1 + 1)
        tensor(0.2500)
    """
    if not smoothing > 0:
        raise ConfigError("the smoothing of the Dice loss must be positive", found=smoothing, expected="> 0")
    require_same_shape(prob, truth, "prob and truth")
    prob, mask = within(prob, valid), within(full_precision(truth), valid)
    overlap = 2 * sum_space(prob * mask) + smoothing
    return (1 - overlap / (sum_space(prob) + sum_space(mask) + smoothing)).mean()
