"""Differentiable statistics of probability masks, batch-first, each with its unit.

On masks of 0 and 1 each equals its exact counterpart of the same name in :mod:`tallymark.measure`, wherever that is
defined. Where it is not (a ratio, a mean or a position of an empty mask is NaN there), the value here is 0, approached
continuously: sums over a mask are divided by its area or by :data:`~tallymark.core.reduce.EMPTY`, whichever is larger,
so that neither a value nor a gradient is ever NaN in training. Reductions run in float32 (float64 stays float64).

A physical size that is NaN is unknown: what depends on it is NaN, and passes no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tallymark.core.moments import axis_lengths, centroid
from tallymark.core.reduce import EMPTY, full_precision, require_same_shape, sum_space, within
from tallymark.core.sizes import known_sizes, pixel_edges
from tallymark.measure.definition import Statistic

__all__ = [
    "area",
    "area_fraction",
    "area_ratio",
    "axis_lengths",
    "centroid",
    "evaluate",
    "harden",
    "mean_intensity",
    "union",
]


def harden(prob: Float[Tensor, "b k *space"], threshold: float = 0.5) -> Float[Tensor, "b k *space"]:
    """0 or 1 in the value, the probability in the gradient (straight-through).

    Args:
        prob: probability in [0, 1].
        threshold: a pixel is inside where its probability is greater.

    Returns:
        Exactly 0 or 1; the gradient is that of ``prob``.

    Source: Bengio, Leonard & Courville 2013 (arXiv 1308.3432); the hard-area reading of Kulkarni, Raff & Oates 2026.

    Example:
        >>> prob = torch.tensor([[[0.2, 0.7]]], requires_grad=True)
        >>> harden(prob).sum().backward()
        >>> harden(prob).tolist(), prob.grad.tolist()
        ([[[0.0, 1.0]]], [[[1.0, 1.0]]])
    """
    hard = (prob > threshold).to(prob.dtype)
    # In this order the difference is exactly 0, so that no rounding is left on the hard value.
    return hard + (prob - prob.detach())


def union(prob: Float[Tensor, "b k *space"], channels: Sequence[int]) -> Float[Tensor, "b 1 *space"]:
    """Probability that a pixel lies in any of the structures, taken as independent: 1 - prod(1 - p).

    The structures are sigmoids and may overlap, so that their sum may exceed 1. On masks of 0 and 1 this is the
    logical or; for masks that exclude each other it is their sum.

    Args:
        prob: probability in [0, 1].
        channels: positions of the structures; at least one.

    Returns:
        Probability in [0, 1], differentiable everywhere.

    Example:
        >>> union(torch.tensor([[[0.5], [0.5], [1.0]]]), [0, 1]).item()
        0.75
    """
    first, *others = (full_precision(prob[:, c : c + 1]) for c in channels)
    for other in others:
        first = first + other - first * other
    return first


def area_fraction(
    prob: Float[Tensor, "b k *space"], valid: Bool[Tensor, "b 1 *space"] | None = None
) -> Float[Tensor, "b k"]:
    """Share of the image that each structure covers.

    r_bk = sum_p prob_bkp / N, over the N valid pixels.

    Args:
        prob: probability in [0, 1], not logits.
        valid: pixels that show the image; all by default.

    Returns:
        Fraction in [0, 1]; 0 for an empty mask and where no pixel is valid.

    Raises:
        GeometryError: shapes that differ.

    Source: Kulkarni, Raff & Oates 2026 (arXiv 2605.03059), the mean of p in L_s.

    Example:
        >>> area_fraction(torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]])).item()
        0.375
    """
    pixels = math.prod(prob.shape[2:]) if valid is None else sum_space(valid).clamp(min=1)
    return sum_space(within(prob, valid)) / pixels


def area(prob: Float[Tensor, "b k *space"], spacing_mm: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
    """Soft area (2-D) or volume (3-D) of each structure.

    a_bk = (prod_d spacing_bd) * sum_p prob_bkp

    Args:
        prob: probability in [0, 1], not logits.
        spacing_mm: pixel edges in mm, (plane,) row, column; > 0, or NaN where unknown.

    Returns:
        mm2 or mm3, >= 0; 0 for an empty mask, NaN where the spacing is unknown.

    Raises:
        GeometryError: spacing <= 0, or a spacing of another dimension than the mask.

    Example:
        >>> area(torch.ones(1, 1, 2, 3), torch.tensor([[0.5, 2.0]])).item()  # 6 pixels of 1 mm2
        6.0
    """
    edges, known = pixel_edges(prob, spacing_mm)
    return torch.where(known, sum_space(full_precision(prob)) * edges.prod(dim=1, keepdim=True), torch.nan)


def area_ratio(
    prob: Float[Tensor, "b k *space"],
    numerator: Sequence[int],
    denominator: Sequence[int],
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, " b"]:
    """Area of one union of structures over the area of another, for example fat / (fat + muscle).

    Args:
        prob: probability in [0, 1], not logits.
        numerator: positions of the structures above the line; see :func:`union` for overlaps.
        denominator: positions of the structures below the line.
        valid: pixels that show the image.

    Returns:
        Dimensionless, >= 0, and <= 1 where the denominator contains the numerator; tends to 0 where the denominator
        has less than :data:`~tallymark.core.reduce.EMPTY` pixels (undefined for exact masks).

    Raises:
        GeometryError: shapes that differ.

    Source: the founding case of Kulkarni, Raff & Oates 2026 (arXiv 2605.03059): fat against muscle.

    Example:
        >>> prob = torch.tensor([[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0]]])
        >>> area_ratio(prob, [0], [0, 1]).item()
        0.25
    """
    above = sum_space(within(union(prob, numerator), valid))
    below = sum_space(within(union(prob, denominator), valid))
    return (above / below.clamp(min=EMPTY))[:, 0]


def mean_intensity(
    prob: Float[Tensor, "b k *space"],
    image: Float[Tensor, "b c *space"],
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, "b k"]:
    """Mean intensity of the image inside each structure, the channels averaged.

    Args:
        prob: probability in [0, 1], not logits.
        image: intensities, in [0, 1] for the canonical unit.
        valid: pixels that show the image.

    Returns:
        In units of the image; tends to 0 for an empty mask (undefined for exact masks).

    Raises:
        GeometryError: shapes that differ.

    Example:
        >>> mean_intensity(torch.tensor([[[1.0, 1.0, 0.0]]]), torch.tensor([[[0.2, 0.4, 0.9]]]))
        tensor([[0.3000]])
    """
    grey = full_precision(image).mean(dim=1, keepdim=True)
    require_same_shape(prob[:, :1], grey, "prob and image")
    inside = within(prob, valid)
    return sum_space(inside * grey) / sum_space(inside).clamp(min=EMPTY)


def evaluate(
    statistics: Sequence[Statistic],
    structures: Sequence[str],
    prob: Float[Tensor, "b k *space"],
    *,
    valid: Bool[Tensor, "b 1 *space"] | None = None,
    spacing_mm: Float[Tensor, "b d"] | None = None,
    extent_mm: Float[Tensor, " b"] | None = None,
    image: Float[Tensor, "b c *space"] | None = None,
) -> Float[Tensor, "b s"]:
    """The statistics of a study on a batch of views, in canonical units.

    Args:
        statistics: what to evaluate, in the order of the result's columns.
        structures: names of the channels of ``prob``.
        prob: probability in [0, 1], not logits; or masks of 0 and 1.
        valid: pixels that show the image.
        spacing_mm: edges of the view's pixels in mm; lengths need it, and areas without an extent.
        extent_mm: area (mm2) or volume (mm3) of the whole image that the view shows. Areas are then the valid fraction
            times this, which stays true when the view is zoomed.
        image: intensities in [0, 1]; mean intensities need it.

    Returns:
        One column for each statistic: fractions in [0, 1], mm, mm2, mm3 or intensity. Lengths hold for views that keep
        the geometry of the image.

    Raises:
        StudyError: a statistic of a structure that ``structures`` does not name.
        GeometryError: a statistic in physical units without the size it needs, or with a unit of another dimension.
        ConfigError: a mean intensity without an image.

    Example:
        >>> lesion = Statistic("lesion", "area", of=("lesion",), unit="cm2")
        >>> prob = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
        >>> evaluate([lesion], ["lesion"], prob, extent_mm=torch.tensor([400.0]))  # mm2
        tensor([[100.]])
    """
    columns = []
    for statistic in statistics:
        statistic.require(
            structures,
            dimension=prob.ndim - 2,
            spacing=spacing_mm is not None or (statistic.kind == "area" and extent_mm is not None),
            image=image is not None,
        )
        of, over = ([structures.index(name) for name in names] for names in (statistic.of, statistic.over))
        inside = within(union(prob, of), valid)
        match statistic.kind:
            case "area_fraction":
                column = area_fraction(inside, valid)
            case "area_ratio":
                column = area_ratio(prob, of, over, valid)[:, None]
            case "mean_intensity":
                assert image is not None  # as required above
                column = mean_intensity(inside, image)
            case "area" if extent_mm is not None:
                extent, known = known_sizes(extent_mm[:, None].to(prob.device), "extent_mm")
                column = torch.where(known, area_fraction(inside, valid) * extent, torch.nan)
            case "area":
                assert spacing_mm is not None
                column = area(inside, spacing_mm)
            case "longest_axis" | "shortest_axis":
                assert spacing_mm is not None
                column = axis_lengths(inside, spacing_mm)[..., 0 if statistic.kind == "longest_axis" else 1]
        columns.append(column)
    return torch.cat(columns, dim=1) if columns else full_precision(prob.new_zeros(prob.shape[0], 0))
