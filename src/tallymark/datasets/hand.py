"""Marks as people make them: a click, a stroke, a dab, a scribble; a forgotten component, a slip of the hand.

The same signature and promises as in :mod:`tallymark.datasets.generators`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import label
from scipy.spatial import cKDTree
from skimage.morphology import skeletonize

from tallymark.datasets.generators import MarkOptions, Mask, Per, depth_of, highest, parts


def click(
    mask: Bool[np.ndarray, "*space"], rng: np.random.Generator, options: MarkOptions
) -> Bool[np.ndarray, "*space"]:
    """One pixel: the deepest point plus N(0, (inradius / 4)^2) on each axis.

    A click that falls outside is moved to the nearest pixel of its component.

    Example:
        >>> thin = np.zeros((3, 9), dtype=bool)
        >>> thin[1, 1:8] = True
        >>> int(click(thin, np.random.default_rng(0), MarkOptions()).sum())
        1
    """
    marks = np.zeros_like(mask)
    for box, part in _pieces(mask, options.per):
        marks[box][_click_point(part, rng)[0]] = True
    return marks


def stroke(
    mask: Bool[np.ndarray, "*space"], rng: np.random.Generator, options: MarkOptions
) -> Bool[np.ndarray, "*space"]:
    """A line through the click, two straight arms near the long axis, clipped to the structure.

    Each arm leaves the long axis by an angle uniform in +-20 degrees; together they are 30-70 % of the structure's
    extent long, shared 30-70 % between them; 3 pixels wide at an image side of 256, in proportion at other sizes. In a
    volume the line is drawn on the plane of the click.

    Example:
        >>> bar = np.ones((40, 100), dtype=bool)
        >>> columns = np.nonzero(stroke(bar, np.random.default_rng(0), MarkOptions()))[1]
        >>> 20 <= int(np.ptp(columns)) <= 72
        True
    """
    marks = np.zeros_like(mask)
    for box, part in _pieces(mask, options.per):
        point = _click_point(part, rng)[0]
        marks[box][point] = True
        plane, flat = point[:-2], np.argwhere(part[point[:-2]])
        centred = flat - flat.mean(axis=0)
        axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
        extent = float(np.ptp(flat @ axis)) + 1
        length, balance = extent * rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7)
        arms = [
            _turned(axis, np.deg2rad(rng.uniform(-20, 20))) * reach
            for reach in (-balance * length, (1 - balance) * length)
        ]
        along = np.linspace(0, 1, 4 * int(np.ceil(extent)) + 1)[:, None]
        line = np.concatenate([np.array(point[-2:]) + along * arm for arm in arms])
        marks[box][plane] |= _drawn(part[plane], line, _pen(mask))
    return marks


def dab(mask: Bool[np.ndarray, "*space"], rng: np.random.Generator, options: MarkOptions) -> Bool[np.ndarray, "*space"]:
    """A disc (ball) of ``share`` of the structure, off centre, clipped to the structure.

    The centre is uniform over the pixels at least half as deep as the deepest.

    Example:
        >>> square = np.ones((9, 9), dtype=bool)
        >>> int(dab(square, np.random.default_rng(0), MarkOptions(share=5 / 81)).sum())  # a plus of 5 pixels
        5
    """
    return np.asarray(dab_unclipped(mask, rng, options) & mask)


def dab_unclipped(
    mask: Bool[np.ndarray, "*space"], rng: np.random.Generator, options: MarkOptions
) -> Bool[np.ndarray, "*space"]:
    """The disc of :func:`dab` that may reach over the border of the structure.

    Example:
        >>> bar = np.zeros((9, 9), dtype=bool)
        >>> bar[4] = True
        >>> marks = dab_unclipped(bar, np.random.default_rng(0), MarkOptions(share=1.0))
        >>> bool((marks & ~bar).any())
        True
    """
    marks = np.zeros_like(mask)
    pixels = np.indices(mask.shape)
    for box, part in _pieces(mask, options.per):
        depth = depth_of(part, None)
        within = np.argwhere(part & (depth >= depth.max() / 2))
        offset = np.array([axis.start for axis in box])
        centre = within[rng.integers(len(within))] + offset
        size = options.share * float(part.sum())
        radius = np.sqrt(size / np.pi) if mask.ndim == 2 else np.cbrt(3 * size / (4 * np.pi))
        squared = sum((axis - c) ** 2 for axis, c in zip(pixels, centre, strict=True))
        marks |= squared <= radius**2
        marks[tuple(centre)] = True
    return marks


def scribble(
    mask: Bool[np.ndarray, "*space"], rng: np.random.Generator, options: MarkOptions
) -> Bool[np.ndarray, "*space"]:
    """Part of the skeleton, drawn by an unsteady hand, clipped to the structure.

    From a random skeleton pixel the 30-70 % of the skeleton that is reached first is drawn, displaced on each axis by
    ``a + b t``, with t the distance from the start scaled to 0..1 and a, b from N(0, (inradius / 4)^2); pen and planes
    as in :func:`stroke`.

    Example:
        >>> bar = np.zeros((9, 40), dtype=bool)
        >>> bar[2:7, 2:38] = True
        >>> marks = scribble(bar, np.random.default_rng(0), MarkOptions())
        >>> bool(marks.any()), bool((marks & ~bar).any())
        (True, False)
    """
    marks = np.zeros_like(mask)
    for box, part in _pieces(mask, options.per):
        point, inradius = _click_point(part, rng)
        plane = point[:-2]
        middle = np.argwhere(skeletonize(part[plane]))
        if len(middle) == 0:
            middle = np.array([point[-2:]])
        start = middle[rng.integers(len(middle))]
        steps = _steps_from(middle, start)
        middle, steps = middle[np.isfinite(steps)], steps[np.isfinite(steps)]  # one plane may cut a volume twice
        reached = np.sort(steps)[max(0, round(rng.uniform(0.3, 0.7) * len(middle)) - 1)]
        kept = steps <= reached
        along = (steps[kept] / max(1.0, reached))[:, None]
        line = middle[kept] + rng.normal(0, inradius / 4, 2) + along * rng.normal(0, inradius / 4, 2)
        drawn = _drawn(part[plane], line, _pen(mask))
        if not drawn.any():
            drawn[_nearest(part[plane], line[0])] = True
        marks[box][plane] |= drawn
    return marks


def partial(
    mask: Bool[np.ndarray, "*space"], rng: np.random.Generator, options: MarkOptions
) -> Bool[np.ndarray, "*space"]:
    """A stroke in ``share`` of the components, chosen by chance, at least one; the others are forgotten.

    Example:
        >>> three = np.zeros((3, 11), dtype=bool)
        >>> three[:, 0:3] = three[:, 4:7] = three[:, 8:11] = True
        >>> marks = partial(three, np.random.default_rng(0), MarkOptions(share=0.34))
        >>> sum(bool(marks[:, left : left + 3].any()) for left in (0, 4, 8))
        1
    """
    labels, count = label(mask, np.ones((3,) * mask.ndim))
    if count == 0:
        return np.zeros_like(mask)
    chosen = 1 + rng.choice(count, max(1, round(options.share * count)), replace=False)
    return stroke(np.isin(labels, chosen), rng, MarkOptions(per="component"))


def outside(
    mask: Bool[np.ndarray, "*space"], rng: np.random.Generator, options: MarkOptions
) -> Bool[np.ndarray, "*space"]:
    """A stroke that slips: ``share`` of all marked pixels lie outside the structure, as a blot on its border.

    The blot is at least one pixel, unless the structure fills the picture: the pixels outside nearest to a random
    pixel of the structure's rim.

    Example:
        >>> square = np.pad(np.ones((20, 20), dtype=bool), 5)
        >>> marks = outside(square, np.random.default_rng(0), MarkOptions(share=0.5))
        >>> int((marks & ~square).sum()) == int((marks & square).sum())
        True
    """
    marks = stroke(mask, rng, options)
    free = int((~mask).sum())
    if not mask.any() or free == 0:
        return marks
    rim = np.argwhere(mask & (depth_of(mask, None) <= 1))
    at = rim[rng.integers(len(rim))]
    count = max(1, round(options.share / (1 - min(options.share, 0.99)) * int(marks.sum())))
    squared = sum((axis - c) ** 2 for axis, c in zip(np.indices(mask.shape), at, strict=True))
    return np.asarray(marks | highest(np.where(mask, -np.inf, -squared), min(count, free), rng))


def _pieces(mask: Mask, per: Per) -> Iterator[tuple[tuple[slice, ...], Mask]]:
    """As :func:`_parts`, but a hand marks connected things: per image, the component with the deepest point."""
    pieces = list(parts(mask, "component"))
    if per == "image" and pieces:
        pieces = [max(pieces, key=lambda piece: depth_of(piece[1], None).max())]
    yield from pieces


def _click_point(part: Mask, rng: np.random.Generator) -> tuple[tuple[int, ...], float]:
    """Where a person clicks into one component, and the component's inradius in pixels."""
    depth = depth_of(part, None)
    inradius = float(depth.max())
    centre = np.argwhere(highest(depth, 1, rng))[0]
    return _nearest(part, centre + rng.normal(0, inradius / 4, part.ndim)), inradius


