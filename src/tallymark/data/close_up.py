"""A part of an image around what is marked in it, cut out, and brought back to its place."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped

# A close-up of what is long is so many times as large as it.
_ROOM = 1.5


class CloseUp(NamedTuple):
    """A box of pixels, which may reach beyond the image.

    Attributes:
        start: the first pixel along each axis; negative where the box begins before the image.
        shape: how many pixels along each axis.
    """

    start: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def around(
        cls, mask: Bool[np.ndarray, "*grid"], area: float, side: float, space: Sequence[int], spacing: Sequence[float]
    ) -> CloseUp:
        """The square (cube) around a mask whose side is so many times that of a square of the known area.

        A structure then fills every close-up alike, however large it is in the image. Where the mask is long, or in
        pieces, the square is one and a half times as large as needed to show all of it.

        Args:
            mask: of what is to be in the middle, on any grid of the image; not empty.
            area: of it, in pixels of the image.
            side: of the square, in sides of a square of that area.
            space: pixels of the image along each axis.
            spacing: edge of a pixel of the image along each axis, in any unit.

        Returns:
            The box.

        Example:
            >>> mask = np.zeros((10, 40), dtype=bool)
            >>> mask[4:6, 30:32] = True
            >>> CloseUp.around(mask, 4.0, 3.0, (10, 40), (1.0, 1.0))
            CloseUp(start=(2, 28), shape=(6, 6))
            >>> CloseUp.around(mask, 4.0, 3.0, (10, 40), (1.0, 0.5))  # pixels half as wide
            CloseUp(start=(3, 27), shape=(4, 8))
        """
        edges = np.asarray(spacing, dtype=np.float64)
        step = np.asarray(space) / np.asarray(mask.shape)
        where = np.argwhere(mask)
        centre = (where.mean(axis=0) + 0.5) * step
        # The farthest that the mask reaches from its centre decides, so that all of it is seen.
        reach = (np.abs((where + 0.5) * step - centre).max(axis=0) + step / 2) * edges
        length = max(side * (area * edges.prod()) ** (1 / mask.ndim), _ROOM * 2 * reach.max())
        shape = [max(1, round(each)) for each in length / edges]
        start = [round(middle - each / 2) for middle, each in zip(centre, shape, strict=True)]
        return cls(tuple(start), tuple(shape))

    @property
    def pixels(self) -> int:
        """How many pixels the box has, inside the image and beyond."""
        return math.prod(self.shape)

    def inside(self, space: Sequence[int]) -> Bool[np.ndarray, "*box"]:
        """The pixels of the box that the image has.

        Example:
            >>> CloseUp((-1, 1), (2, 2)).inside((5, 2)).astype(int).tolist()
            [[0, 0], [1, 0]]
        """
        return self.cut(np.ones(space, dtype=bool))

    def cut(self, pixels: Shaped[np.ndarray, "*image"], *, edge: bool = False) -> Shaped[np.ndarray, "*box"]:
        """What the box holds of an image.

        Args:
            pixels: axes of space first; others may follow.
            edge: beyond the image, go on with its outermost pixels; else with zeros.

        Example:
            >>> CloseUp((0, 1), (1, 3)).cut(np.array([[5, 6, 7]]), edge=True).tolist()
            [[6, 7, 7]]
        """
        places = [np.arange(first, first + count) for first, count in zip(self.start, self.shape, strict=True)]
        nearest = [place.clip(0, length - 1) for place, length in zip(places, pixels.shape, strict=False)]
        found: np.ndarray = pixels[np.ix_(*nearest)]
        if edge:
            return found
        there = [place == near for place, near in zip(places, nearest, strict=True)]
        seen = functools.reduce(np.logical_and, np.meshgrid(*there, indexing="ij", sparse=True))
        return np.asarray(np.where(seen.reshape(*seen.shape, *(1,) * (found.ndim - seen.ndim)), found, 0), found.dtype)

    def paste(
        self, values: Shaped[np.ndarray, "k *box"], space: Sequence[int], beyond: float
    ) -> Shaped[np.ndarray, "k *space"]:
        """Put what was found in the box back in its place.

        Args:
            values: of the box.
            space: pixels of the image along each axis.
            beyond: the value of every pixel outside of the box.

        Example:
            >>> CloseUp((-1, 1), (2, 2)).paste(np.array([[[1.0, 2.0], [3.0, 4.0]]]), (2, 3), beyond=0.0).tolist()
            [[[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]]]
        """
        image = np.full((len(values), *space), beyond, dtype=values.dtype)
        here, there = [], []
        for first, count, length in zip(self.start, self.shape, space, strict=True):
            begin, end = np.clip((first, first + count), 0, length)
            here.append(slice(begin, end))
            there.append(slice(begin - first, end - first))
        image[(slice(None), *here)] = values[(slice(None), *there)]
        return image
