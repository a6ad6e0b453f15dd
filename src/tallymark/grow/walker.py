"""Random walks: how likely a walker that avoids edges comes to a mark before it comes to the far outside."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from skimage.segmentation import random_walker

from tallymark.grow.coarse import blocks_of, enlarge, shrink, shrink_mask

# How strongly a difference of intensity holds a walker back; in scikit-image's units of the image's own spread.
_BETA = 1500
# Pixels beyond which the walk is solved on a coarser grid: the probability is smooth, and time grows faster than area.
_MOST = 2**14


def walker_cost(
    image: Float[np.ndarray, "*space c"],
    marks: Bool[np.ndarray, "*space"],
    outside: Bool[np.ndarray, "*space"],
    spacing: Sequence[float],
) -> Float[np.ndarray, "*space"]:
    """Minus the log-odds that a random walker comes to a mark before it comes outside.

    Args:
        image: in [0, 1].
        marks: where the structure is, at least one pixel.
        outside: where it is not, at least one pixel.
        spacing: edge of a pixel along each axis.

    Returns:
        Within +-9.3, the log-odds of 1e-4; lower for pixels more likely inside. 0 where an image has no contrast: there
        is no edge to avoid, and the order of growth alone decides.

    Source: Grady 2006 (doi 10.1109/TPAMI.2006.233), as solved by scikit-image. Ours: windows of more than 2^14 pixels
        are solved on a grid of mean intensities.

    Example:
        >>> image = np.array([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]])[..., None]
        >>> marks, outside = np.zeros((1, 6), dtype=bool), np.zeros((1, 6), dtype=bool)
        >>> marks[0, 0] = outside[0, 5] = True
        >>> (walker_cost(image, marks, outside, (1.0, 1.0)) < 0).tolist()
        [[True, True, True, False, False, False]]
    """
    shape = marks.shape
    if np.ptp(image) == 0:
        return np.zeros(shape)
    blocks = blocks_of(math.ceil((marks.size / _MOST) ** (1 / marks.ndim)), spacing)
    edges = [edge * block for edge, block in zip(spacing, blocks, strict=True)]
    image = shrink(image, (*blocks, 1))
    marks, outside = (shrink_mask(seeds, blocks) for seeds in (marks, outside))
    labels = np.where(marks, 1, np.where(outside, 2, 0))
    probability = (labels == 1).astype(np.float64)
    if (labels == 0).any() and (labels == 2).any():
        with warnings.catch_warnings():
            # The solver recommends packages that are not needed here, and reports values a hair outside [0, 1].
            warnings.simplefilter("ignore", UserWarning)
            probability = random_walker(
                image,
                labels,
                beta=_BETA,
                mode="cg_j",
                tol=1e-3,
                spacing=tuple(edge / min(edges) for edge in edges),
                channel_axis=-1,
                return_full_prob=True,
            )[0]
    probability = probability.clip(1e-4, 1 - 1e-4)
    cost = -np.log(probability / (1 - probability))
    return enlarge(cost, blocks, shape)
