"""Coarser grids, for what is smooth: block means down, linear interpolation up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Shaped
from scipy.ndimage import zoom
from skimage.measure import block_reduce


def blocks_of(factor: int, spacing: Sequence[float]) -> tuple[int, ...]:
    """Pixels along each axis of blocks that are ``factor`` short pixels wide, and about as long in every direction.

    Example:
        >>> blocks_of(4, (2.0, 0.5, 0.5))
        (1, 4, 4)
    """
    return tuple(max(1, round(factor * min(spacing) / edge)) for edge in spacing)


def shrink(
    array: Shaped[np.ndarray, "*fine"], blocks: Sequence[int], of: Callable[..., object] = np.mean
) -> Shaped[np.ndarray, "*coarse"]:
    """One value for each block of pixels; blocks cut off at the border are filled up with its values.

    Example:
        >>> shrink(np.array([[1.0, 3.0, 5.0]]), (1, 2)).tolist()
        [[2.0, 5.0]]
    """
    if set(blocks) == {1}:
        return array
    lacking = [(0, -length % block) for length, block in zip(array.shape, blocks, strict=True)]
    return np.asarray(block_reduce(np.pad(array, lacking, mode="edge"), tuple(blocks), of))


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
