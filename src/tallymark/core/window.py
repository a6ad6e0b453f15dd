"""The neighbours of a pixel: shifts of a window, and where a tensor meets its own shifted copy."""

from __future__ import annotations

import itertools
from collections.abc import Iterator


def half_window(radius: int, dimension: int) -> Iterator[tuple[int, ...]]:
    """One of each two opposite shifts of the window, the centre left out.

    Example:
        >>> list(half_window(1, 2))
        [(0, 1), (1, -1), (1, 0), (1, 1)]
    """
    reach = range(-radius, radius + 1)
    return (shift for shift in itertools.product(reach, repeat=dimension) if shift > (0,) * dimension)


def overlap(shift: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The pixels of a tensor (batch, channel, space) that have a neighbour a shift further on, and those neighbours.

    Example:
        >>> here, there = overlap((1, -2))
        >>> here[2:], there[2:]
        ((slice(0, -1, None), slice(2, None, None)), (slice(1, None, None), slice(0, -2, None)))
    """
    whole = (slice(None), slice(None))
    here = tuple(slice(max(0, -step), -step if step > 0 else None) for step in shift)
    there = tuple(slice(max(0, step), step if step < 0 else None) for step in shift)
    return whole + here, whole + there
