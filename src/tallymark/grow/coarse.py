"""Coarser grids, for what is smooth: block means down, linear interpolation up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.ndimage import zoom


def blocks_of(factor: int, spacing: Sequence[float]) -> tuple[int, ...]:
    """Pixels along each axis of blocks that are ``factor`` short pixels wide, and about as long in every direction.

    Example:
        >>> blocks_of(4, (2.0, 0.5, 0.5))
        (1, 4, 4)
    """
    return tuple(max(1, round(factor * min(spacing) / edge)) for edge in spacing)


def shrink(array: Shaped[np.ndarray, "*fine"], blocks: Sequence[int]) -> Float[np.ndarray, "*coarse"]:
    """The mean of each block of pixels; blocks cut off at the border are filled up with its values.

    Example:
        >>> shrink(np.array([[1.0, 3.0, 5.0]]), (1, 2)).tolist()
        [[2.0, 5.0]]
    """
    return _folded(array, blocks, np.add) / math.prod(blocks)


def shrink_mask(mask: Bool[np.ndarray, "*fine"], blocks: Sequence[int]) -> Bool[np.ndarray, "*coarse"]:
    """Whether any pixel of each block is True.

    Example:
        >>> shrink_mask(np.array([[False, True, False]]), (1, 2)).tolist()
        [[True, False]]
    """
    return _folded(mask, blocks, np.logical_or)


def enlarge(
    array: Float[np.ndarray, "*coarse"], blocks: Sequence[int], shape: Sequence[int]
) -> Float[np.ndarray, "*fine"]:
    """Back to the fine grid of this shape.

    Example:
        >>> enlarge(np.array([[2.0, 6.0]]), (1, 2), (1, 3)).tolist()
        [[2.0, 3.0, 5.0]]
    """
    if set(blocks) == {1}:
        return array
    fine = zoom(array, tuple(blocks), order=1, grid_mode=True, mode="nearest")
    return np.asarray(fine[tuple(slice(0, length) for length in shape)])


def _folded(array: np.ndarray, blocks: Sequence[int], fold: np.ufunc) -> np.ndarray:
    """Sums over slices of every other pixel: many times faster than a reduction of each block."""
    for axis, block in enumerate(blocks):
        lacking = [(0, -length % block if i == axis else 0) for i, length in enumerate(array.shape)]
        along = np.moveaxis(np.pad(array, lacking, mode="edge"), axis, 0)
        array = np.moveaxis(reduce(fold, [along[offset::block] for offset in range(block)]), 0, axis)
    return array
