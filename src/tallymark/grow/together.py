"""Several structures that grow at once: no pixel belongs to two, and each keeps its area."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from tallymark.errors import GeometryError, StudyError
from tallymark.grow.area import Area, AreaLike
from tallymark.grow.growth import Growth, confidence, grow
from tallymark.grow.order import order_of, rank
from tallymark.grow.parts import divide, looks_apart

_T = TypeVar("_T")


def grow_together(
    marks: Mapping[str, Bool[np.ndarray, "*space"]],
    areas: Mapping[str, AreaLike],
    image: Shaped[np.ndarray, "*image"] | None = None,
    spacing: Sequence[float] | None = None,
    cost: str = "auto",
    *,
    excluded: Mapping[str, Bool[np.ndarray, "*space"]] | None = None,
    wholes: Sequence[tuple[str, str]] = (),
    trust: bool = True,
) -> dict[str, Growth]:
    """Grow the marks of several structures until each has its area, and no two overlap.

    Each grows alone, with the marks of the others as walls; then they share out the pixels that several want. The
    outer masks of intervals may overlap each other, but no mask.

    Two structures that make up one whole, as fat and muscle do, are grown as one where their marks look different, and
    divided by how they look (:mod:`tallymark.grow.parts`): a part may lie in many pieces of which one is marked.

    Args:
        marks: of each structure, all of one shape.
        areas: of each structure, as for :func:`tallymark.grow.grow`. A structure of which nothing is known takes no
            part, but where it is marked no other grows.
        image: as for one structure.
        spacing: as for one structure.
        cost: as for one structure.
        excluded: of each structure, where someone marked "not this"; structures may be left out.
        wholes: pairs of structures that make up one whole; of several, the first whose marks look different. Of no
            effect without an image.
        trust: as for one structure.

    Returns:
        A growth of each structure; of fewer pixels than its area where the others and its walls leave no more: what
        others hold is not taken back for one whose walls leave it little room.

    Raises:
        StudyError: areas or wholes of other structures than the marks, or a pixel that is marked as two of them.
        GeometryError: marks of different shapes; and what :func:`tallymark.grow.grow` raises.

    Source: deferred acceptance (Gale & Shapley 1962, doi 10.1080/00029890.1962.11989827). Structures propose to pixels
        in their order of growth; a pixel prefers the structure in whose order it comes earliest, each order in units of
        its own area.

    Example:
        >>> left, right = np.zeros((2, 1, 6), dtype=bool)
        >>> left[0, 2] = right[0, 3] = True
        >>> grown = grow_together({"left": left, "right": right}, {"left": 3, "right": 3})
        >>> grown["left"].mask.astype(int).tolist(), grown["right"].mask.astype(int).tolist()
        ([[1, 1, 1, 0, 0, 0]], [[0, 0, 0, 1, 1, 1]])
    """
    _check(marks, areas, excluded or {}, wholes)
    if not marks:
        return {}
    contest = _Contest(marks, areas, excluded or {}, image, spacing, cost, trust)
    growths = contest.grow()
    for pair in wholes:
        divided = contest.divided(pair, growths)
        if divided:
            return divided
    return growths


@dataclass(frozen=True)
class _Contest:
    """Structures of one image that want its pixels; see :func:`grow_together`."""

    marks: Mapping[str, Bool[np.ndarray, "*space"]]
    areas: Mapping[str, AreaLike]
    excluded: Mapping[str, Bool[np.ndarray, "*space"]]
    image: Shaped[np.ndarray, "*image"] | None
    spacing: Sequence[float] | None
    cost: str
    trust: bool

    def grow(self) -> dict[str, Growth]:
        """Each alone, then shared out."""
        size = next(iter(self.marks.values())).size
        known = {name: area for name in self.marks if (area := Area.of(self.areas[name], size)) is not None}
        # Every pixel that turns a structure away is held by another in the end.
        reach = sum(area.high for area in known.values())
        alone = {}
        for name, own in self.marks.items():
            others = (other for key, other in self.marks.items() if key != name)
            walls = np.logical_or.reduce([self._excluded(name), *others])
            alone[name] = grow(
                own,
                self.areas[name],
                self.image,
                self.spacing,
                self.cost,
                excluded=walls,
                trust=self.trust,
                reach=reach,
            )
        names = [name for name, growth in alone.items() if growth.known and growth.mask.any()]
        if len(names) < 2:
            return alone
        orders = np.stack([alone[name].order for name in names])
        owner = share(orders.reshape(len(names), -1), [known[name].target for name in names]).reshape(orders.shape[1:])
        for k, name in enumerate(names):
            certain = alone[name].mask & (alone[name].confidence == 1) & self.marks[name]
            alone[name] = _settled(alone[name], owner, k, known[name], certain)
        return alone

    def divided(self, pair: tuple[str, str], growths: Mapping[str, Growth]) -> dict[str, Growth]:
        """All once more, two of them as the parts of one whole; nothing where looks do not tell these apart.

        Args:
            pair: the parts.
            growths: of all, each for itself.
        """
        if self.image is None or not all(growths[name].mask.any() for name in pair):
            return {}
        one, other = pair
        own = self.marks[one], self.marks[other]
        shape = own[0].shape
        edges = (1.0,) * len(shape) if self.spacing is None else tuple(self.spacing)
        picture = np.asarray(self.image.reshape(*shape, -1), dtype=np.float64)
        ratio = looks_apart(own, picture, edges)
        if ratio is None:
            return {}
        together = own[0] | own[1]
        walls = [self._excluded(name) & ~together for name in pair]
        areas = [area for name in pair if (area := Area.of(self.areas[name], ratio.size)) is not None]

        def joined(whole: _T, each: Mapping[str, _T]) -> dict[str, _T]:
            """The whole goes by the name of its first part."""
            return {one: whole} | {name: value for name, value in each.items() if name not in pair}

        # Numbers that contradict each other can ask for more than the image has.
        low, high = (
            min(sum(ends), ratio.size) for ends in zip(*((area.low, area.high) for area in areas), strict=True)
        )
        grown = replace(
            self,
            marks=joined(together, self.marks),
            areas=joined((low, high), self.areas),
            excluded=joined(walls[0] & walls[1], self.excluded),
        ).grow()
        whole = grown[one]
        found = divide(
            ratio,
            (growths[one].order, growths[other].order),
            whole.mask,
            whole.order,
            (areas[0].target, areas[1].target),
            (walls[0] | own[1], walls[1] | own[0]),
        )
        owner = np.where(found.part, 0, np.where(found.rest, 1, -1))
        for name in grown.keys() - {one}:
            owner[grown[name].mask] = len(pair)
        for k, (name, area, cost) in enumerate(zip(pair, areas, found.costs, strict=True)):
            reached = replace(whole, order=np.where(walls[k], np.inf, cost))
            certain = whole.mask & (whole.confidence == 1) & own[k]
            grown[name] = _settled(reached, owner, k, area, certain)
        return {name: grown[name] for name in self.marks}

    def _excluded(self, name: str) -> Bool[np.ndarray, "*space"]:
        nowhere = np.zeros(self.marks[name].shape, dtype=bool)
        return np.asarray(self.excluded.get(name, nowhere))


def share(orders: Float[np.ndarray, "k n"], areas: Sequence[int]) -> Int[np.ndarray, " n"]:
    """Who gets each pixel, by deferred acceptance.

    Args:
        orders: place of each pixel in the order of growth of each structure; infinite where it cannot grow.
        areas: how many pixels each structure wants.

    Returns:
        The number of the structure, -1 where none. No structure and pixel would both rather have each other.

    Example:
        >>> share(np.array([[0.3, 0.6, 0.9, 1.2], [0.9, 0.7, 0.5, 1.4]]), [2, 2]).tolist()
        [0, 0, 1, 1]
    """
    lists = [_wanted(order) for order in orders]
    refused = [np.zeros(len(wanted), dtype=bool) for wanted in lists]
    while True:
        best = np.full(orders.shape[1], np.inf)
        owner = np.full(orders.shape[1], -1)
        asked = []
        for k, (wanted, no) in enumerate(zip(lists, refused, strict=True)):
            chosen = np.flatnonzero(~no)[: areas[k]]
            pixels = wanted[chosen]
            better = orders[k, pixels] < best[pixels]
            best[pixels[better]], owner[pixels[better]] = orders[k, pixels[better]], k
            asked.append((chosen, pixels))
        turned_away = False
        for k, (chosen, pixels) in enumerate(asked):
            lost = chosen[owner[pixels] != k]
            refused[k][lost] = True
            turned_away |= lost.size > 0
        if not turned_away:
            return owner


def _wanted(order: Float[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """The pixels that a structure can have, the best first."""
    return np.argsort(order, kind="stable")[: np.count_nonzero(np.isfinite(order))]


def _settled(growth: Growth, owner: np.ndarray, k: int, area: Area, certain: np.ndarray) -> Growth:
    """The growth of structure ``k`` once it is known whose each pixel is."""
    mask = owner == k
    ranks = rank(growth.order, mask)
    order = order_of(ranks, area.target)
    # Where others hold so many pixels that its own are fewer, the order still ends at the outline.
    order = np.where(mask, order, np.maximum(order, 1)).astype(np.float32)
    free = rank(np.where((owner >= 0) & ~mask, np.inf, growth.order), mask)
    return replace(
        growth,
        mask=mask,
        order=order,
        inner=mask & (ranks < area.low),
        outer=mask | (free < area.high),
        confidence=np.where(np.isinf(growth.order), growth.confidence, confidence(order, area, certain & mask)),
    )


def _check(
    marks: Mapping[str, np.ndarray],
    areas: Mapping[str, AreaLike],
    excluded: Mapping[str, np.ndarray],
    wholes: Sequence[tuple[str, str]],
) -> None:
    for found in (
        areas.keys(),
        excluded.keys() | marks.keys(),
        marks.keys() | {name for pair in wholes for name in pair},
    ):
        if set(found) != set(marks):
            raise StudyError(
                "marks, areas, exclusions and wholes are not of the same structures",
                found=sorted(found),
                expected=sorted(marks),
            )
    shapes = {name: mask.shape for name, mask in marks.items()}
    if len(set(shapes.values())) > 1:
        raise GeometryError("the structures of one image have one shape", found=shapes)
    twice = sum((mask.astype(np.uint8) for mask in marks.values()), start=np.uint8(0)) > 1
    if np.any(twice):
        at = tuple(int(i) for i in np.argwhere(twice)[0])
        both = [name for name, mask in marks.items() if mask[at]]
        raise StudyError(
            "a pixel is marked as two structures", where=f"pixel {at}", found=both, remedy="erase one of the marks"
        )
