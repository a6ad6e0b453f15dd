"""Masks that a promptable network proposes: asked by the marks, chosen and cut by the number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.ndimage import distance_transform_edt, find_objects, label
from scipy.special import expit

from tallymark.grow.area import Area, AreaLike
from tallymark.grow.dynamics import depth_of
from tallymark.grow.growth import Growth, grow, settled
from tallymark.grow.order import rank
from tallymark.grow.scene import Scene

Ask = Callable[[Float[np.ndarray, "n 2"], Bool[np.ndarray, " n"], Float[np.ndarray, " 4"] | None], np.ndarray]
"""Points (row, column), which of them lie inside, and a box (first and last row and column: top, left, bottom, right)
or None; gives the logits of some candidates, ``(candidate, row, column)``, each time as many and of the same kinds."""
Look = Callable[[Float[np.ndarray, "row column c"]], Ask]
"""Takes in an image in [0, 1], once for all that it is asked about it."""

# Points of each marked component, and of all of them: a few say what many do.
_POINTS, _ALL_POINTS = 3, 9
_TOUCHING = np.ones((3, 3))


def grow_candidates(
    marks: Bool[np.ndarray, "*space"],
    area: AreaLike,
    image: Shaped[np.ndarray, "*image"],
    look: Look,
    spacing: Sequence[float] | None = None,
    cost: str = "auto",
    *,
    excluded: Bool[np.ndarray, "*space"] | None = None,
    trust: bool = True,
) -> Growth:
    """Grow the marks to the known area in the order in which a promptable network, such as SAM, would.

    The marks are first grown as by :func:`tallymark.grow.grow`. Of each connected piece of that growth the network is
    asked three times: with points from the marks, with the box around the piece, and with both; points of ``excluded``
    near the box say "not this". What it answers of all pieces, joined, are the candidates. The one that agrees best
    with the number and the marks (:func:`agreement`) is kept, and cut at exactly the area, marks inside and excluded
    pixels outside. No full mask is needed for any of it.

    A volume is asked about plane by plane, in the planes that the first growth reaches, and only there can the mask be.
    Where a piece holds no mark, its own deepest points stand in.

    Args:
        marks: as for :func:`tallymark.grow.grow`.
        area: as there.
        image: in [0, 1], of the shape of the marks, or with a last axis of channels.
        look: the network; ``look`` of :class:`tallymark.models.promptable.PromptableNetwork`, or any function alike.
        spacing: as there.
        cost: of the first growth.
        excluded: as there.
        trust: as there.

    Returns:
        The growth, with ``cost`` "candidates". Where there is nothing to ask (no number, no mark, an exact zero), what
        :func:`tallymark.grow.grow` gives.

    Raises:
        ConfigError: as there.
        GeometryError: as there.

    Source: Kirillov et al. 2023 (SAM, arXiv 2304.02643) propose several masks for a prompt and choose by a predicted
        quality; choosing and cutting by a kept number is ours.

    Example:
        >>> def look(image):  # proposes what is bright, or everything
        ...     bright = np.where(image[..., 0] > 0.5, 5.0, -5.0)
        ...     return lambda points, inside, box: np.stack([np.full_like(bright, 5.0), bright])
        >>> image = np.array([[0.1, 0.9, 0.8, 0.9, 0.1, 0.1]])
        >>> marks = np.array([[False, True, False, False, False, False]])
        >>> grow_candidates(marks, 3, image, look).mask.astype(int).tolist()
        [[0, 1, 1, 1, 0, 0]]
    """
    start = grow(marks, area, image, spacing, cost, excluded=excluded, trust=trust)
    known = Area.of(area, marks.size)
    if known is None or not start.outer.any():
        return start
    walls = np.zeros_like(marks) if excluded is None else excluded & ~marks
    edges = (1.0,) * marks.ndim if spacing is None else tuple(float(edge) for edge in spacing)
    logits = _candidates(marks, walls, np.asarray(image).reshape(*marks.shape, -1), start.outer, look, edges)
    best = max(range(len(logits)), key=lambda index: agreement(logits[index], known, marks, walls))
    whole = tuple(slice(0, length) for length in marks.shape)
    distance = np.asarray(distance_transform_edt(~marks, sampling=edges))
    scene = Scene(marks, walls, None, distance, known.target, edges, whole, marks.shape, trust)
    return settled("candidates", scene.rank(-logits[best].astype(np.float64)), scene, known)


def agreement(
    logits: Float[np.ndarray, "*space"],
    area: Area,
    marks: Bool[np.ndarray, "*space"],
    walls: Bool[np.ndarray, "*space"],
) -> float:
    """How well a candidate agrees with what is known: its size, the marks it hits, the walls it spares.

    min(a, k) / max(a, k) * mean p(marks) * (1 - mean p(walls)), with p the probabilities, a their sum, and k the area;
    of an interval, the size in it that is nearest to a.

    Args:
        logits: of the candidate.
        area: the known one.
        marks: at least one.
        walls: where the structure is not; there may be none.

    Returns:
        In [0, 1].

    Example:
        >>> marks, walls = np.array([[True, False, False]]), np.array([[False, False, True]])
        >>> certain = np.array([[40.0, 40.0, -40.0]])
        >>> agreement(certain, Area(2, 2), marks, walls), agreement(certain, Area(1, 1), marks, walls)
        (1.0, 0.5)
    """
    probability = expit(logits.astype(np.float64))
    size = float(probability.sum())
    wanted = min(max(size, area.low), area.high)
    right_size = min(size, wanted) / max(size, wanted) if size != wanted else 1.0
    spared = 1.0 - float(probability[walls].mean()) if walls.any() else 1.0
    return right_size * float(probability[marks].mean()) * spared


def deepest_points(
    mask: Bool[np.ndarray, "row column"], spacing: Sequence[float], each: int = _POINTS, most: int = _ALL_POINTS
) -> Int[np.ndarray, "n 2"]:
    """Points that stand for a mask: of each component the deepest, then those that are deep and far from the others.

    Args:
        mask: may be empty.
        spacing: edge of a pixel along each axis.
        each: at most so many of a component.
        most: at most so many of all, the largest components first.

    Returns:
        Row and column of each point, the same at every call.

    Example:
        >>> mask = np.zeros((5, 9), dtype=bool)
        >>> mask[1:4, 1:4] = mask[4, 8] = True
        >>> deepest_points(mask, (1.0, 1.0), each=1).tolist()
        [[2, 2], [4, 8]]
    """
    labels, count = label(mask, _TOUCHING)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    points: list[tuple[int, int]] = []
    for component in np.argsort(-sizes, kind="stable"):
        here = labels == component + 1
        merit = depth = depth_of(here, spacing)
        for _ in range(min(each, most - len(points), sizes[component])):
            row, column = np.unravel_index(int(rank(-merit, np.zeros_like(here)).argmin()), here.shape)
            points.append((int(row), int(column)))
            chosen = np.ones_like(here)
            chosen[tuple(np.transpose([point for point in points if here[point]]))] = False
            merit = depth * distance_transform_edt(chosen, sampling=spacing)
    return np.array(points, dtype=np.int64).reshape(-1, 2)


def _candidates(
    marks: np.ndarray, walls: np.ndarray, image: np.ndarray, grown: np.ndarray, look: Look, spacing: Sequence[float]
) -> Float[np.ndarray, "m *space"]:
    """Logits of every candidate, joined over the pieces of the growth; minus infinity where nothing was asked."""
    shape = marks.shape
    planes = [array.reshape(-1, *shape[-2:], *array.shape[marks.ndim :]) for array in (marks, walls, grown, image)]
    logits = None
    for index, (own, wall, reached, picture) in enumerate(zip(*planes, strict=True)):
        if not reached.any():
            continue
        ask = look(np.asarray(picture, dtype=np.float64))
        for points, inside, box in _prompts(own, wall, reached, spacing[-2:]):
            nothing = inside[:0]
            asked = ((points, inside, box), (points, inside, None), (points[:0], nothing, box))
            found = np.concatenate([ask(*prompt) for prompt in asked])
            if logits is None:
                logits = np.full((len(found), len(planes[0]), *shape[-2:]), -np.inf, dtype=np.float32)
            np.maximum(logits[:, index], found, out=logits[:, index])
    assert logits is not None
    return logits.reshape(-1, *shape)


def _prompts(
    marks: np.ndarray, walls: np.ndarray, grown: np.ndarray, spacing: Sequence[float]
) -> Iterator[tuple[Float[np.ndarray, "n 2"], Bool[np.ndarray, " n"], Float[np.ndarray, " 4"]]]:
    """Points, which of them lie inside, and the box of each connected piece of a growth in one plane."""
    labels, _ = label(grown, _TOUCHING)
    for number, (rows, columns) in enumerate(find_objects(labels), start=1):
        piece = labels == number
        yes = deepest_points(piece & marks if (piece & marks).any() else piece, spacing)
        around = np.zeros_like(walls)
        around[_doubled(rows), _doubled(columns)] = True
        no = deepest_points(walls & around, spacing)
        inside = np.arange(len(yes) + len(no)) < len(yes)
        box = np.array([rows.start, columns.start, rows.stop - 1, columns.stop - 1], dtype=np.float64)
        yield np.concatenate([yes, no]).astype(np.float64), inside, box


def _doubled(side: slice) -> slice:
    """Twice as long about the same middle, cut off at the first pixel."""
    more = -(-(side.stop - side.start) // 2)
    return slice(max(0, side.start - more), side.stop + more)
