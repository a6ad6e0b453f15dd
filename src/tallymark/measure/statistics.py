"""Exact statistics of boolean masks, each with its unit.

The reference for :mod:`tallymark.core.statistics`, which has the same names. What an empty mask does not have (a share
of nothing, a position, a length) is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Shaped

from tallymark.errors import GeometryError
from tallymark.measure.definition import Statistic


def area_fraction(mask: Bool[np.ndarray, "*space"]) -> float:
    """Share of the image that the mask covers.

    Args:
        mask: True inside.

    Returns:
        Fraction in [0, 1].

    Source: Kulkarni, Raff & Oates 2026 (arXiv 2605.03059), the number their physicians kept.

    Example:
        >>> area_fraction(np.array([[True, False], [False, False]]))
        0.25
    """
    return float(mask.mean())


def area(mask: Bool[np.ndarray, "*space"], spacing_mm: Sequence[float]) -> float:
    """Area (2-D) or volume (3-D) of the mask.

    Args:
        mask: True inside.
        spacing_mm: pixel edges in mm, (plane,) row, column; > 0.

    Returns:
        mm2 or mm3, >= 0.

    Raises:
        GeometryError: spacing that is not positive, or of another dimension than the mask.

    Example:
        >>> area(np.ones((2, 3), bool), (0.5, 2.0))  # 6 pixels of 1 mm2
        6.0
    """
    return float(mask.sum() * np.prod(pixel_edges(mask, spacing_mm)))


def area_ratio(numerator: Bool[np.ndarray, "*space"], denominator: Bool[np.ndarray, "*space"]) -> float:
    """Area of one mask over the area of another, for example fat over the union of fat and muscle.

    Args:
        numerator: True inside.
        denominator: True inside.

    Returns:
        >= 0, and <= 1 where the denominator contains the numerator; NaN for an empty denominator.

    Raises:
        GeometryError: masks of different shapes.

    Source: the founding case of Kulkarni, Raff & Oates 2026 (arXiv 2605.03059): fat against muscle.

    Example:
        >>> area_ratio(np.array([True, False, False, False]), np.array([True, True, True, True]))
        0.25
    """
    require_same_shape(numerator, denominator)
    below = int(denominator.sum())
    return int(numerator.sum()) / below if below else math.nan


def mean_intensity(mask: Bool[np.ndarray, "*space"], image: Shaped[np.ndarray, "*space c"]) -> float:
    """Mean intensity of the image inside the mask, the channels averaged.

    Args:
        mask: True inside.
        image: channels last, in any unit; the canonical one is intensity scaled to [0, 1].

    Returns:
        In units of the image; NaN for an empty mask.

    Raises:
        GeometryError: an image of another size than the mask.

    Example:
        >>> mean_intensity(np.array([True, True, False]), np.array([[0.25], [0.75], [9.0]]))
        0.5
    """
    if image.shape[:-1] != mask.shape:
        raise GeometryError(
            "the image does not fit the mask",
            found=f"image {image.shape}, mask {mask.shape}",
            expected="the shape of the mask, then channels",
        )
    return float(image[mask].mean(dtype=np.float64)) if mask.any() else math.nan


def centroid(mask: Bool[np.ndarray, "*space"], spacing_mm: Sequence[float]) -> Float[np.ndarray, " d"]:
    """Centre of mass of the mask.

    Args:
        mask: True inside.
        spacing_mm: pixel edges in mm, (plane,) row, column; > 0.

    Returns:
        mm from the centre of the first pixel, (plane,) row, column; NaN for an empty mask.

    Raises:
        GeometryError: spacing that is not positive, or of another dimension than the mask.

    Example:
        >>> centroid(np.array([[False, False, False], [False, True, True]]), (2.0, 1.0)).tolist()
        [2.0, 1.5]
    """
    edges = pixel_edges(mask, spacing_mm)
    if not mask.any():
        return np.full(mask.ndim, np.nan)
    centre: Float[np.ndarray, " d"] = np.argwhere(mask).mean(axis=0) * edges
    return centre


def axis_lengths(mask: Bool[np.ndarray, "*space"], spacing_mm: Sequence[float]) -> tuple[float, float]:
    """Longest and shortest axis of the ellipse (2-D) or ellipsoid (3-D) with the mask's second moments.

    A filled ellipsoid with semi-axis a has the variance a^2 / (d + 2) along it, so that an axis is
    2 sqrt((d + 2) lambda), with lambda the largest or smallest eigenvalue of the covariance: 4 sqrt(lambda) in 2-D.

    Args:
        mask: True inside; all of it counts as one body.
        spacing_mm: pixel edges in mm, (plane,) row, column; > 0.

    Returns:
        Longest and shortest in mm; 0 for a single pixel and across a line one pixel wide (pixels are points at their
        centres); NaN for an empty mask.

    Raises:
        GeometryError: spacing that is not positive, or of another dimension than the mask.

    Source: ``axis_major_length`` and ``axis_minor_length`` of scikit-image, there for isotropic pixels in 3-D too.

    Example:
        >>> longest, shortest = axis_lengths(np.ones((1, 4), bool), (1.0, 1.0))  # columns 0 to 3: variance 1.25
        >>> round(longest, 4), shortest
        (4.4721, 0.0)
    """
    edges = pixel_edges(mask, spacing_mm)
    if not mask.any():
        return math.nan, math.nan
    points = np.argwhere(mask) * edges
    points -= points.mean(axis=0)
    variance = np.linalg.eigvalsh(points.T @ points / len(points)).clip(min=0)
    shortest, *_, longest = 2 * np.sqrt((mask.ndim + 2) * variance)
    return float(longest), float(shortest)


def evaluate(
    statistics: Sequence[Statistic],
    masks: Mapping[str, Bool[np.ndarray, "*space"]],
    *,
    spacing_mm: Sequence[float] | None = None,
    image: Shaped[np.ndarray, "*space c"] | None = None,
) -> dict[str, float]:
    """The statistics of a study on the masks of one image, in the units of the study's table.

    Args:
        statistics: what to evaluate.
        masks: one mask for each structure.
        spacing_mm: pixel edges in mm, (plane,) row, column; lengths, areas and volumes need it.
        image: channels last, in [0, 1]; mean intensities need it.

    Returns:
        Value by the name of the statistic; NaN where the masks do not have one (see the single functions).

    Raises:
        StudyError: a statistic of a structure that has no mask.
        GeometryError: a statistic in physical units without the spacing, or with a unit of another dimension; masks
            of different shapes.
        ConfigError: a mean intensity without an image.

    Example:
        >>> share = Statistic("lesion share", "area_fraction", of=("lesion",), unit="percent")
        >>> evaluate([share], {"lesion": np.array([[True, False], [False, False]])})
        {'lesion share': 25.0}
    """
    return {s.name: _canonical(s, masks, spacing_mm, image) / s.scale for s in statistics}


def _canonical(
    statistic: Statistic,
    masks: Mapping[str, Bool[np.ndarray, "*space"]],
    spacing_mm: Sequence[float] | None,
    image: Shaped[np.ndarray, "*space c"] | None,
) -> float:
    dimension = next(iter(masks.values())).ndim if masks else 0
    statistic.require(masks, dimension=dimension, spacing=spacing_mm is not None, image=image is not None)
    of = _union(masks, statistic.of)
    match statistic.kind:
        case "area_fraction":
            return area_fraction(of)
        case "area_ratio":
            return area_ratio(of, _union(masks, statistic.over))
        case "mean_intensity":
            assert image is not None  # as required above
            return mean_intensity(of, image)
        case "area":
            assert spacing_mm is not None
            return area(of, spacing_mm)
        case "longest_axis":
            assert spacing_mm is not None
            return axis_lengths(of, spacing_mm)[0]
        case "shortest_axis":
            assert spacing_mm is not None
            return axis_lengths(of, spacing_mm)[1]


def _union(masks: Mapping[str, Bool[np.ndarray, "*space"]], names: Sequence[str]) -> Bool[np.ndarray, "*space"]:
    result = masks[names[0]]
    for name in names[1:]:
        require_same_shape(result, masks[name])
        result = result | masks[name]
    return result


def pixel_edges(mask: Bool[np.ndarray, "*space"], spacing_mm: Sequence[float]) -> Float[np.ndarray, " d"]:
    """The spacing as an array that fits the mask.

    Raises:
        GeometryError: spacing that is not positive and finite, or of another dimension than the mask.

    Example:
        >>> pixel_edges(np.ones((2, 2), bool), (0.5, 2.0)).tolist()
        [0.5, 2.0]
    """
    edges = np.asarray(spacing_mm, dtype=np.float64)
    if edges.shape != (mask.ndim,) or not (np.isfinite(edges) & (edges > 0)).all():
        raise GeometryError(
            "the spacing does not fit the mask",
            where="spacing_mm",
            found=edges.tolist(),
            expected=f"{mask.ndim} edges in mm, each > 0",
        )
    return edges


def require_same_shape(one: Shaped[np.ndarray, "..."], other: Shaped[np.ndarray, "..."]) -> None:
    """Refuse masks of different shapes, even where they would broadcast.

    Raises:
        GeometryError: the shapes differ.

    Example:
        >>> require_same_shape(np.ones(2), np.ones(1))
        Traceback (most recent call last):
        ...
        tallymark.errors.GeometryError: masks of one image differ in shape; found (2,) and (1,)
    """
    if one.shape != other.shape:
        raise GeometryError("masks of one image differ in shape", found=f"{one.shape} and {other.shape}")
