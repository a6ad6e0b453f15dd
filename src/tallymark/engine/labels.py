"""Labels of a batch under the recipe ``grow``: grown marks first, then what an averaged network makes of the image.

Both have exactly the known area. They are made on the whole image, before any view is taken of it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from tallymark.core.projection import project
from tallymark.engine.batch import Batch
from tallymark.engine.config import GrownTerm
from tallymark.engine.known_size import known_fractions
from tallymark.engine.task import Task


def grown_labels(batch: Batch, config: GrownTerm) -> Batch:
    """Grown marks as labels: every pixel that the growth is sure enough of counts the same, the others not at all.

    Args:
        batch: with grown marks; their certainty is 0 where nothing is known, which stays unknown.
        config: ``band`` says how sure is sure enough.

    Returns:
        The batch, its certainty 0 or 1.
    """
    assert batch.certainty is not None
    sure = (batch.certainty > 0) & (batch.certainty >= config.band)
    return batch._replace(certainty=sure.float())


def taught_labels(batch: Batch, logit: Float[Tensor, "b k *space"], task: Task, config: GrownTerm) -> Batch:
    """The averaged network's outline, cut to the known area, with a share of the grown marks against drift.

    Pixels are ranked by ``logit - pull * order``: what the network sees, and how far growth is from them. Marks are
    forced, "none of these" and what lies beyond the reach of the growth is barred. An image with a number and no mark
    is ranked by the network alone; one without a number stays unknown.

    Args:
        batch: with grown marks, their order and the kept numbers.
        logit: of the averaged network, on the batch's own images.
        task: says what the numbers mean.
        config: weights of the parts.

    Returns:
        The batch, its labels in [0, 1] and its certainty 0 or 1 for a whole structure of an image.

    Source: ours; a mean teacher (Tarvainen & Valpola 2017, arXiv 1703.01780) whose targets are projected to the number.
    """
    assert batch.grown is not None
    assert batch.order is not None
    assert batch.certainty is not None
    assert batch.marks is not None
    assert batch.excluded is not None
    sizes = known_fractions(task, batch)
    axes = tuple(range(2, batch.grown.ndim))
    has_growth = (batch.certainty > 0).any(dim=axes, keepdim=True)
    reach = config.reach ** (1 / len(axes))
    outline = project(
        logit - config.pull * torch.where(has_growth, batch.order, 0.0),
        *sizes,
        forced=batch.marks,
        barred=batch.excluded.expand_as(batch.marks) | (has_growth & (batch.order > reach)),
        temperature=config.temperature,
    )
    anchor = torch.where(has_growth, config.anchor, 0.0)
    known = sizes.known().reshape(*has_growth.shape)
    return batch._replace(
        grown=anchor * batch.grown + (1 - anchor) * outline,
        certainty=known.expand_as(outline).float(),
    )
