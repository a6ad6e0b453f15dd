"""Resizing that keeps fractions true and shifts nothing, for pictures and volumes alike.

Every axis is resized on its own by a sparse matrix. Pixels are areas, not points: pixel i of n covers [i/n, (i+1)/n] of
the image, before and after. The aspect ratio is not kept, so that a structure covers the same share of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.sparse
from jaxtyping import Bool, Float

from tallymark.errors import GeometryError

# The share of a pixel is a sum of float32 weights: a half may come out a rounding error below it.
_HALF = 0.5 - 1e-5


def resize_image(pixels: Float[np.ndarray, "*space c"], size: Sequence[int]) -> Float[np.ndarray, "*size c"]:
    """Resize an image: the mean over each new pixel where an axis shrinks, linear interpolation where it grows.

    Args:
        pixels: intensities.
        size: new length of each axis of space.

    Returns:
        float32, within the range of ``pixels``; where every axis shrinks, with the same mean.

    Raises:
        GeometryError: not one length >= 1 per axis.

    Example:
        >>> resize_image(np.array([[0.0, 1.0, 2.0, 3.0]])[..., None], (1, 2))[..., 0].tolist()
        [[0.5, 2.5]]
    """
    return _resize(pixels, tuple(size), first=0)


def upsample_probability(prob: Float[np.ndarray, "k *size"], space: Sequence[int]) -> Float[np.ndarray, "k *space"]:
    """Bring probabilities at the network's size back to the size of the image.

    Linear between the centres of pixels and constant beyond the outermost ones, so that nothing shifts against the
    image that :func:`resize_image` made smaller; where the image is smaller than the network's size, the mean.

    Args:
        prob: by structure.
        space: original length of each axis.

    Returns:
        float32, within the range of ``prob``.

    Raises:
        GeometryError: not one length >= 1 per axis.

    Example:
        >>> upsample_probability(np.array([[[0.0, 1.0]]]), (1, 4))[0].tolist()
        [[0.0, 0.25, 0.75, 1.0]]
    """
    return _resize(prob, tuple(space), first=1)


def resize_mask_fraction(mask: Bool[np.ndarray, "*space"], size: Sequence[int]) -> Float[np.ndarray, "*size"]:
    """The share of each new pixel that a mask covers.

    Args:
        mask: True in the foreground.
        size: new length of each axis.

    Returns:
        float32 in [0, 1]; its mean is the mean of the mask.

    Raises:
        GeometryError: not one length >= 1 per axis.

    Example:
        >>> resize_mask_fraction(np.array([[True, False, False, False]]), (1, 2)).tolist()
        [[0.5, 0.0]]
    """
    return _resize(mask, tuple(size), first=0, channels=False, area=True)


def resize_mask(mask: Bool[np.ndarray, "*space"], size: Sequence[int]) -> Bool[np.ndarray, "*size"]:
    """Resize a mask: a new pixel is foreground if the mask covers half of it.

    Args:
        mask: True in the foreground.
        size: new length of each axis.

    Returns:
        True in the foreground; what is smaller than half a new pixel is gone.

    Raises:
        GeometryError: not one length >= 1 per axis.

    Example:
        >>> resize_mask(np.array([[True, True, True, False, False, False]]), (1, 3)).tolist()
        [[True, True, False]]
    """
    return np.asarray(resize_mask_fraction(mask, size) >= _HALF)


def resize_marks(marks: Bool[np.ndarray, "*space"], size: Sequence[int]) -> Bool[np.ndarray, "*size"]:
    """Resize marks so that none is lost: like :func:`resize_mask`, but every connected component leaves a pixel.

    A component (its pixels touch by edges or corners) that nowhere covers half a new pixel leaves the one that it
    covers most; of several, the one nearest to its centre.

    Args:
        marks: True where marked.
        size: new length of each axis.

    Returns:
        True where marked.

    Raises:
        GeometryError: not one length >= 1 per axis.

    Example:
        >>> resize_marks(np.array([[False] * 7 + [True]]), (1, 2)).tolist()
        [[False, True]]
    """
    size = tuple(size)
    resized = resize_mask(marks, size)
    labels, _ = scipy.ndimage.label(marks, structure=np.ones((3,) * marks.ndim))
    for number, box in enumerate(scipy.ndimage.find_objects(labels), start=1):
        part = labels[box] == number
        share = part.astype(np.float32)
        starts = []
        for axis, (taken, length) in enumerate(zip(box, marks.shape, strict=True)):
            weights = _area_weights(length, size[axis])
            first = taken.start * size[axis] // length
            last = -(-taken.stop * size[axis] // length)
            share = _along(share, weights[first:last, taken], axis)
            starts.append(first)
        where = tuple(slice(first, first + length) for first, length in zip(starts, share.shape, strict=True))
        if (resized[where] & (share > 0)).any():
            continue
        best = np.argwhere(share >= share.max() - 1e-5) + starts
        centre = [
            (offset + taken.start + 0.5) * new / old - 0.5
            for offset, taken, new, old in zip(scipy.ndimage.center_of_mass(part), box, size, marks.shape, strict=True)
        ]
        resized[tuple(best[np.linalg.norm(best - centre, axis=1).argmin()])] = True
    return resized


def resize_layers(layers: Mapping[str, Bool[np.ndarray, "*space"]], size: Sequence[int]) -> dict[str, np.ndarray]:
    """Resize the marks of several structures: as :func:`resize_marks`, and no pixel is a mark of two of them.

    Args:
        layers: marks by structure, all of one shape; strokes of two may overlap.
        size: new length of each axis.

    Returns:
        Marks by structure; a pixel that is given to two, by hand or by a coarser grid, is a mark of neither.

    Raises:
        GeometryError: not one length >= 1 per axis.

    Example:
        >>> layers = {"left": np.array([[True, True, True, False]]), "right": np.array([[False, False, False, True]])}
        >>> {name: mask.tolist() for name, mask in resize_layers(layers, (1, 2)).items()}
        {'left': [[True, False]], 'right': [[False, False]]}
    """
    resized = {name: resize_marks(mask, size) for name, mask in layers.items()}
    several = np.sum(list(resized.values()), axis=0) > 1
    return {name: mask & ~several for name, mask in resized.items()}


def working_size(space: Sequence[int], side: int) -> tuple[int, ...]:
    """The size at which an image is grown: its own proportions, in-plane sides of at most ``side``, all planes.

    Example:
        >>> working_size((512, 384), 256), working_size((12, 100, 90), 256)
        ((256, 192), (12, 100, 90))
    """
    scale = min(1.0, side / max(space[-2:]))
    return (*space[:-2], *(max(1, round(length * scale)) for length in space[-2:]))


def resized_spacing(spacing: Sequence[float], was: Sequence[int], now: Sequence[int]) -> tuple[float, ...]:
    """Edges of a pixel after resizing: the image covers what it covered.

    Example:
        >>> resized_spacing((3.0, 0.5), (10, 100), (10, 50))
        (3.0, 1.0)
    """
    return tuple(edge * before / after for edge, before, after in zip(spacing, was, now, strict=True))


def _resize(
    values: np.ndarray, size: tuple[int, ...], first: int, channels: bool = True, area: bool = False
) -> np.ndarray:
    """Resize the axes of space, which start at ``first``."""
    axes = range(first, first + values.ndim - (1 if channels else 0))
    if len(axes) != len(size) or min(size, default=0) < 1 or 0 in values.shape:
        found = tuple(values.shape[axis] for axis in axes)
        raise GeometryError("this size does not fit the image", found=size, expected=f"{len(axes)} lengths for {found}")
    resized = values.astype(np.float32)
    for axis, length in zip(axes, size, strict=True):
        old = resized.shape[axis]
        if old != length:
            weights = _area_weights(old, length) if area or length < old else _linear_weights(old, length)
            resized = _along(resized, weights, axis)
    return resized


def _along(values: np.ndarray, weights: Any, axis: int) -> np.ndarray:
    moved = np.moveaxis(values, axis, 0)
    product = weights @ moved.reshape(len(moved), -1)
    return np.ascontiguousarray(np.moveaxis(product.reshape(-1, *moved.shape[1:]), 0, axis))


@lru_cache(maxsize=256)
def _area_weights(old: int, new: int) -> Any:
    """(new, old): the share of each new pixel that each old one covers.

    Cut at every edge, old and new, in units in which all are whole: an old pixel is ``new`` long, a new one ``old``.
    """
    edges = np.union1d(np.arange(old + 1) * new, np.arange(new + 1) * old)
    starts, lengths = edges[:-1], np.diff(edges)
    entries = (lengths / old).astype(np.float32)
    return scipy.sparse.csr_array((entries, (starts // old, starts // new)), shape=(new, old))


@lru_cache(maxsize=256)
def _linear_weights(old: int, new: int) -> Any:
    """(new, old): linear interpolation between the centres of the old pixels at the centres of the new ones."""
    centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    below = np.minimum(np.floor(centres).astype(int), max(old - 2, 0))
    above = np.minimum(below + 1, old - 1)
    share = (centres - below).astype(np.float32)
    rows = np.tile(np.arange(new), 2)
    entries = np.concatenate([1 - share, share])
    return scipy.sparse.csr_array((entries, (rows, np.concatenate([below, above]))), shape=(new, old))
