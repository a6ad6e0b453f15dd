"""Marks made from a full mask by its depth alone: the paper's eroded masks, in two readings.

Every generator has one signature, ``(mask, rng, options) -> marks``: a boolean mask of one structure, (row, column) or
(plane, row, column), gives boolean marks of the same shape. An empty mask gives no marks, any other at least one
marked pixel. The generators are fixed, so that nobody tunes marks to a method; chance comes from ``rng`` alone.
Outside the picture counts as outside the structure. Components touch by faces, edges or corners.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_cdt, distance_transform_edt, find_objects, label

from tallymark.errors import ConfigError

Per = Literal["image", "component"]


@dataclass(frozen=True)
class MarkOptions:
    """What a generator may be told.

    Args:
        share: erosion, deepest, dab: share of the structure's pixels that is marked; partial: share of its components;
            outside: share of the marked pixels that lie outside. In (0, 1]. The others do not use it.
        per: "image" marks the structure once, "component" marks each of its connected components as if it were alone.
        spacing: pixel edges, (plane,) row, column, for the depth of "deepest"; None for equal edges.

    Raises:
        ConfigError: a share outside (0, 1] or an unknown ``per``.

    Example:
        >>> MarkOptions(share=0.04).per
        'image'
    """

    share: float = 0.08
    per: Per = "image"
    spacing: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError("the share of marks is out of range", found=self.share, expected="above 0, at most 1")
        if self.per not in get_args(Per):
            raise ConfigError("marks cannot be made so", found=repr(self.per), expected=" or ".join(get_args(Per)))


Mask = Bool[np.ndarray, "*space"]
Generator = Callable[[Mask, np.random.Generator, MarkOptions], Mask]


def erode(
    mask: Bool[np.ndarray, "*space"], rng: np.random.Generator, options: MarkOptions
) -> Bool[np.ndarray, "*space"]:
    """Erode by 3x3 (3x3x3) until at most ``share`` of the structure is left: the paper's literal reading.

    Where the erosion that falls below the share would leave nothing, the deepest pixels (Euclidean, chance on ties) of
    the last erosion that left something are kept, ``share`` of the structure rounded down, at least one. So the marked
    share never exceeds ``share`` unless a single pixel does.

    Source: Kulkarni, Raff and Oates 2026, arXiv 2605.03059, section on weak masks (erosion to 4, 8, 12 % of the ROI).
    n erosions keep the pixels of chessboard depth above n, so one distance transform replaces the loop.

    Example:
        >>> square = np.ones((5, 5), dtype=bool)
        >>> [int(erode(square, np.random.default_rng(0), MarkOptions(share)).sum()) for share in (0.4, 0.3, 0.01)]
        [9, 1, 1]
    """
    marks = np.zeros_like(mask)
    for box, part in parts(mask, options.per):
        depth = distance_transform_cdt(np.pad(part, 1), "chessboard")[_inner(part.ndim)]
        allowed = int(options.share * part.sum() + 1e-9)
        left = [int((depth > n).sum()) for n in range(depth.max() + 1)]
        rounds = next(n for n, count in enumerate(left) if count <= allowed or count == 0)
        if left[rounds]:
            marks[box] |= depth > rounds
        else:
            last = depth >= depth.max()
            marks[box] |= highest(np.where(last, depth_of(part, None), 0), max(1, allowed), rng)
    return marks


def deepest(
    mask: Bool[np.ndarray, "*space"], rng: np.random.Generator, options: MarkOptions
) -> Bool[np.ndarray, "*space"]:
    """Mark the ``share`` of the structure's pixels that lie deepest: exactly ``max(1, round(share * pixels))``.

    Depth is the Euclidean distance to the nearest pixel outside, in units of ``options.spacing``. Ties are broken by
    chance, not by raster order.

    Source: our second reading of the paper's erosion; an exact share, where the literal one falls short of it.

    Example:
        >>> square = np.ones((5, 5), dtype=bool)
        >>> [int(deepest(square, np.random.default_rng(0), MarkOptions(share)).sum()) for share in (0.36, 0.08, 0.01)]
        [9, 2, 1]
    """
    marks = np.zeros_like(mask)
    for box, part in parts(mask, options.per):
        count = max(1, round(options.share * int(part.sum())))
        marks[box] |= highest(depth_of(part, options.spacing), count, rng)
    return marks


def _inner(dimensions: int) -> tuple[slice, ...]:
    return (slice(1, -1),) * dimensions


def parts(mask: Mask, per: Per) -> Iterator[tuple[tuple[slice, ...], Mask]]:
    """The structure, or each of its components alone: where it lies and its mask cropped to that box."""
    labels = mask.astype(np.int32) if per == "image" else label(mask, np.ones((3,) * mask.ndim))[0]
    for index, box in enumerate(find_objects(labels), start=1):
        yield box, labels[box] == index


def depth_of(part: Mask, spacing: tuple[float, ...] | None) -> Float[np.ndarray, "*space"]:
    """Euclidean distance of each pixel of the structure to the nearest pixel outside, outside the picture included."""
    depth: Float[np.ndarray, "*space"] = distance_transform_edt(np.pad(part, 1), sampling=spacing)[_inner(part.ndim)]
    return depth


def highest(score: Float[np.ndarray, "*space"], count: int, rng: np.random.Generator) -> Mask:
    """The ``count`` pixels of highest score; chance decides between equals, not the raster."""
    flat = score.ravel()
    least = np.partition(flat, flat.size - count)[flat.size - count]
    marks = flat > least
    marks[rng.choice(np.flatnonzero(flat == least), count - int(marks.sum()), replace=False)] = True
    return np.asarray(marks.reshape(score.shape))
