"""Numbers that are known of several images together: read, shared out to the images, and remembered in training."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tallymark.core.groups import Parts, of_groups, with_others
from tallymark.core.projection import project_pooled
from tallymark.data.study import Case, Number, Study
from tallymark.engine.known_size import KnownFractions
from tallymark.engine.labels import Ranking
from tallymark.engine.task import Task
from tallymark.grow import share_out
from tallymark.measure.groups import Range, of_images
from tallymark.measure.sizes import tells_size


class Groups(NamedTuple):
    """Numbers of groups of cases.

    Attributes:
        of: group of every case; -1 for a case whose group has no number.
        pixels: how many pixels each case has.
        value: the kept numbers in canonical units; NaN where unknown.
        low: lower end of the kept interval; NaN where there is none.
        high: upper end; NaN where there is none.
    """

    of: Int[Tensor, " n"]
    pixels: Float[Tensor, " n"]
    value: Float[Tensor, "g s"]
    low: Float[Tensor, "g s"]
    high: Float[Tensor, "g s"]

    @property
    def images(self) -> Float[Tensor, " g"]:
        """How many cases each group has."""
        return torch.bincount(self.of[self.of >= 0], minlength=len(self.value)).to(self.value)

    def members(self) -> list[list[int]]:
        """Positions of the cases of every group."""
        return [torch.nonzero(self.of == group).flatten().tolist() for group in range(len(self.value))]


def read_groups(
    study: Study,
    cases: Sequence[Case],
    images: dict[tuple[str, str], Number],
    groups: Mapping[tuple[str, str], Number],
    pixels: Sequence[float],
) -> Groups | None:
    """The numbers of groups of several images, and what follows from them for single images.

    Args:
        study: says what the numbers mean.
        cases: whole groups.
        images: numbers by case id and statistic; those that follow exactly are added.
        groups: numbers by group and statistic.
        pixels: how many pixels each case has.

    Returns:
        None where no group of several images has a number.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for position, case in enumerate(cases):
        members[case.group].append(position)
    for statistic in study.statistics:
        for group, positions in members.items():
            total = _range(groups.get((group, statistic.name)))
            own = [_range(images.get((cases[p].id, statistic.name))) for p in positions]
            if not total.known:
                continue
            weights = [float(pixels[p]) if statistic.kind == "area_fraction" else 1.0 for p in positions]
            for position, before, after in zip(positions, own, of_images(statistic, total, own, weights), strict=True):
                if not before.known and after.known:
                    images[cases[position].id, statistic.name] = _number(after)
    names = [
        g
        for g, positions in members.items()
        if len(positions) > 1 and any((g, s.name) in groups for s in study.statistics)
    ]
    if not names:
        return None
    place = {name: number for number, name in enumerate(names)}
    numbers = np.full((3, len(names), len(study.statistics)), np.nan, dtype=np.float32)
    for row, name in enumerate(names):
        for column, statistic in enumerate(study.statistics):
            number = groups.get((name, statistic.name))
            if number is not None:
                numbers[:, row, column] = number.value, number.low, number.high
    counts = torch.tensor(list(pixels), dtype=torch.float32)
    of = torch.tensor([place.get(case.group, -1) for case in cases], dtype=torch.int64)
    return Groups(of, counts, *torch.from_numpy(numbers).unbind())


def _range(number: Number | None) -> Range:
    return Range.of(math.nan) if number is None else Range.of(number.value, number.low, number.high)


def _number(found: Range) -> Number:
    if found.exact:
        return Number(found.low, math.nan, math.nan)
    ends = (end if math.isfinite(end) else math.nan for end in found)
    return Number(math.nan, *ends)


