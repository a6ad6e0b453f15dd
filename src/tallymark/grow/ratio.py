"""Areas of two structures of which only the ratio is known: the ratio divides, something else must say how much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped
from scipy.ndimage import binary_dilation, binary_erosion, label

from tallymark.grow.contrast import SCALE, sigmas, smoothed, steepness
from tallymark.grow.growth import grow
from tallymark.grow.order import rank

# Sizes that are tried, each so much larger than the one before: from twice the marks to thirty times, or so much of the
# room.
_STEP = 1.08
_LEAST, _MOST, _ROOM = 2, 30, 0.6


class Scale(NamedTuple):
    """How much two structures cover together.

    Attributes:
        pixels: their area.
        by: ``drawn`` where marks of "none of these" close it in; ``contrast`` where the image was asked.
    """

    pixels: int
    by: Literal["drawn", "contrast"]


def scale_of(
    marks: Bool[np.ndarray, "*space"],
    image: Shaped[np.ndarray, "*image"] | None = None,
    spacing: Sequence[float] | None = None,
    *,
    walls: Bool[np.ndarray, "*space"] | None = None,
) -> Scale | None:
    """The area of what the marks lie in, without any number of it.

    Where "none of these" was drawn all around the marks, it is the area inside. Else the marks are grown along minimal
    paths to many areas, and the one is chosen on whose outline the image is steepest. That is a guess: no ratio says
    how large its parts are, and where the parts themselves differ much, the steepest outline may run inside.

    Args:
        marks: on any of the structures.
        image: in [0, 1], of the shape of the marks, or with a last axis of channels; None: only what was drawn counts.
        spacing: edge of a pixel along each axis; None: all alike.
        walls: where none of the structures is.

    Returns:
        None without marks, and where nothing says how large it is.

    Source: ours; the steepest outline is what geodesic active contours look for (Caselles, Kimmel & Sapiro 1997, doi
        10.1023/A:1007979827043). On cardiac MRI with human scribbles the area of both chambers' wall and blood is found
        within 25 % on half of the slices (median 1.05 of the truth); in synthetic marbled muscle, whose streaks are
        steeper than its outline, seldom (median 0.5).

    Example:
        >>> image = np.zeros((24, 24))
        >>> image[6:18, 6:18] = 1.0
        >>> marks, fence = np.zeros((2, 24, 24), dtype=bool)
        >>> marks[10:13, 11:13] = True
        >>> abs(scale_of(marks, image).pixels - 12 * 12) < 15
        True
        >>> fence[4:20, 4:20] = True
        >>> fence[5:19, 5:19] = False
        >>> scale_of(marks, image, walls=fence)
        Scale(pixels=196, by='drawn')
    """
    if not marks.any():
        return None
    closed = np.zeros_like(marks) if walls is None else walls & ~marks
    drawn = _enclosed(marks, closed)
    if drawn is not None:
        return Scale(int(drawn.sum()), "drawn")
    least, most = _LEAST * int(marks.sum()), int(min(_MOST * marks.sum(), _ROOM * (~closed).sum()))
    if image is None or least >= most:
        return None
    growth = grow(marks, round((least * most) ** 0.5), image, spacing, "paths", excluded=closed, reach=most)
    edges = (1.0,) * marks.ndim if spacing is None else tuple(spacing)
    picture = np.asarray(image.reshape(*marks.shape, -1), dtype=np.float64)
    smooth = smoothed(picture, sigmas(SCALE, marks.shape, edges))
    ranks = rank(growth.order, marks)
    count = int(np.log(most / least) / np.log(_STEP)) + 2
    areas = np.unique(np.geomspace(least, most, count).astype(int))
    steep = steepness(smooth, edges)
    along = [float(steep[_outline(ranks < area)].mean()) for area in areas]
    return Scale(int(areas[int(np.argmax(along))]), "contrast")


def split(pixels: int, ratio: tuple[float, float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The areas of the part and of the rest, least and most, of a whole whose ratio lies in an interval.

    Example:
        >>> split(100, (0.2, 0.25))
        ((20.0, 25.0), (75.0, 80.0))
    """
    low, high = ratio
    return (low * pixels, high * pixels), ((1 - high) * pixels, (1 - low) * pixels)


def _enclosed(
    marks: Bool[np.ndarray, "*space"], walls: Bool[np.ndarray, "*space"]
) -> Bool[np.ndarray, "*space"] | None:
    """The rooms that hold marks, if walls part them from most of the sides of the image.

    What the image cuts off is closed in by a line from side to side; a small ring elsewhere closes in nothing.
    """
    if not walls.any():
        return None
    rooms, _ = label(~walls)
    inside = np.isin(rooms, np.unique(rooms[marks]))
    sides = np.ones_like(inside)
    sides[(slice(1, -1),) * inside.ndim] = False
    return inside if (inside & sides).sum() < 0.5 * (~walls & sides).sum() else None


def _outline(mask: Bool[np.ndarray, "*space"]) -> Bool[np.ndarray, "*space"]:
    """The pixels on both sides."""
    return np.asarray(binary_dilation(mask) & ~binary_erosion(mask))
