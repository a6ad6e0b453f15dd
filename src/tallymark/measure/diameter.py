"""Diameters as calipers measure them: the longest across a 2-D mask, and the extent at right angles to it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from tallymark.errors import GeometryError
from tallymark.measure.statistics import pixel_edges


def longest_diameter(mask: Bool[np.ndarray, "r c"], spacing_mm: Sequence[float]) -> float:
    """Greatest distance between two points of a 2-D mask (maximum Feret diameter, the longest axis of RECIST).

    Args:
        mask: True inside; all of it counts as one body.
        spacing_mm: pixel edges in mm, row, column; > 0.

    Returns:
        mm; NaN for an empty mask. See :func:`diameters` for where a pixel ends.

    Raises:
        GeometryError: a mask that is not 2-D, or a spacing that does not fit it.

    Source: Eisenhauer et al. 2009, RECIST 1.1 (DOI 10.1016/j.ejca.2008.10.026).

    Example:
        >>> longest_diameter(np.array([[True, True, True]]), (1.0, 0.5))
        1.5
    """
    return diameters(mask, spacing_mm)[0]


def diameters(mask: Bool[np.ndarray, "r c"], spacing_mm: Sequence[float]) -> tuple[float, float]:
    """The longest diameter of a 2-D mask and its extent at right angles to it.

    A pixel reaches to the middles of its four edges, so that a run of n pixels is n edges long and a single pixel one
    edge. The extent at right angles is that of calipers closed on the whole mask; for shapes with hollows it may be
    longer than the short axis of RECIST, which is one chord inside. Where several diameters are equally long (a disc, a
    square), it is the largest of theirs.

    Args:
        mask: True inside; all of it counts as one body.
        spacing_mm: pixel edges in mm, row, column; > 0.

    Returns:
        Longest diameter and perpendicular extent in mm; NaN for an empty mask.

    Raises:
        GeometryError: a mask that is not 2-D, or a spacing that does not fit it.

    Source: the contour convention of scikit-image's ``feret_diameter_max``.

    Example:
        >>> diameters(np.ones((1, 4), bool), (1.0, 1.0))
        (4.0, 1.0)
    """
    if mask.ndim != 2:
        raise GeometryError("a diameter is measured in 2-D", found=f"a {mask.ndim}-D mask", remedy="choose a slice")
    edges = pixel_edges(mask, spacing_mm)
    if not mask.any():
        return math.nan, math.nan
    points = _outline(mask) * edges
    difference = points[:, None] - points[None]
    squared = (difference**2).sum(axis=2)
    longest = math.sqrt(squared.max())
    directions = difference[squared >= squared.max() * (1 - 1e-9)] / longest
    across = points @ np.stack([-directions[:, 1], directions[:, 0]])
    return longest, float(np.ptp(across, axis=0).max())


def _outline(mask: Bool[np.ndarray, "r c"]) -> Float[np.ndarray, "n 2"]:
    """Corners of the convex hull of the middles of all pixel edges, in pixels."""
    from scipy.spatial import ConvexHull

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    # Only the first and the last pixel of a row or a column can touch the hull.
    first, last = mask.argmax(axis=1)[rows], mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)[rows]
    top, bottom = mask.argmax(axis=0)[columns], mask.shape[0] - 1 - mask[::-1].argmax(axis=0)[columns]
    middles = [(rows, first - 0.5), (rows, last + 0.5), (top - 0.5, columns), (bottom + 0.5, columns)]
    points = np.concatenate([np.stack(np.broadcast_arrays(r, c), axis=1) for r, c in middles]).astype(np.float64)
    corners: Float[np.ndarray, "n 2"] = points[ConvexHull(points).vertices]
    return corners
