"""From a few marks and a known area to a mask of exactly that area."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.ndimage import label

from tallymark.errors import ConfigError, GeometryError
from tallymark.grow.area import Area, AreaLike
from tallymark.grow.choose import choose, judge
from tallymark.grow.coarse import blocks_of, enlarge
from tallymark.grow.costs import COSTS, EVERYWHERE, Ranks, appearance, euclidean, looks
from tallymark.grow.dynamics import thickness
from tallymark.grow.order import lowest
from tallymark.grow.scene import Scene
from tallymark.grow.window import touches, window_of

# The window holds so many times the area, and is enlarged where a mask reaches its side.
_SPREAD, _ENLARGE = 4, 2.5
# Looks alone are trusted where they find this share of the marks without having been told to.
_FOUND = 0.9
_MANY = 3
# A window of more pixels (voxels) is looked at on a coarser grid, where structures stay so many pixels thick.
_MOST = {2: 2**15, 3: 2**16}
_THICK = 8


@dataclass(frozen=True)
class Growth:
    """What grew.

    Args:
        mask: of exactly the area; of an interval, its middle. Empty where ``known`` is False.
        confidence: in [0, 1]; 0 at the outline and within an interval, 1 at the marks, at walls and far from both.
        order: place in the order of growth, 1 at the outline, growing like a distance; infinite where unreached.
        inner: the mask of the least area of an interval; else ``mask``.
        outer: the mask of the largest area of an interval; else ``mask``.
        known: False where nothing can be said: no number, no mark, or marks on an image whose number is zero. Such an
            image is unknown, not background.
        cost: the cost that was used; "" where nothing grew.
    """

    mask: Bool[np.ndarray, "*space"]
    confidence: Float[np.ndarray, "*space"]
    order: Float[np.ndarray, "*space"]
    inner: Bool[np.ndarray, "*space"]
    outer: Bool[np.ndarray, "*space"]
    known: bool
    cost: str


def grow(
    marks: Bool[np.ndarray, "*space"],
    area: AreaLike,
    image: Shaped[np.ndarray, "*image"] | None = None,
    spacing: Sequence[float] | None = None,
    cost: str = "auto",
    *,
    excluded: Bool[np.ndarray, "*space"] | None = None,
    trust: bool = True,
    reach: int = 0,
) -> Growth:
    """Grow the marks on one structure until they have the known area.

    Args:
        marks: True where someone marked the structure, (row, column) or (plane, row, column).
        area: in pixels (voxels); (least, most) of an interval; None or NaN: unknown. An exact 0 means that the image
            does not show the structure.
        image: in [0, 1], of the shape of the marks, or with a last axis of channels. Without it growth is straight.
        spacing: edge of a pixel along each axis, in any unit; None: all alike.
        cost: ``euclidean``, ``paths``, ``walker``, ``consensus``, ``revised``, ``blend``, ``appearance`` (see
            :mod:`tallymark.grow.costs`) or ``auto``, which chooses without any full mask.
        excluded: True where someone marked "not this": never in the mask, and a wall that growth goes around. A pixel
            that is marked both ways belongs to the structure.
        trust: the marks belong to the mask in any case; False where some may lie outside of the structure. More marks
            than the area keep the deepest.
        reach: at least so many pixels get a place in the order, where walls leave so many; the area if that is more.

    Returns:
        The growth. Fewer pixels than the area where walls leave no more.

    Raises:
        ConfigError: an unknown cost, a cost that needs an image without one, an area that cannot be, marks that are not
            True or False, an image with values that are no numbers.
        GeometryError: shapes that differ, a spacing that does not fit.

    Source: growth of marks to a kept number is ours; the costs name theirs.

    Example:
        >>> marks = np.zeros((5, 5), dtype=bool)
        >>> marks[2, 2] = True
        >>> grow(marks, 5).mask.astype(int)
        array([[0, 0, 0, 0, 0],
               [0, 0, 1, 0, 0],
               [0, 1, 1, 1, 0],
               [0, 0, 1, 0, 0],
               [0, 0, 0, 0, 0]])
    """
    _check_marks(marks)
    edges = _spacing(spacing, marks.ndim)
    pixels = _channels_last(image, marks.shape)
    walls = _walls(excluded, marks)
    known = Area.of(area, marks.size)
    _check_cost(cost, pixels is not None)
    if known is not None and known.high == 0 and not marks.any():
        return empty(marks.shape, known=True)
    if known is None or known.high == 0 or not marks.any():
        return empty(marks.shape, known=False)
    name, ranks, scene = grown(marks, walls, pixels, known, edges, cost, trust, reach=max(reach, known.high))
    return settled(name, ranks, scene, known)


def settled(name: str, ranks: Ranks, scene: Scene, area: Area) -> Growth:
    """The growth that these ranks are, on the whole image."""
    order = scene.order(ranks)
    mask, inner, outer = (ranks < count for count in (area.target, area.low, area.high))
    certain = scene.walls | (scene.first & mask)

    def placed(part: np.ndarray, elsewhere: bool | float) -> np.ndarray:
        whole = np.full(scene.shape, elsewhere, dtype=part.dtype)
        whole[scene.box] = part
        return whole

    return Growth(
        mask=placed(mask, False),
        confidence=placed(confidence(order, area, certain), 1.0),
        order=placed(order, np.inf),
        inner=placed(inner, False),
        outer=placed(outer, False),
        known=True,
        cost=name,
    )


def empty(shape: Sequence[int], *, known: bool) -> Growth:
    """A growth of nothing: either the structure is known not to be there, or nothing is known.

    Example:
        >>> empty((2, 2), known=False).confidence.max().item(), empty((2, 2), known=True).confidence.min().item()
        (0.0, 1.0)
    """
    nothing = np.zeros(shape, dtype=bool)
    sure = np.full(shape, float(known), dtype=np.float32)
    return Growth(nothing, sure, np.full(shape, np.inf, dtype=np.float32), nothing, nothing, known, "")


def confidence(
    order: Float[np.ndarray, "*space"], area: Area, certain: Bool[np.ndarray, "*space"]
) -> Float[np.ndarray, "*space"]:
    """How far each pixel is from the outline, in the order of growth, cut off at 1.

    Args:
        order: 1 where the mask of the target area ends.
        area: of an interval, pixels between its two outlines have no confidence.
        certain: pixels of confidence 1.

    Example:
        >>> confidence(np.array([0.25, 1.25, 9.0]), Area(4, 4), np.zeros(3, dtype=bool)).tolist()
        [0.75, 0.25, 1.0]
    """
    ends = [(count / area.target) ** (1 / order.ndim) for count in (area.low, area.high)]
    within = 1 - order / ends[0] if ends[0] else np.zeros_like(order)
    beyond = order / ends[1] - 1
    return np.where(certain, 1.0, np.maximum(within, beyond).clip(0, 1)).astype(np.float32)


def grown(
    marks: np.ndarray,
    walls: np.ndarray,
    image: np.ndarray | None,
    area: Area,
    spacing: Sequence[float],
    cost: str,
    trust: bool,
    *,
    reach: int,
) -> tuple[str, Ranks, Scene]:
    """The name of the cost, the ranks, and the scene that they are of.

    At least ``reach`` pixels have a rank, where walls leave so many; others may be unreached.
    """
    wanted = cost if image is not None else "euclidean"
    pixels = marks.size if wanted in EVERYWHERE else _SPREAD * reach
    while True:
        scene = _scene(marks, walls, image, area, spacing, trust, min(pixels, marks.size))
        name, ranks = ordered(scene, wanted)
        if not touches(ranks < reach, scene.box, marks.shape):
            break
        pixels = round(_ENLARGE * pixels)
    # Fewer marks do not say that there are many like components.
    if wanted == "auto" and label(marks, np.ones((3,) * marks.ndim))[1] >= _MANY:
        everywhere = _scene(marks, walls, image, area, spacing, trust, marks.size)
        looked = _looked(everywhere)
        if looked is not None and judge(everywhere, looked) > judge(scene, ranks):
            return "appearance", looked, everywhere
    return name, ranks, scene


def ordered(scene: Scene, cost: str) -> tuple[str, Ranks]:
    """The name of the cost, and the ranks.

    A large window is looked at on a coarser grid, since no cost heeds what is finer than its smoothing; its order is
    interpolated, so that outlines are as fine as ever.
    """
    if cost == "euclidean" or cost in EVERYWHERE:
        return cost, COSTS[cost](scene)
    blocks = coarsest(scene)
    small = scene.shrunk(blocks)
    name, ranks = choose(small) if cost == "auto" else (cost, COSTS[cost](small))
    if name == "euclidean":
        return name, euclidean(scene)
    if small is scene:
        return name, ranks
    order = small.order(ranks)
    # What only the coarse grid's walls close off comes last.
    order = np.where(np.isfinite(order), order, order[np.isfinite(order)].max())
    return name, scene.rank(np.where(scene.closed, np.inf, enlarge(order, blocks, scene.marks.shape)))


def coarsest(scene: Scene) -> tuple[int, ...]:
    """Blocks that leave few enough pixels, but of the structure's thickness enough.

    Example:
        >>> marks = np.zeros((400, 400), dtype=bool)
        >>> marks[200, 200] = True
        >>> distance = np.hypot(*(np.indices(marks.shape) - 200))
        >>> box = (slice(0, 400), slice(0, 400))
        >>> coarsest(Scene(marks, ~marks & marks, None, distance, 8000, (1.0, 1.0), box, marks.shape))
        (3, 3)
    """
    axes = scene.marks.ndim
    factor = math.ceil((scene.marks.size / _MOST[axes]) ** (1 / axes))
    if factor > 1:
        rough = replace(scene, image=None).shrunk(blocks_of(factor, scene.spacing))
        thick = thickness(lowest(rough.distance, rough.marks, rough.pixels), rough.spacing) / min(scene.spacing)
        factor = min(factor, max(1, int(thick / _THICK)))
    return blocks_of(factor, scene.spacing)


def _looked(scene: Scene) -> Ranks | None:
    """Growth by looks, where looks find the marks by themselves: else the image shows other things that look alike."""
    odds = looks(scene, scene.marks)
    least = np.partition(odds, -scene.pixels, axis=None)[-scene.pixels] if scene.pixels < odds.size else -np.inf
    if float((odds[scene.marks] >= least).mean()) < _FOUND:
        return None
    ranks = appearance(scene)
    free = replace(scene, trusted=False)
    found = free.rank(-looks(free, ranks < scene.pixels)) < scene.pixels
    return ranks if float(found[scene.marks].mean()) >= _FOUND else None


def _scene(
    marks: np.ndarray,
    walls: np.ndarray,
    image: np.ndarray | None,
    area: Area,
    spacing: Sequence[float],
    trust: bool,
    pixels: int,
) -> Scene:
    box, distance = window_of(marks, pixels, spacing)
    cut = None if image is None else image[box]
    return Scene(marks[box], walls[box], cut, distance, area.target, spacing, box, marks.shape, trust)


def _check_marks(mask: np.ndarray) -> None:
    if mask.dtype != bool:
        raise ConfigError("marks are True or False", found=mask.dtype, expected="bool", remedy="compare them to 0")


def _spacing(spacing: Sequence[float] | None, axes: int) -> tuple[float, ...]:
    if axes not in (2, 3):
        raise GeometryError("marks are on images or volumes", found=f"{axes} axes", expected="2 or 3")
    edges = (1.0,) * axes if spacing is None else tuple(float(edge) for edge in spacing)
    if len(edges) != axes or not all(0 < edge < np.inf for edge in edges):
        raise GeometryError("this spacing does not fit", found=spacing, expected=f"{axes} positive lengths")
    return edges


def _channels_last(image: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    if image is None:
        return None
    if image.shape[: len(shape)] != shape or image.ndim > len(shape) + 1:
        raise GeometryError("image and marks do not have the same shape", found=image.shape, expected=shape)
    if not np.isfinite(image).all():
        raise ConfigError("the image has values that are no numbers", where="image", expected="numbers in [0, 1]")
    return np.asarray(image.reshape(*shape, -1), dtype=np.float64)


def _walls(excluded: np.ndarray | None, marks: np.ndarray) -> np.ndarray:
    if excluded is None:
        return np.zeros_like(marks)
    _check_marks(excluded)
    if excluded.shape != marks.shape:
        raise GeometryError("excluded and marks do not have the same shape", found=excluded.shape, expected=marks.shape)
    return np.asarray(excluded & ~marks)


def _check_cost(cost: str, with_image: bool) -> None:
    if cost not in {"auto", *COSTS}:
        raise ConfigError("unknown cost of growth", found=repr(cost), expected=f"auto or one of {', '.join(COSTS)}")
    if cost not in {"auto", "euclidean"} and not with_image:
        raise ConfigError("this cost needs the image", found=repr(cost), remedy="give the image, or choose euclidean")
