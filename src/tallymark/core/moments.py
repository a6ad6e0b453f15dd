"""Position and extent of soft masks, from their first and second moments."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from tallymark.core.reduce import EMPTY, full_precision, sum_space
from tallymark.core.sizes import pixel_edges


def centroid(prob: Float[Tensor, "b k *space"], spacing_mm: Float[Tensor, "b d"]) -> Float[Tensor, "b k d"]:
    """Centre of mass of each structure.

    Args:
        prob: probability in [0, 1], not logits.
        spacing_mm: pixel edges in mm, (plane,) row, column; > 0, or NaN where unknown.

    Returns:
        mm from the centre of the first pixel, (plane,) row, column; tends to 0 for an empty mask (undefined for exact
        masks); NaN where the spacing is unknown.

    Raises:
        GeometryError: spacing <= 0, or a spacing of another dimension than the mask.

    Example:
        >>> prob = torch.tensor([[[[0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]]])  # row 1, columns 1 and 2
        >>> centroid(prob, torch.tensor([[2.0, 1.0]])).tolist()
        [[[2.0, 1.5]]]
    """
    edges, known = pixel_edges(prob, spacing_mm)
    return torch.where(known[:, :, None], _centre(full_precision(prob)) * edges[:, None], torch.nan)


def axis_lengths(prob: Float[Tensor, "b k *space"], spacing_mm: Float[Tensor, "b d"]) -> Float[Tensor, "b k 2"]:
    """Longest and shortest axis of the ellipse (2-D) or ellipsoid (3-D) with each structure's second moments.

    A filled ellipsoid with semi-axis a has the variance a^2 / (d + 2) along it, so that an axis is
    2 sqrt((d + 2) lambda), with lambda the largest or smallest eigenvalue of the covariance: 4 sqrt(lambda) in 2-D.

    Args:
        prob: probability in [0, 1], not logits.
        spacing_mm: pixel edges in mm, (plane,) row, column; > 0, or NaN where unknown.

    Returns:
        mm: longest, shortest. 0 for an empty mask, a single pixel, and across a line one pixel wide (pixels are
        points at their centres); NaN where the spacing is unknown. The gradient is finite everywhere: where axes
        are equal it is that of one of them, where an axis is 0 it is 0.

    Raises:
        GeometryError: spacing <= 0, or a spacing of another dimension than the mask.

    Source: ``axis_major_length`` and ``axis_minor_length`` of scikit-image, there for isotropic pixels in 3-D too.

    Example:
        >>> prob = torch.ones(1, 1, 1, 4)  # columns 0 to 3: variance 1.25
        >>> [round(length, 4) for length in axis_lengths(prob, torch.ones(1, 2))[0, 0].tolist()]
        [4.4721, 0.0]
    """
    edges, known = pixel_edges(prob, spacing_mm)
    covariance = _covariance(full_precision(prob)) * (edges[:, :, None] * edges[:, None, :])[:, None]
    variance = torch.linalg.eigvalsh(covariance)[..., [-1, 0]]
    # The slope of a square root at 0 is infinite: below a thousandth of a pixel an axis is 0 and has no slope.
    positive = variance > (1e-3 * edges.amin(dim=1)[:, None, None]) ** 2
    root = torch.where(positive, torch.where(positive, variance, 1.0).sqrt(), 0.0)
    return torch.where(known[:, :, None], 2 * math.sqrt(edges.shape[1] + 2) * root, torch.nan)


def _centre(prob: Float[Tensor, "b k *space"]) -> Float[Tensor, "b k d"]:
    """Centre of mass in pixels, from the sums of the mask across each axis."""
    mass = sum_space(prob).clamp(min=EMPTY)
    return torch.stack([(_across(prob, (i,)) * _index(prob, i)).sum(dim=2) / mass for i in _axes(prob)], dim=2)


def _covariance(prob: Float[Tensor, "b k *space"]) -> Float[Tensor, "b k d d"]:
    """Second central moments in pixels; centred first, since raw moments lose their digits far from the origin."""
    centre = _centre(prob)
    offset = [_index(prob, i) - centre[:, :, i, None] for i in _axes(prob)]

    def moment(i: int, j: int) -> Float[Tensor, "b k"]:
        if i == j:
            return (_across(prob, (i,)) * offset[i] ** 2).sum(dim=2)
        return (_across(prob, (i, j)) * offset[i][..., :, None] * offset[j][..., None, :]).sum(dim=(2, 3))

    rows = [torch.stack([moment(min(i, j), max(i, j)) for j in _axes(prob)], dim=2) for i in _axes(prob)]
    return torch.stack(rows, dim=2) / sum_space(prob).clamp(min=EMPTY)[:, :, None, None]


def _axes(prob: Float[Tensor, "b k *space"]) -> range:
    return range(prob.ndim - 2)


def _index(prob: Float[Tensor, "b k *space"], axis: int) -> Float[Tensor, " n"]:
    return torch.arange(prob.shape[2 + axis], device=prob.device, dtype=prob.dtype)


def _across(prob: Float[Tensor, "b k *space"], kept: tuple[int, ...]) -> Float[Tensor, "b k *kept"]:
    """Sum over the space axes that are not kept."""
    others = [2 + axis for axis in _axes(prob) if axis not in kept]
    return prob.sum(dim=others) if others else prob