def _nearest(part: Mask, point: Float[np.ndarray, " d"]) -> tuple[int, ...]:
    """The pixel of the structure nearest to a point."""
    inside = np.argwhere(part)
    return tuple(int(x) for x in inside[((inside - point) ** 2).sum(axis=1).argmin()])


def _turned(axis: Float[np.ndarray, " d"], angle: float) -> Float[np.ndarray, " d"]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([cos * axis[0] - sin * axis[1], sin * axis[0] + cos * axis[1]])


def _pen(mask: Mask) -> float:
    """Width of the line: 3 pixels at an in-plane side of 256, in proportion at other sizes, at least 1."""
    return max(1.0, 3 * float(max(mask.shape[-2:])) / 256)


def _drawn(part: Mask, line: Float[np.ndarray, "n d"], width: float) -> Mask:
    """The pixels of the structure within half a width of a densely sampled line."""
    inside = np.argwhere(part)
    distance, _ = cKDTree(line).query(inside, distance_upper_bound=width / 2 + 1e-9)
    marks = np.zeros_like(part)
    marks[tuple(inside[np.isfinite(distance)].T)] = True
    return marks


def _steps_from(pixels: np.ndarray, start: np.ndarray) -> Float[np.ndarray, " n"]:
    """Steps along 8-connected pixels from one of them; a piece that is not connected counts as infinitely far."""
    index = {tuple(pixel): i for i, pixel in enumerate(pixels.tolist())}
    steps = np.full(len(pixels), np.inf)
    front, distance = [tuple(start.tolist())], 0.0
    steps[index[front[0]]] = 0.0
    while front:
        distance += 1
        reached = []
        for row, column in front:
            for neighbour in ((row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
                at = index.get(neighbour)
                if at is not None and np.isinf(steps[at]):
                    steps[at] = distance
                    reached.append(neighbour)
        front = reached
    return steps
