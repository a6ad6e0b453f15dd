"""The neighbours of a pixel: shifts of a window, and how much the pixels a shift apart belong together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Slices = tuple[slice, ...]


class Pairs(NamedTuple):
    """All pairs of pixels that are one shift apart.

    Attributes:
        here: one pixel of each pair, in a tensor (batch, channel, space).
        there: the other.
        weight: of each pair, (batch, 1, space).
        alike: what the weight is where the two look alike.
    """

    here: Slices
    there: Slices
    weight: Tensor
    alike: float


def bilateral(shade: Float[Tensor, "b c *space"], radius: int, position: float) -> Iterator[Pairs]:
    """The pairs of a window around every pixel, each pair once, with the weight exp(-d^2 / (2 position^2) - e^2 / 2).

    Args:
        shade: intensities; e is the difference of two, the squared differences of the channels add up.
        radius: half the edge of the window, in pixels; shifts that are longer than the image have no pairs.
        position: deviation of the distance d, in pixels.

    Example:
        >>> pairs, = bilateral(torch.tensor([[[0.0, 0.0, 9.0]]]), 1, 1e6)
        >>> pairs.weight
        tensor([[[1.0000e+00, 2.5768e-18]]])
    """
    for shift in half_window(radius, shade.ndim - 2):
        if any(abs(step) >= length for step, length in zip(shift, shade.shape[2:], strict=True)):
            continue
        here, there = overlap(shift)
        apart = sum(step**2 for step in shift) / position**2
        unlike = (shade[here] - shade[there]).square().sum(dim=1, keepdim=True)
        yield Pairs(here, there, torch.exp(-(unlike + apart) / 2), math.exp(-apart / 2))


def half_window(radius: int, dimension: int) -> Iterator[tuple[int, ...]]:
    """One of each two opposite shifts of the window, the centre left out.

    Example:
        >>> list(half_window(1, 2))
        [(0, 1), (1, -1), (1, 0), (1, 1)]
    """
    reach = range(-radius, radius + 1)
    return (shift for shift in itertools.product(reach, repeat=dimension) if shift > (0,) * dimension)


def overlap(shift: tuple[int, ...]) -> tuple[Slices, Slices]:
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
