"""The part of an image that a growth can need: what lies farther from the marks is never looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt

Window = tuple[slice, ...]


def window_of(
    marks: Bool[np.ndarray, "*space"], pixels: int, spacing: Sequence[float]
) -> tuple[Window, Float[np.ndarray, "*window"]]:
    """The smallest box found that holds the ``pixels`` pixels nearest to the marks, and their distances.

    Args:
        marks: at least one.
        pixels: how many pixels must lie in the box, for certain.
        spacing: edge of a pixel along each axis, in any unit.

    Returns:
        The box, and the Euclidean distance to the nearest mark within it, in the unit of the spacing. The distances of
        the nearest ``pixels`` pixels are right; every pixel outside of the box is farther than they are.

    Example:
        >>> marks = np.zeros((100, 100), dtype=bool)
        >>> marks[50, 50] = True
        >>> box, distance = window_of(marks, 9, (1.0, 1.0))
        >>> box, distance.shape
        ((slice(48, 53, None), slice(48, 53, None)), (5, 5))
    """
    if pixels >= marks.size:
        whole = tuple(slice(0, length) for length in marks.shape)
        return whole, np.asarray(distance_transform_edt(~marks, sampling=spacing), dtype=np.float64)
    extent = [(along.min(), along.max() + 1) for along in np.nonzero(marks)]
    # A ball of this volume holds so many pixels if nothing of it is cut off at the border of the image.
    volume = pixels * math.prod(spacing)
    reach = math.sqrt(volume / math.pi) if marks.ndim == 2 else math.cbrt(3 * volume / (4 * math.pi))
    while True:
        margin = [math.ceil(reach / edge) for edge in spacing]
        box = tuple(
            slice(max(0, int(first) - m), min(length, int(last) + m))
            for (first, last), m, length in zip(extent, margin, marks.shape, strict=True)
        )
        distance = distance_transform_edt(~marks[box], sampling=spacing)
        if distance.shape == marks.shape or int((distance <= reach).sum()) >= pixels:
            return box, np.asarray(distance, dtype=np.float64)
        reach *= 1.3


def touches(mask: Bool[np.ndarray, "*window"], box: Window, shape: Sequence[int]) -> bool:
    """Whether a mask reaches a side of its box behind which the image goes on.

    Example:
        >>> touches(np.array([[True, False]]), (slice(0, 1), slice(0, 2)), (1, 5))
        False
        >>> touches(np.array([[False, True]]), (slice(0, 1), slice(0, 2)), (1, 5))
        True
    """
    for axis, (side, length) in enumerate(zip(box, shape, strict=True)):
        along = np.moveaxis(mask, axis, 0)
        if (side.start > 0 and along[0].any()) or (side.stop < length and along[-1].any()):
            return True
    return False