class Totals:
    """What the network last made of every image, so that a batch can hold any images of a group.

    Args:
        groups: the numbers of groups.
        task: says what they mean.
    """

    def __init__(self, groups: Groups, task: Task) -> None:
        self.groups = groups
        self._statistics = task.statistics
        # Areas are compared as the mean over the images of the group: then one image weighs as much as elsewhere.
        summed = torch.tensor([statistic.kind == "area" for statistic in task.statistics])
        share = torch.where(summed, 1 / groups.images[:, None], 1.0)
        self._numbers = [number * share for number in (groups.value, groups.low, groups.high)]
        self.memory = Parts(*torch.full((2, len(groups.of), len(task.statistics)), torch.nan))
        self.gather: Callable[[Tensor], Tensor] = lambda tensor: tensor
        """Brings together what several devices have; set by the trainer's module."""

    def forget(self) -> None:
        """As if no image was seen yet."""
        self.memory = Parts(*(torch.full_like(part, torch.nan) for part in self.memory))

    def record(self, case: Int[Tensor, " b"], images: Parts) -> None:
        """Remember what these images add to their groups."""
        columns = len(self._statistics)
        place, *seen = (self.gather(part.detach()).cpu() for part in (case, *images))
        self.memory = Parts(
            *(
                kept.index_copy(0, place.reshape(-1), part.reshape(-1, columns).to(kept))
                for kept, part in zip(self.memory, seen, strict=True)
            )
        )

    def numbers(
        self, case: Int[Tensor, " b"], images: Parts
    ) -> tuple[Float[Tensor, "b s"], Float[Tensor, "b s"], Float[Tensor, "b s"], Float[Tensor, "b s"]]:
        """The statistics of each image's group with the others as remembered, and the kept number, low and high.

        All in units in which an image weighs as much as one whose own number is kept: times the images of its group.
        """
        device = images.above.device
        memory = Parts(*(part.to(device) for part in self.memory))
        of = self.groups.of.to(device)
        value = with_others(self._statistics, of, memory, case, images)
        mine = of[case]
        count = self.groups.images.to(device)[mine.clamp(min=0)][:, None]
        kept = [torch.where((mine >= 0)[:, None], n.to(device)[mine.clamp(min=0)], torch.nan) for n in self._numbers]
        return value * count, kept[0] * count, kept[1] * count, kept[2] * count

    def errors(self) -> Float[Tensor, " e"]:
        """Distance of the groups' statistics from the kept numbers, as far as both are known, in canonical units."""
        value = of_groups(self._statistics, self.groups.of, self.memory, len(self.groups.value))
        summed = torch.tensor([statistic.kind == "area" for statistic in self._statistics])
        error = (value - self._numbers[0]).abs() * torch.where(summed, self.groups.images[:, None], 1.0)
        return error[error.isfinite()]


class Shares(NamedTuple):
    """The size of every structure in all images of a group together.

    Attributes:
        share: of all images of the group together, (value, low, high); NaN where no number tells it.
        weight: how much each case counts in it.
    """

    share: Float[Tensor, "3 g k"]
    weight: Float[Tensor, "n k"]


def shares_of_groups(task: Task, groups: Groups, extent_mm: Float[Tensor, " n"]) -> Shares:
    """Derive the share of all images of a group that each structure covers; as for single images.

    Args:
        task: names the structures and says what the numbers mean.
        groups: the numbers.
        extent_mm: area or volume of every case; NaN where unknown.
    """
    count = len(groups.value)
    whole = torch.zeros(count).index_add(0, groups.of.clamp(min=0), torch.where(groups.of >= 0, extent_mm, 0.0))
    share = torch.full((3, count, len(task.structures)), torch.nan)
    weight = groups.pixels[:, None].repeat(1, len(task.structures))
    for k, structure in enumerate(task.structures):
        for position, statistic in enumerate(task.statistics):
            if not tells_size(statistic, structure):
                continue
            number = torch.stack([groups.value[:, position], groups.low[:, position], groups.high[:, position]])
            number = number / whole if statistic.kind == "area" else number
            fresh = share[:, :, k].isnan().all(dim=0) & ~number.isnan().all(dim=0)
            share[:, :, k] = torch.where(fresh, number, share[:, :, k])
            if statistic.kind == "area":
                mine = (groups.of >= 0) & fresh[groups.of.clamp(min=0)]
                weight[:, k] = torch.where(mine, extent_mm, weight[:, k])
    return Shares(share, weight)


