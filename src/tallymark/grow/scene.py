"""One structure of one image, cut down to what its growth can need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import label

from tallymark.grow.coarse import shrink, shrink_mask
from tallymark.grow.contrast import SCALE, SCALES, contrast, sigmas, smoothed, textures
from tallymark.grow.dynamics import depth_of
from tallymark.grow.order import lowest, order_of, rank
from tallymark.grow.paths import path_cost
from tallymark.grow.walker import walker_cost
from tallymark.grow.window import Window

# The surroundings of the marks in which a structure's look is measured: this share of the area, at least so many.
_NEAR_SHARE, _NEAR_PIXELS = 0.1, 9
# Walks end beyond so many times the area; the order of paths weighs this much against a walk's log-odds.
_WALK_REACH, _WALK_ORDER = 3, 2.0
# In a larger window a random walk takes longer than it is worth.
_WALKABLE = 2**19


@dataclass(frozen=True)
class Scene:
    """What a cost of growth is computed from.

    Args:
        marks: where the structure is.
        walls: where it is not, and where no path leads.
        image: in [0, 1], or None.
        distance: Euclidean, to the nearest mark, in units of the spacing.
        pixels: area to which the mask grows, >= 1.
        spacing: edge of a pixel along each axis.
        box: what was cut out of the image.
        shape: of the whole image.
        trusted: the marks belong to the mask in any case.
    """

    marks: Bool[np.ndarray, "*window"]
    walls: Bool[np.ndarray, "*window"]
    image: Float[np.ndarray, "*window c"] | None
    distance: Float[np.ndarray, "*window"]
    pixels: int
    spacing: Sequence[float]
    box: Window
    shape: Sequence[int]
    trusted: bool = True

    @property
    def picture(self) -> Float[np.ndarray, "*window c"]:
        """The image, where a cost cannot do without it."""
        assert self.image is not None
        return self.image

    @cached_property
    def first(self) -> Bool[np.ndarray, "*window"]:
        """The pixels that belong to the mask in any case."""
        return self.marks if self.trusted else np.zeros_like(self.marks)

    def rank(self, cost: Float[np.ndarray, "*window"]) -> Int[np.ndarray, "*window"]:
        """The ranks of a cost: no wall is ever reached, and the deepest marks come first."""
        cost = np.where(self.first, -self.depth, cost)
        return rank(np.where(self.walls, np.inf, cost), self.first)

    @cached_property
    def depth(self) -> Float[np.ndarray, "*window"]:
        """How deep each mark lies; 0 outside of the marks."""
        around = tuple(slice(max(0, along.min() - 1), along.max() + 2) for along in np.nonzero(self.marks))
        depth = np.zeros(self.marks.shape)
        depth[around] = depth_of(self.marks[around], self.spacing)
        return depth

    def order(self, ranks: Int[np.ndarray, "*window"]) -> Float[np.ndarray, "*window"]:
        """Ranks in a unit that compares; see :func:`tallymark.grow.order.order_of`."""
        return order_of(ranks, self.pixels)

    @cached_property
    def closed(self) -> Bool[np.ndarray, "*window"]:
        """Walls, and what they close off from every mark."""
        if not self.walls.any():
            return self.walls
        rooms, _ = label(~self.walls, np.ones((3,) * self.marks.ndim))
        return self.walls | ~np.isin(rooms, np.unique(rooms[self.marks]))

    @cached_property
    def straight(self) -> Float[np.ndarray, "*window"]:
        """Distance to the nearest mark, around the walls where there are any."""
        if self.walls.any():
            return path_cost(np.ones(self.marks.shape), self.marks, self.walls, self.spacing)
        return self.distance

    @cached_property
    def paths(self) -> Float[np.ndarray, "*window"]:
        """Straight distance plus the contrast along the cheapest path."""
        count = max(int(self.marks.sum()) + 1, round(_NEAR_SHARE * self.pixels), _NEAR_PIXELS)
        near = lowest(self.distance, self.marks, count)
        step = contrast(self.smooth, near & ~self.walls, self.spacing)
        return np.asarray(self.straight + path_cost(step, self.marks, self.walls, self.spacing))

    @cached_property
    def along(self) -> Float[np.ndarray, "*window"]:
        """The order of growth along minimal paths."""
        return self.order(self.rank(self.paths))

    @cached_property
    def walked(self) -> Float[np.ndarray, "*window"]:
        """The order of growth by random walks, with minimal paths where walks know no difference; or by these alone."""
        if self.marks.size > _WALKABLE:
            return self.along
        far = rank(self.distance, self.marks)
        # Where the area fills most of the window, the walk ends at the farthest pixels there are.
        outside = (far >= min(_WALK_REACH * self.pixels, self.marks.size - 1)) & ~self.marks | self.walls
        odds = walker_cost(self.picture, self.marks, outside, self.spacing)
        return self.order(self.rank(odds + _WALK_ORDER * self.along))

    @cached_property
    def smooth(self) -> Float[np.ndarray, "*window c"]:
        """The image at the finest scale."""
        return smoothed(self.picture, sigmas(SCALE, self.shape, self.spacing))

    @cached_property
    def features(self) -> Float[np.ndarray, "*window f"]:
        """Smoothed intensities at every scale, of every channel; then the texture at all scales but the finest."""
        widths = [sigmas(scale, self.shape, self.spacing) for scale in SCALES[1:]]
        coarser = [smoothed(self.picture, width) for width in widths]
        grain = [textures(self.picture, width, level) for width, level in zip(widths, coarser, strict=True)]
        return np.concatenate([self.smooth, *coarser, *grain], axis=-1)

    def shrunk(self, blocks: Sequence[int]) -> Scene:
        """The same scene on a coarser grid, one pixel for each block: marked, or a wall, where any of its pixels is."""
        if set(blocks) == {1}:
            return self
        marks = shrink_mask(self.marks, blocks)
        return Scene(
            marks=marks,
            walls=shrink_mask(self.walls, blocks) & ~marks,
            image=None if self.image is None else shrink(self.image, (*blocks, 1)),
            distance=np.where(marks, 0.0, shrink(self.distance, blocks)),
            pixels=max(1, round(self.pixels / math.prod(blocks))),
            spacing=[edge * block for edge, block in zip(self.spacing, blocks, strict=True)],
            box=self.box,
            shape=[-(-length // block) for length, block in zip(self.shape, blocks, strict=True)],
            trusted=self.trusted,
        )
