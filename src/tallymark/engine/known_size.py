"""The size of every structure as far as the kept numbers tell it: what losses and growth need that count pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tallymark.core.intervals import interval
from tallymark.data.room import REMEDY, no_room
from tallymark.data.study import NUMBERS, Case, Number, Study
from tallymark.engine.batch import Batch
from tallymark.engine.task import Task
from tallymark.errors import StudyError
from tallymark.measure.sizes import shares_that_follow, tells_size


class KnownFractions(NamedTuple):
    """Share of the image that each structure covers, by image and structure, as it was kept.

    Attributes:
        value: in [0, 1]; NaN where unknown.
        low: lower end of the kept interval; NaN where there is none.
        high: upper end of the kept interval; NaN where there is none.
    """

    value: Float[Tensor, "b k"]
    low: Float[Tensor, "b k"]
    high: Float[Tensor, "b k"]

    def middle(self) -> Float[Tensor, "b k"]:
        """The share, or the middle of its interval; NaN where nothing is known."""
        least, most = self.ends()
        return (least.clamp(min=0) + most.clamp(max=1)) / 2

    def none(self) -> Bool[Tensor, "b k"]:
        """Where the structure is known to be absent: its number is exactly 0."""
        return self.ends()[1] == 0

    def ends(self) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
        """Least and largest share; equal where the number is exact, NaN where nothing is known."""
        return interval(self.value, *self)

    def known(self) -> Bool[Tensor, "b k"]:
        """Where something is known."""
        least, most = self.ends()
        return ~(least.isnan() | most.isnan())


def known_fractions(task: Task, batch: Batch) -> KnownFractions:
    """Derive the share of the image that each structure covers from the kept numbers.

    An area fraction is the share itself; an area (mm2) or volume (mm3) is divided by that of the whole image. Where
    several numbers of a structure tell it, the first one known for an image does, in the order of the study. Where none
    does, it may follow from ratios and the sizes of other structures, of several together, and from lengths
    (:mod:`tallymark.measure.sizes`); what follows may be an interval. Where nothing follows, the part that the image is
    estimated to have of its group's number is taken. A ratio alone tells no size, nor does an intensity.

    Args:
        task: names the structures and says what the numbers mean.
        batch: numbers in canonical units, and the area or volume of each image.

    Returns:
        One column for each structure; NaN where nothing tells the size.

    Example:
        >>> from tallymark.measure.definition import Statistic
        >>> size = Statistic("size", "area", of=("cyst",), unit="mm2")
        >>> task = Task(("cyst", "wall"), (size,), image_channels=1, dimension=2)
        >>> nothing, number = torch.full((1, 1), torch.nan), torch.tensor([[5.0]])
        >>> batch = Batch(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2, dtype=torch.bool), number, nothing, nothing,
        ...               spacing_mm=torch.ones(1, 2), extent_mm=torch.tensor([20.0]), marks=None, excluded=None,
        ...               truth=None)
        >>> known_fractions(task, batch).value
        tensor([[0.2500,    nan]])
    """
    columns = []
    for structure in task.structures:
        known = torch.full((3, len(batch.value)), torch.nan, device=batch.value.device, dtype=batch.value.dtype)
        for position, statistic in enumerate(task.statistics):
            if not tells_size(statistic, structure):
                continue
            number = torch.stack([column[:, position] for column in (batch.value, batch.low, batch.high)])
            share = number / batch.extent_mm if statistic.kind == "area" else number
            # Value and interval of one number belong together: the next number helps where this one says nothing.
            known = torch.where(known.isnan().all(dim=0), share, known)
        columns.append(known)
    sizes = torch.stack(columns, dim=2)
    if any(not tells_size(statistic, name) for statistic in task.statistics for name in statistic.of):
        sizes = torch.where(sizes.isnan().all(dim=0), _following(task, batch), sizes)
    if batch.shared is not None:
        estimate = torch.full_like(sizes, torch.nan)
        estimate[0] = batch.shared
        sizes = torch.where(sizes.isnan().all(dim=0), estimate, sizes)
    return KnownFractions(*sizes)


def _following(task: Task, batch: Batch) -> Float[Tensor, "3 b k"]:
    """What follows from all numbers together: value, low and high."""
    ends = interval(batch.value, batch.value, batch.low, batch.high)
    low, high = (end.double().cpu().numpy() for end in ends)
    extent = batch.extent_mm.double().cpu().numpy()
    found = shares_that_follow(task.structures, task.statistics, low, high, extent, task.dimension)
    exact = found.low == found.high
    numbers = (np.where(exact, found.low, np.nan), *(np.where(exact, np.nan, end) for end in found))
    return torch.from_numpy(np.stack(numbers)).to(batch.value)


def require_room(
    study: Study,
    cases: Sequence[Case],
    numbers: Mapping[tuple[str, str], Number],
    space: Callable[[Case], Sequence[int]],
) -> None:
    """Refuse numbers that are larger than their image, before anything is grown to them or learned from them.

    Args:
        study: the study.
        cases: of which it is asked.
        numbers: by case id and statistic, in canonical units.
        space: tells the shape of an image; asked only where a number depends on it.

    Raises:
        StudyError: an image has no room for one of its numbers; names the case.
    """
    remedy = f"{REMEDY}; 'tallymark check {study.folder}' lists all such numbers"
    for case in cases:
        for statistic in study.statistics:
            number = numbers.get((case.id, statistic.name))
            if number is None or not statistic.physical:
                continue
            where = f"{study.folder / NUMBERS}, case '{case.id}'"
            error = no_room(statistic, number, space(case), case.spacing, where=where, remedy=remedy)
            if error is not None:
                raise error


def require_sizes(task: Task, *, ratios: bool = False) -> None:
    """Refuse a recipe that counts pixels on a study none of whose numbers tells the size of a structure.

    Args:
        task: says what the numbers mean.
        ratios: whether a ratio of two structures does as well, for a recipe that looks for their size itself.

    Raises:
        StudyError: there is no such number.
    """
    if ratios and any(statistic.kind == "area_ratio" for statistic in task.statistics):
        return
    # Whatever the numbers are, they tell of the same structures: an image that has all of them shows which.
    some = np.full((1, len(task.statistics)), 0.2)
    found = shares_that_follow(task.structures, task.statistics, some, some, np.ones(1), task.dimension)
    if np.isnan(found.low).all():
        raise StudyError(
            "the recipe needs the size of a structure, which no number of this study tells",
            where="study.toml, statistics",
            found=", ".join(f"{s.name} ({s.kind} of {' and '.join(s.of)})" for s in task.statistics) or "no numbers",
            expected="an area_fraction or an area of one structure, or a ratio and one of the sizes in it",
            remedy="choose a recipe that takes any number ('paper'), or add such a number",
        )
