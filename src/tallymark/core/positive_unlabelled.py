"""Learning from positive and unlabelled pixels: the marks are positive, the number says how many of the rest are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from tallymark.core.intervals import interval
from tallymark.core.losses import exclusion_loss
from tallymark.core.reduce import full_precision, require_same_shape, sum_space, within
from tallymark.errors import ConfigError

Surrogate = Literal["sigmoid", "logistic"]

# The loss of a logit that is taken as negative; both are symmetric, so that -logit gives that of a positive.
_AS_NEGATIVE: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "logistic": functional.softplus}


def nnpu_loss(
    logit: Float[Tensor, "b k *space"],
    marks: Bool[Tensor, "b k *space"],
    value: Float[Tensor, "b k"],
    low: Float[Tensor, "b k"] | None = None,
    high: Float[Tensor, "b k"] | None = None,
    *,
    surrogate: Surrogate = "sigmoid",
    beta: float = 0.0,
    gamma: float = 1.0,
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, ""]:
    """Non-negative risk of each structure in each image, with its known share as the class prior.

    R = pi R_p+ + max(-beta, R_u- - pi R_p-)

    R_p+ and R_p- are the mean losses of the marked pixels taken as positive and as negative, R_u- that of all pixels
    taken as negative. Where the maximum is -beta the network overfits the marks, and the gradient is that of
    ``-gamma (R_u- - pi R_p-)`` alone, which undoes it.

    The theory wants positives that were selected completely at random among all positive pixels. Marks are not: they
    lie in the middle of a structure, whose border then looks negative. What it costs is part of the comparison.

    Args:
        logit: any finite value.
        marks: pixels known to be positive.
        value: pi, the share of the image that each structure covers; NaN where unknown.
        low: lower end of an interval; the middle of a closed one is the prior where no value was kept.
        high: upper end, >= low.
        surrogate: loss of a logit z taken as positive: ``sigmoid`` is sigmoid(-z), ``logistic`` is softplus(-z).
        beta: how far the negative risk may fall below 0; >= 0.
        gamma: length of the step that undoes overfitting; >= 0.
        valid: pixels that show the image.

    Returns:
        Mean risk over the structures and images whose prior is known and that are marked, or whose prior is exactly 0:
        all of their pixels are negative. 0 with a zero gradient where there are none.

    Raises:
        ConfigError: unknown surrogate.
        GeometryError: shapes that differ.

    Source: Kiryo, Niu, du Plessis & Sugiyama 2017, Positive-unlabeled learning with non-negative risk estimator
        (NeurIPS 30, DOI 10.48550/arXiv.1703.00593), algorithm 1 with its defaults. Ours: every image is a data set
        with a prior of its own.

    Example:
        >>> logit, marks = torch.zeros(1, 1, 1, 4), torch.tensor([[[[True, False, False, False]]]])
        >>> nnpu_loss(logit, marks, torch.tensor([[0.25]]))  # 1/4 1/2 + (1/2 - 1/4 1/2)
        tensor(0.5000)
    """
    if surrogate not in _AS_NEGATIVE:
        raise ConfigError("unknown surrogate of nnPU", found=repr(surrogate), expected="'sigmoid' or 'logistic'")
    require_same_shape(logit, marks, "logit and marks")
    logit = full_precision(logit)
    positive = marks if valid is None else marks & valid
    count = sum_space(positive)
    prior = _prior(value.to(logit), low, high)
    usable = ~prior.isnan() & ((count > 0) | (prior == 0))
    prior = torch.where(usable, prior, 0.0)

    def mean_at_marks(loss: Float[Tensor, "b k *space"]) -> Float[Tensor, "b k"]:
        return sum_space(torch.where(positive, loss, 0.0)) / count.clamp(min=1)

    as_positive, as_negative = _AS_NEGATIVE[surrogate](-logit), _AS_NEGATIVE[surrogate](logit)
    pixels = sum_space(torch.ones_like(logit[:, :1]) if valid is None else valid).clamp(min=1)
    positive_risk = prior * mean_at_marks(as_positive)
    negative_risk = sum_space(within(as_negative, valid)) / pixels - prior * mean_at_marks(as_negative)
    # The value of the clipped risk with the gradient of the step that undoes the overfitting.
    undo = -gamma * negative_risk
    clipped = (positive_risk - beta - undo).detach() + undo
    risk = torch.where(negative_risk < -beta, clipped, positive_risk + negative_risk)
    return torch.where(usable, risk, 0.0).sum() / usable.sum().clamp(min=1)


def ranked_negatives(
    logit: Float[Tensor, "b k *space"],
    marks: Bool[Tensor, "b k *space"] | None,
    value: Float[Tensor, "b k"],
    low: Float[Tensor, "b k"] | None = None,
    high: Float[Tensor, "b k"] | None = None,
    *,
    margin: float = 1.5,
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Bool[Tensor, "b k *space"]:
    """Pixels that the network itself ranks too low to belong to a structure of the known size.

    The pixels of an image are ranked by logit, marked ones first. The first ``margin k`` of them, k the number of
    pixels that the structure covers, may belong to it; those below are negatives. Pixels as high as the last of
    the first are spared with it, so that a tie is not broken by the order in which an image is stored.

    Args:
        logit: any finite value; no gradient passes.
        marks: pixels known to be positive, never negatives; None for none.
        value: share of the image that each structure covers; NaN where unknown.
        low: lower end of the interval that replaces the value; not needed, as the largest size counts.
        high: upper end of that interval; an open one knows no negatives.
        margin: >= 1; what the ranking may be wrong by.
        valid: pixels that show the image.

    Returns:
        True at negatives: all pixels without a mark where the share is exactly 0, none where it is unknown. A share
        above 0 is at least one pixel.

    Raises:
        ConfigError: a margin below 1.
        GeometryError: shapes that differ.

    Source: Zhang & Zhuang 2022, ShapePU (DOI 10.1007/978-3-031-16452-1_16), maximisation of the marginal probability.
        Ours: the known size of every image in place of one estimated for a batch, and a margin.

    Example:
        >>> logit = torch.tensor([[[4.0, 3.0, 2.0, 1.0]]])
        >>> ranked_negatives(logit, None, torch.tensor([[0.25]]), margin=2.0).tolist()  # one pixel, twice
        [[[False, False, True, True]]]
    """
    if not margin >= 1:
        raise ConfigError("the margin of ranked negatives must be at least 1", found=margin, expected=">= 1")
    score = full_precision(logit).detach()
    shown = torch.ones_like(score[:, :1], dtype=torch.bool) if valid is None else valid
    require_same_shape(score[:, :1], shown, "logit and valid")
    if marks is not None:
        require_same_shape(logit, marks, "logit and marks")
        score = torch.where(marks, torch.inf, score)
    score = torch.where(shown, score, -torch.inf)
    _, largest = interval(value.to(score), value, low, high)
    pixels = sum_space(shown)
    kept = torch.where(largest > 0, (margin * largest * pixels).round().clamp(min=1), 0.0)
    # An unknown or open size keeps every pixel, and so does a margin that reaches beyond the image.
    kept = torch.where(largest.isfinite(), torch.minimum(kept, pixels), pixels).long()
    ranked = score.flatten(2).sort(dim=2, descending=True).values
    last = ranked.gather(2, (kept - 1).clamp(min=0)[:, :, None])[:, :, 0]
    last = torch.where(kept > 0, last, torch.inf)
    return (score < last.reshape(*last.shape, *(1,) * (logit.ndim - 2))) & shown


def ranked_negatives_loss(
    logit: Float[Tensor, "b k *space"],
    marks: Bool[Tensor, "b k *space"] | None,
    value: Float[Tensor, "b k"],
    low: Float[Tensor, "b k"] | None = None,
    high: Float[Tensor, "b k"] | None = None,
    *,
    margin: float = 1.5,
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, ""]:
    """-log(1 - p) at the pixels of :func:`ranked_negatives`, nothing at those above them.

    Args:
        logit: any finite value.
        marks: pixels known to be positive; None for none.
        value: share of the image that each structure covers; NaN where unknown.
        low: lower end of the interval that replaces the value.
        high: upper end of that interval.
        margin: >= 1; pixels up to this multiple of the known size are left alone.
        valid: pixels that show the image.

    Returns:
        >= 0: the mean over the negatives of each image and structure, then over those that have any; 0 with a zero
        gradient where nothing is known.

    Raises:
        ConfigError: a margin below 1.
        GeometryError: shapes that differ.

    Source: Zhang & Zhuang 2022, ShapePU (DOI 10.1007/978-3-031-16452-1_16); without their consistency under cut-outs.

    Example:
        >>> logit = torch.tensor([[[4.0, 3.0, 0.0, 0.0]]])
        >>> round(ranked_negatives_loss(logit, None, torch.tensor([[0.25]]), margin=2.0).item(), 4)  # -log 1/2
        0.6931
    """
    negative = ranked_negatives(logit, marks, value, low, high, margin=margin, valid=valid)
    return exclusion_loss(logit, negative, "marked", valid)


def _prior(
    value: Float[Tensor, "b k"],
    low: Float[Tensor, "b k"] | None,
    high: Float[Tensor, "b k"] | None,
) -> Float[Tensor, "b k"]:
    """The number kept, or the middle of a closed interval; NaN where neither is known."""
    lower, upper = interval(value, value, low, high)
    known = torch.where(value.isnan(), (lower + upper) / 2, value)
    return torch.where(known.isfinite(), known, torch.nan)
