"""The order in which pixels join a growing mask, and the mask of exactly so many of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

UNREACHED = np.iinfo(np.int64).max
"""Rank of a pixel that growth never reaches."""
_JUST_INSIDE = np.nextafter(np.float32(1), np.float32(0))


def rank(cost: Float[np.ndarray, "*space"], first: Bool[np.ndarray, "*space"]) -> Int[np.ndarray, "*space"]:
    """The place of every pixel in the order of growth, from 0.

    Pixels of equal cost come in an order drawn once for all images of a shape: independent of their place, so that a
    mask that ends among them leans to no side, and the same at every call.

    Args:
        cost: of each pixel, compared to seven digits; infinite where growth cannot reach.
        first: pixels that come before all others, among themselves by their cost.

    Returns:
        A permutation of 0, 1, ... over the pixels that can be reached; :data:`UNREACHED` elsewhere.

    Example:
        >>> rank(np.array([3.0, 1.0, np.inf, 2.0]), np.array([True, False, False, False])).tolist()[:2]
        [0, 1]
    """
    flat, ahead = cost.ravel(), first.ravel()
    drawn, place = _drawn(cost.size)
    reached = np.isfinite(flat) | ahead
    # One whole number a pixel (first or not, cost, place in the draw) sorts several times faster than costs do.
    bits = (flat + 0.0).astype(np.float32).view(np.uint32)  # + 0.0, for -0.0 has other bits
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    keys = np.sort(((~ahead).astype(np.uint64) << 63 | rising << 31 | place)[reached])
    ranks = np.full(cost.size, UNREACHED, dtype=np.int64)
    ranks[drawn[keys & np.uint64((1 << 31) - 1)]] = np.arange(len(keys))
    return ranks.reshape(cost.shape)


def lowest(
    cost: Float[np.ndarray, "*space"], first: Bool[np.ndarray, "*space"], count: int
) -> Bool[np.ndarray, "*space"]:
    """The ``count`` pixels that come first; the same as ``rank(cost, first) < count`` but for ties, and much faster.

    Example:
        >>> lowest(np.array([3.0, 1.0, np.inf, 2.0]), np.array([True, False, False, False]), 2).tolist()
        [True, True, False, False]
    """
    if int(first.sum()) >= count:
        return rank(cost, first) < count
    free = np.where(first, -np.inf, cost)
    chosen = np.zeros(cost.size, dtype=bool)
    chosen[np.argpartition(free, min(count, cost.size) - 1, axis=None)[:count]] = True
    return chosen.reshape(cost.shape) & (free < np.inf)


def order_of(ranks: Int[np.ndarray, "*space"], pixels: int) -> Float[np.ndarray, "*space"]:
    """Ranks in a unit that compares: 1 where a mask of ``pixels`` ends, growing like a distance; infinite if unreached.

    Example:
        >>> order_of(np.array([[0, 1, 2, UNREACHED]]), 2).round(2).tolist()
        [[0.5, 0.8700000047683716, 1.1200000047683716, inf]]
    """
    order = ((ranks + 0.5) / pixels) ** (1 / ranks.ndim)
    # In single precision the last pixel of a large volume would round to the outline.
    order = np.where(ranks < pixels, np.minimum(order, _JUST_INSIDE), order).astype(np.float32)
    return np.asarray(np.where(ranks == UNREACHED, np.float32(np.inf), order))


@lru_cache(maxsize=4)
def _drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in the order drawn, and the place of each pixel in it."""
    drawn = np.random.default_rng(0).permutation(count)
    place = np.empty(count, dtype=np.uint64)
    place[drawn] = np.arange(count, dtype=np.uint64)
    return drawn, place
