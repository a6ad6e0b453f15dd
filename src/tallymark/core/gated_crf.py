"""Gated CRF: near pixels that look alike should get the same label."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tallymark.core.reduce import full_precision, require_same_shape
from tallymark.core.window import bilateral
from tallymark.errors import ConfigError


def gated_crf_loss(
    prob: Float[Tensor, "b k *space"],
    image: Float[Tensor, "b c *space"],
    *,
    radius: int | None = None,
    position: float = 6.0,
    intensity: float = 0.1,
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, ""]:
    """Price of different labels at near pixels of like intensity.

    1/N sum_i sum_j K_ij [p_i (1 - p_j) + (1 - p_i) p_j], the mean over images and structures, with j in the window
    around i, and the Gaussian kernel K_ij = exp(-d_ij^2 / (2 position^2) - e_ij^2 / (2 intensity^2)), d_ij their
    distance in pixels and e_ij the difference of their intensities.

    The bracket is the probability that i and j differ (the Potts model with a structure and its background as labels).
    Alone, or beside marks of one class, it is degenerate: a constant mask costs nothing if it is certain.

    The kernel is never held as a whole: each of the ``((2 radius + 1)^d - 1) / 2`` shifts adds its pairs. Time and
    memory grow with their number, 60 in 2-D and 665 in 3-D at a radius of 5, 62 in 3-D at 2.

    Args:
        prob: probability in [0, 1], not logits.
        image: intensities in [0, 1]; the squared differences of the channels add up. No gradient passes.
        radius: half the edge of the window, in pixels; >= 1. None: 5 in images, 2 in volumes.
        position: standard deviation in pixels, > 0.
        intensity: standard deviation in units of the image, > 0.
        valid: pixels that show the image; a pair counts where both do.

    Returns:
        >= 0: for each pixel the weight of its neighbours that differ, at most ``(2 radius + 1)^d - 1``.

    Raises:
        ConfigError: a radius or a deviation out of range.
        GeometryError: shapes that do not fit.

    Source: Obukhov, Georgoulis, Dai & Van Gool 2019, Gated CRF loss for weakly supervised semantic image segmentation
        (DOI 10.48550/arXiv.1906.04651), with its radius and deviations. Ours: sigmoids in place of a softmax, no pairs
        across the edge of the image, and the gates are the valid pixels alone.

    Example:
        >>> prob, image = torch.tensor([[[1.0, 0.0]]]), torch.zeros(1, 1, 2)
        >>> gated_crf_loss(prob, image, radius=1, position=1e6)  # each of two pixels differs from its only neighbour
        tensor(1.)
    """
    if radius is None:
        radius = 5 if prob.ndim == 4 else 2
    if radius < 1 or not (position > 0 and intensity > 0):
        raise ConfigError(
            "the window of the gated CRF is out of range",
            found=f"radius {radius}, position {position}, intensity {intensity}",
            expected="a radius of at least 1 and deviations > 0",
        )
    require_same_shape(prob[:, :1], image[:, :1], "prob and image")
    if valid is not None:
        require_same_shape(prob[:, :1], valid, "prob and valid")
    inside = full_precision(prob)
    outside = 1 - inside
    shade = full_precision(image).detach() / intensity
    total = inside.new_zeros(())
    for here, there, weight, _ in bilateral(shade, radius, position):
        if valid is not None:
            weight = weight * (valid[here] & valid[there])
        total = total + (weight * (inside[here] * outside[there] + outside[here] * inside[there])).sum()
    pixels = torch.ones_like(inside[:, :1]).sum() if valid is None else valid.sum()
    # Every pair was met once, and counts for both of its pixels.
    return 2 * total / (pixels * prob.shape[1]).clamp(min=1)
