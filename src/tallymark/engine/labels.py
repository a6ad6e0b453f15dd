"""Labels of a batch under the recipe ``grow``: grown marks first, then what an averaged network makes of the image.

Both have exactly the known area. They are made on the whole image, before any view is taken of it. In one study some
images may have a full mask, some marks and a number, some a number alone, and some nothing: each teaches what it can.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tallymark.engine.batch import Batch
from tallymark.engine.config import GrownTerm
from tallymark.engine.known_ratio import project_known
from tallymark.engine.task import Task


def grown_labels(batch: Batch, config: GrownTerm) -> Batch:
    """Grown marks as labels: every pixel that the growth is sure enough of counts the same, the others not at all.

    Args:
        batch: with grown marks; their certainty is 0 where nothing is known, which stays unknown. A full mask, where
            one is read, is the label.
        config: ``band`` says how sure is sure enough.

    Returns:
        The batch, its certainty 0 or 1.
    """
    assert batch.certainty is not None
    sure = (batch.certainty > 0) & (batch.certainty >= config.band)
    return _masks_first(batch._replace(certainty=sure.float()))


class Ranking(NamedTuple):
    """The order in which pixels join a label.

    Attributes:
        score: the higher, the earlier.
        forced: pixels that belong to it in any case; None: none.
        barred: pixels that never do, unless forced.
    """

    score: Float[Tensor, "b k *space"]
    forced: Bool[Tensor, "b k *space"] | None
    barred: Bool[Tensor, "b k *space"]

    def each(self) -> list[Ranking]:
        """Those of single images, whose parts have no axis of images."""
        forced = [None] * len(self.score) if self.forced is None else self.forced.unbind()
        return [Ranking(*parts) for parts in zip(self.score, forced, self.barred, strict=True)]


def ranking(batch: Batch, logit: Float[Tensor, "b k *space"], config: GrownTerm) -> Ranking:
    """Rank pixels by ``logit - pull * (order - 1)``: what a network sees, and how far growth is from them.

    The order of growth is 1 at its outline, so that a score above 0 is inside where network and growth agree. The logit
    of another structure, where it is above 0, is taken off: structures exclude each other. Marks are forced, what is
    marked as something else and what lies beyond the reach of the growth is barred. An image without growth is ranked
    by the network alone.

    Args:
        batch: with grown marks and their order.
        logit: of the network on the batch's own images.
        config: pull, reach and trust.
    """
    assert batch.order is not None
    assert batch.marks is not None
    known = has_growth(batch)
    reach = config.reach ** (1 / (batch.order.ndim - 2))
    return Ranking(
        against_others(logit) - config.pull * torch.where(known, batch.order - 1, 0.0),
        batch.marks if config.trust else None,
        batch.something_else() | (known & (batch.order > reach)),
    )


def against_others(logit: Float[Tensor, "b k *space"]) -> Float[Tensor, "b k *space"]:
    """Log-odds of each structure against the likeliest of the others and of none of them."""
    if logit.shape[1] == 1:
        return logit
    best = logit.topk(2, dim=1).values
    others = torch.where(logit == best[:, :1], best[:, 1:], best[:, :1])
    return logit - others.clamp(min=0)


def has_growth(batch: Batch) -> Bool[Tensor, "b k *one"]:
    """Which structures of which images have grown from marks; where a guess stood in for them, there is no order."""
    assert batch.certainty is not None
    assert batch.order is not None
    return ((batch.certainty > 0) & (batch.order > 0)).any(dim=tuple(range(2, batch.order.ndim)), keepdim=True)


def taught_labels(batch: Batch, views: Float[Tensor, "v b k *space"], task: Task, config: GrownTerm) -> Batch:
    """The averaged network's outline, cut to the known area, with a share of the grown marks against drift.

    Pixels join in the order of :func:`ranking`. Where only the ratio of two structures is known, they are divided by
    it, and together are as large as the network has them. Where nothing is known, there is nothing to cut to: the
    network's own outline is the label, and only its confident pixels count. A full mask, where one is read, is the
    label.

    The guard needs no mask: where the outlines of two views overlap by a share a, both cut to the size, the grown marks
    keep 1 - (1 - anchor) a of the label. A network that does not know an image falls back to its growth.

    Args:
        batch: with grown marks, their order and the kept numbers.
        views: logits of the averaged network on the batch's own images, seen straight and mirrored.
        task: says what the numbers mean.
        config: weights of the parts.

    Returns:
        The batch, its labels in [0, 1] and its certainty 0 or 1, of one value in a structure whose size is known.

    Source: ours; a mean teacher (Tarvainen & Valpola 2017, arXiv 1703.01780) whose targets are projected to the
        number; confident pseudo labels after Sohn et al. 2020 (FixMatch, arXiv 2001.07685).
    """
    assert batch.grown is not None
    assert batch.marks is not None
    logit = views.mean(dim=0)
    score, forced, barred = ranking(batch, logit, config)
    outline, held = project_known(task, batch, score, forced=forced, barred=barred, temperature=config.temperature)
    grows = has_growth(batch)
    cut = torch.stack([project_known(task, batch, view).masks for view in views])
    agreement = _agreement(cut).reshape(grows.shape)
    learned = (1 - config.anchor) * (agreement if config.guard else torch.ones_like(agreement))
    anchor = torch.where(grows, 1 - learned, 0.0)
    known = held.reshape(grows.shape)
    marked = batch.marks | batch.something_else()
    # 1 asks for certainty that no network has.
    confident = (logit.abs().sigmoid() >= config.confident) & (config.confident < 1)
    own = torch.where(marked, batch.marks, logit > 0).to(outline)
    return _masks_first(
        batch._replace(
            grown=torch.where(known, anchor * batch.grown + (1 - anchor) * outline, own),
            certainty=(known | confident | (marked & (config.confident < 1))).to(outline),
        )
    )


def _agreement(masks: Float[Tensor, "v b k *space"]) -> Float[Tensor, "b k"]:
    """Share of the largest of several masks that all of them cover; 1 where all are empty."""
    common = masks.amin(dim=0).flatten(2).sum(dim=2)
    largest = masks.flatten(3).sum(dim=3).amax(dim=0)
    return torch.where(largest > 0, common / largest.clamp(min=1), 1.0)


def _masks_first(batch: Batch) -> Batch:
    """The batch with full masks as labels, where they are read."""
    if batch.truth is None or batch.masked is None:
        return batch
    assert batch.grown is not None
    assert batch.certainty is not None
    masked = batch.masked.reshape(-1, *(1,) * (batch.grown.ndim - 1))
    return batch._replace(
        grown=torch.where(masked, batch.truth.to(batch.grown), batch.grown),
        certainty=torch.where(masked, 1.0, batch.certainty),
    )
