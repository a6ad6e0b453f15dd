"""Size constraints: a predicted size that must lie within bounds around the known one, as a penalty or a log-barrier.

Sizes are shares of the image, so that a weight means the same at every resolution; the papers count pixels.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from tallymark.core.intervals import interval
from tallymark.core.statistics import area_fraction
from tallymark.errors import ConfigError


def size_bounds(
    value: Float[Tensor, "b k"],
    low: Float[Tensor, "b k"] | None = None,
    high: Float[Tensor, "b k"] | None = None,
    margin: float = 0.1,
) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
    """Bounds of the predicted size: a margin around a known size, an interval as it was kept.

    Args:
        value: share of the image that each structure covers; NaN where unknown.
        low: lower end of the interval that replaces the value; NaN where not given.
        high: upper end, >= low; NaN where not given.
        margin: share of a known size by which the prediction may miss it.

    Returns:
        Lower and upper bound: ``value (1 - margin)`` and ``value (1 + margin)``, both 0 for an exact 0; the interval's
        own ends, open ones -inf or inf; NaN where nothing is known.

    Raises:
        ConfigError: a negative margin.
        GeometryError: shapes that differ.

    Source: Kervadec et al. 2019 (DOI 10.1016/j.media.2019.02.009), the individual bounds of 10 %.

    Example:
        >>> lower, upper = size_bounds(torch.tensor([[0.5, 0.0]]), margin=0.5)
        >>> lower.tolist(), upper.tolist()
        ([[0.25, 0.0]], [[0.75, 0.0]])
    """
    if not margin >= 0:
        raise ConfigError("the margin of a size must not be negative", found=margin, expected=">= 0")
    lower, upper = interval(value, value, low, high)
    number = lower == upper
    return torch.where(number, lower * (1 - margin), lower), torch.where(number, upper * (1 + margin), upper)


def size_penalty(
    prob: Float[Tensor, "b k *space"],
    value: Float[Tensor, "b k"],
    low: Float[Tensor, "b k"] | None = None,
    high: Float[Tensor, "b k"] | None = None,
    *,
    margin: float = 0.1,
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, ""]:
    """Squared distance of each predicted size to its bounds, 0 within them.

    mean over known sizes of relu(a - r)^2 + relu(r - b)^2, with r the predicted share of the image

    Args:
        prob: probability in [0, 1], not logits.
        value: share of the image that each structure covers; NaN where unknown.
        low: lower end of the interval that replaces the value; NaN where not given.
        high: upper end, >= low; NaN where not given.
        margin: see :func:`size_bounds`.
        valid: pixels that show the image.

    Returns:
        In [0, 1] for sizes in [0, 1]; 0 with a zero gradient where nothing is known.

    Raises:
        ConfigError: a negative margin.
        GeometryError: shapes that differ.

    Source: Kervadec et al. 2019, Constrained-CNN losses for weakly supervised segmentation (DOI
        10.1016/j.media.2019.02.009). Ours: shares in place of pixels. The authors' code divides the squared pixels by
        their number N, so that its weight w is w N here: 0.01 at 256 x 256 is 655.

    Example:
        >>> prob = torch.tensor([[[1.0, 1.0, 1.0, 0.0]]])  # share 3/4; the bound is 1/4 + 1/4
        >>> size_penalty(prob, torch.tensor([[0.25]]), margin=1.0)
        tensor(0.0625)
    """
    size = area_fraction(prob, valid)
    lower, upper = (bound.to(size) for bound in size_bounds(value, low, high, margin))
    known = ~lower.isnan()
    below = functional.relu(torch.where(known, lower, 0.0) - size)
    above = functional.relu(size - torch.where(known, upper, 1.0))
    return torch.where(known, below**2 + above**2, 0.0).sum() / known.sum().clamp(min=1)


def log_barrier_loss(
    prob: Float[Tensor, "b k *space"],
    value: Float[Tensor, "b k"],
    low: Float[Tensor, "b k"] | None = None,
    high: Float[Tensor, "b k"] | None = None,
    *,
    sharpness: float = 5.0,
    margin: float = 0.1,
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, ""]:
    """Log-barrier extension of the constraint that each predicted size lies within its bounds.

    mean over known sizes of psi(a - r) + psi(r - b), with r the predicted share and psi of :func:`barrier_extension`

    A side at which nothing can be violated (a lower bound of 0, an upper bound of 1, an open end) has no barrier: it
    would only push the size away from where it may well be.

    Args:
        prob: probability in [0, 1], not logits.
        value: share of the image that each structure covers; NaN where unknown.
        low: lower end of the interval that replaces the value; NaN where not given.
        high: upper end, >= low; NaN where not given.
        sharpness: t, > 0; raised during training.
        margin: see :func:`size_bounds`.
        valid: pixels that show the image.

    Returns:
        Finite, of either sign; 0 with a zero gradient where nothing is known.

    Raises:
        ConfigError: a negative margin, or a sharpness that is not positive.
        GeometryError: shapes that differ.

    Source: Kervadec et al. 2022, Constrained deep networks: Lagrangian optimization via log-barrier extensions (DOI
        10.23919/EUSIPCO55093.2022.9909927, arXiv 1904.04205). Ours: shares in place of pixels. In the linear part,
        where a violated constraint lies, the authors' code (pixels, divided by their number) is the same.

    Example:
        >>> prob = torch.tensor([[[1.0, 1.0, 1.0, 0.0]]])  # 1/4 below the upper bound of 1, which has no barrier
        >>> log_barrier_loss(prob, torch.tensor([[1.0]]), sharpness=1.0, margin=0.0)  # psi(1/4) = 1/4 + 1
        tensor(1.2500)
    """
    size = area_fraction(prob, valid)
    lower, upper = (bound.to(size) for bound in size_bounds(value, low, high, margin))
    known = ~lower.isnan()
    total = torch.zeros_like(size)
    for violable, slack in ((lower > 0, lower - size), (upper < 1, size - upper)):
        # Not a number or not finite where there is no barrier: replaced before the logarithm, not after.
        barrier = barrier_extension(torch.where(violable, slack, -1.0), sharpness)
        total = total + torch.where(violable, barrier, 0.0)
    return total.sum() / known.sum().clamp(min=1)


def barrier_extension(slack: Float[Tensor, "*shape"], sharpness: float) -> Float[Tensor, "*shape"]:
    """The log-barrier of a constraint ``slack <= 0``, continued by its tangent where it would be infinite.

    psi(z) = -log(-z) / t for z <= -1/t^2, else t z + (2 log t + 1) / t

    Args:
        slack: z; negative where the constraint is met.
        sharpness: t, > 0: the larger, the closer to a hard constraint.

    Returns:
        Finite for every finite z, convex, with a continuous gradient of at most t.

    Raises:
        ConfigError: a sharpness that is not positive.

    Source: Kervadec et al. 2022 (DOI 10.23919/EUSIPCO55093.2022.9909927, arXiv 1904.04205).

    Example:
        >>> barrier_extension(torch.tensor([-math.e, 0.0, 2.0]), 1.0).tolist()  # -log e, then the tangent z + 1
        [-1.0, 1.0, 3.0]
    """
    if not 0 < sharpness < torch.inf:
        raise ConfigError("the sharpness of a log-barrier must be positive", found=sharpness, expected="> 0")
    curved = slack <= -1 / sharpness**2
    logarithm = -torch.where(curved, -slack, 1.0).log() / sharpness
    tangent = sharpness * slack + (2 * math.log(sharpness) + 1) / sharpness
    return torch.where(curved, logarithm, tangent)