def shared_by_marks(
    groups: Groups, shares: Shares, sizes: KnownFractions, marks: np.ndarray, spacing: Float[Tensor, "n d"]
) -> Float[Tensor, "n k"]:
    """What the marks of a group's images say of the part that each has of the group's number.

    Images with sizes of their own keep them. Among the others, those with marks share the rest, see
    :func:`tallymark.grow.share_out`. An image that bears no mark at all is taken to have as much as a marked one has on
    average; one that is marked, but not as this structure, to have nothing. Neither gets a label from that.

    Args:
        groups: the numbers.
        shares: what they say of the sizes.
        sizes: what is known of single images.
        marks: of every case and structure, the last layer "none of these".
        spacing: edges of a network pixel; NaN where unknown, and all images are then taken as equally large.

    Returns:
        Share of each image that each structure covers, by estimate; NaN without marks and where nothing is known.
    """
    found = torch.full_like(sizes.value, torch.nan)
    for group, members in enumerate(groups.members()):
        cases = np.asarray(members)
        some: np.ndarray = np.asarray(marks[cases], dtype=bool)
        seen = np.asarray(some.reshape(*some.shape[:2], -1).any(axis=2))
        edges = spacing[cases].tolist()
        known_edges = bool(torch.isfinite(spacing[cases]).all())
        for k in range(found.shape[1]):
            total, fixed = _middle(shares.share[:, group, k]), _middles(sizes, members, k)
            if math.isnan(total):
                continue
            weight = shares.weight[cases, k].tolist()
            rest = total * sum(weight) - sum(w * f for w, f in zip(weight, fixed, strict=True) if not math.isnan(f))
            free = [place for place, f in enumerate(fixed) if math.isnan(f)]
            marked = [place for place in free if seen[place, k]]
            bare = [place for place in free if not seen[place].any()]
            if not marked:
                continue
            in_marked, in_bare = (sum(weight[place] for place in places) for places in (marked, bare))
            pixels = some[0, 0].size
            areas = share_out(
                [some[place, k] for place in marked],
                max(0.0, rest) * in_marked / (in_marked + in_bare),
                weights=[weight[place] / pixels for place in marked],
                spacings=[edges[place] for place in marked] if known_edges else None,
                excluded=[np.delete(some[place], k, axis=0).any(axis=0) for place in marked],
            )
            for place, area in zip(marked, areas, strict=True):
                found[members[place], k] = area / weight[place]
    return found


def shared_by_scores(
    rankings: Sequence[Ranking], share: Float[Tensor, "3 k"], weight: Float[Tensor, "m k"], fixed: Float[Tensor, "m k"]
) -> Float[Tensor, "m k"]:
    """What a network says of the part that each image of a group has of the group's number: one threshold for all.

    Args:
        rankings: the order in which the pixels of each image of one group join; images may differ in size.
        share: of all images together: value, low and high.
        weight: how much each image counts.
        fixed: sizes of single images that are known; NaN elsewhere.

    Returns:
        Share of each image that each structure covers; NaN where no number tells.
    """
    found = torch.full_like(fixed, torch.nan)
    for k in range(fixed.shape[1]):
        free = torch.nonzero(fixed[:, k].isnan()).flatten().tolist()
        if not free or bool(share[:, k].isnan().all()):
            continue
        whole, room = weight[:, k].sum(), weight[free, k].sum()
        rest = [(number * whole - (weight[:, k] * fixed[:, k]).nansum()) / room for number in share[:, k]]
        ranked = [rankings[place] for place in free]
        score = [one.score[k] for one in ranked]
        masks = project_pooled(
            score,
            *(float(number.clamp(0, 1)) for number in rest),
            weights=[float(weight[place, k]) / one.numel() for place, one in zip(free, score, strict=True)],
            forced=[torch.zeros_like(one.barred[k]) if one.forced is None else one.forced[k] for one in ranked],
            barred=[one.barred[k] for one in ranked],
        )
        found[free, k] = torch.stack([mask.mean() for mask in masks])
    return found


def _middle(number: Float[Tensor, "3"]) -> float:
    """The value that stands for a number: its own, or the middle of its interval; NaN where unknown."""
    value, low, high = number.tolist()
    found = Range.of(value, low, high)
    return (max(found.low, 0.0) + min(found.high, 1.0)) / 2


def _middles(sizes: KnownFractions, members: Sequence[int], k: int) -> list[float]:
    return [_middle(torch.stack([column[case, k] for column in sizes])) for case in members]
