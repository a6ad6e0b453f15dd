"""Ratios of two structures where nothing tells their sizes: what growth and labels then go by."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tallymark.core.intervals import interval
from tallymark.core.projection import project
from tallymark.core.ratio import project_ratio
from tallymark.engine.batch import Batch
from tallymark.engine.known_size import KnownFractions, known_fractions
from tallymark.engine.task import Task


class FreeRatio(NamedTuple):
    """A ratio whose structures have no known size on some images.

    Attributes:
        of: positions of the structures above the line.
        over: of those below it.
        low: least ratio of each image; NaN where it is not known, or a size of its structures is.
        high: largest; NaN as ``low``.
        parts: positions of the part and the rest of the one whole that it divides; None where there are more.
    """

    of: tuple[int, ...]
    over: tuple[int, ...]
    low: Float[Tensor, " b"]
    high: Float[Tensor, " b"]
    parts: tuple[int, ...] | None

    @property
    def named(self) -> list[int]:
        """Positions of all its structures."""
        return sorted({*self.of, *self.over})


def free_ratios(task: Task, batch: Batch, sizes: KnownFractions) -> list[FreeRatio]:
    """The ratios that divide something of unknown size; of several of the same structures the first one known.

    Args:
        task: says what the numbers mean.
        batch: the numbers.
        sizes: what they tell of sizes, without any estimate.
    """
    least, most = interval(batch.value, batch.value, batch.low, batch.high)
    taken = sizes.known()
    found = []
    for position, statistic in enumerate(task.statistics):
        if statistic.kind != "area_ratio":
            continue
        of, over = (tuple(task.structures.index(name) for name in names) for names in (statistic.of, statistic.over))
        named = sorted({*of, *over})
        if 0 < len(set(of) & set(over)) < len(of) or set(over) <= set(of):
            continue  # neither grown nor projected: more than a part and a rest
        # An interval from nothing to everything says nothing.
        free = ~taken[:, named].all(dim=1) & ~(least[:, position].isnan() | most[:, position].isnan())
        if bool(free.any()):
            low, high = (torch.where(free, end[:, position], torch.nan) for end in (least, most))
            parts = statistic.parts and tuple(task.structures.index(name) for name in statistic.parts)
            found.append(FreeRatio(of, over, low, high, parts))
            taken = taken | (
                free[:, None] & torch.isin(torch.arange(taken.shape[1]), torch.tensor(named)).to(free.device)
            )
    return found


class Projection(NamedTuple):
    """The best masks under the numbers of a batch.

    Attributes:
        masks: in [0, 1].
        known: structures of images that a number holds.
    """

    masks: Float[Tensor, "b k *space"]
    known: Bool[Tensor, "b k"]


def project_known(
    task: Task,
    batch: Batch,
    score: Float[Tensor, "b k *space"],
    *,
    forced: Bool[Tensor, "b k *space"] | None = None,
    barred: Bool[Tensor, "b k *space"] | None = None,
    temperature: float = 0.0,
) -> Projection:
    """The masks that the scores like best, of the known sizes and, where there are none, the known ratios.

    Args:
        task: says what the numbers mean.
        batch: the numbers.
        score: logits, or anything that ranks pixels and is above 0 inside.
        forced: pixels that belong to the structure in any case.
        barred: pixels that never do, unless forced.
        temperature: 0 is hard.
    """
    told = known_fractions(task, batch._replace(shared=None))
    sizes = known_fractions(task, batch)
    masks = project(score, *sizes, forced=forced, barred=barred, temperature=temperature)
    known = sizes.known()
    for ratio in free_ratios(task, batch, told):
        held = ~ratio.low.isnan()
        unknown = torch.full_like(ratio.low, torch.nan)
        divided = project_ratio(
            score,
            ratio.of,
            ratio.over,
            unknown,
            ratio.low,
            ratio.high,
            forced=forced,
            barred=barred,
            temperature=temperature,
        )
        here = torch.zeros_like(known)
        here[:, ratio.named] = held[:, None]
        masks = torch.where(here.reshape(*here.shape, *(1,) * (masks.ndim - 2)), divided, masks)
        known = known | here
    return Projection(masks, known)
