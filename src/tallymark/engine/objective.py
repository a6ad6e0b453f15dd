"""What a run minimises: the weighted sum of the losses that its configuration switches on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from tallymark.core import losses, statistics
from tallymark.engine.batches import Batch
from tallymark.engine.config import LossConfig
from tallymark.engine.task import Task
from tallymark.measure.definition import Statistic
from tallymark.models.interface import Output


def objective(
    output: Output,
    batch: Batch,
    network_input: Float[Tensor, "b c *space"],
    task: Task,
    config: LossConfig,
) -> dict[str, Tensor]:
    """Every loss that is switched on, unweighted, and their weighted sum.

    Args:
        output: what the network made of ``network_input``.
        batch: the view of the cases; its numbers are true for this view.
        network_input: the image the network saw, in [0, 1]; the reconstruction is compared with it.
        task: names the structures and statistics.
        config: weights and options.

    Returns:
        Scalars by name: ``statistic``, ``weak``, ``confidence``, ``reconstruction``, ``cross_entropy``, ``dice`` as far
        as switched on, and ``total``.

    Source: Kulkarni, Raff & Oates 2026 (arXiv 2605.03059) for the first four; the paper states no weights.
    """
    terms: dict[str, Tensor] = {}
    prob = output.logit.float().sigmoid()
    if config.statistic.weight > 0:
        area = statistics.harden(prob) if config.statistic.area == "hard" else prob
        terms["statistic"] = losses.statistic_loss(
            predicted_statistics(area, batch, task),
            batch.value,
            batch.low,
            batch.high,
            level=config.statistic.level,
        )
    if config.weak.weight > 0 and batch.marks is not None and batch.excluded is not None:
        marks = batch.marks.to(prob.dtype)
        reduction = config.weak.reduction
        terms["weak"] = losses.weak_loss(output.logit, marks, reduction=reduction, valid=batch.valid)
        # A mark that says "none of these" is as certain as one that says "this"; the paper has no such marks.
        excluded = batch.excluded.to(prob.dtype)
        terms["weak"] = terms["weak"] + losses.exclusion_loss(
            output.logit, excluded, reduction=reduction, valid=batch.valid
        )
    if config.confidence.weight > 0:
        terms["confidence"] = losses.confidence_loss(prob, valid=batch.valid)
    if config.reconstruction.weight > 0:
        terms["reconstruction"] = losses.reconstruction_loss(output.reconstruction, network_input, valid=batch.valid)
    if batch.truth is not None:
        truth = batch.truth.to(prob.dtype)
        if config.cross_entropy.weight > 0:
            terms["cross_entropy"] = losses.cross_entropy_loss(output.logit, truth, valid=batch.valid)
        if config.dice.weight > 0:
            terms["dice"] = losses.dice_loss(prob, truth, valid=batch.valid)
    total = torch.stack([getattr(config, name).weight * term for name, term in terms.items()]).sum()
    return terms | {"total": total}


def predicted_statistics(prob: Float[Tensor, "b k *space"], batch: Batch, task: Task) -> Float[Tensor, "b s"]:
    """The study's statistics of a batch of probabilities (or 0/1 masks), in canonical units."""
    return statistics.evaluate(
        task.statistics,
        task.structures,
        prob,
        valid=batch.valid,
        spacing_mm=batch.spacing_mm,
        extent_mm=batch.extent_mm,
        image=batch.image,
    )


def needs_spacing(statistics_of_study: Sequence[Statistic]) -> list[str]:
    """Names of the statistics that are in physical units, so that the spacing must be known."""
    return [s.name for s in statistics_of_study if s.kind in ("area", "longest_axis", "shortest_axis")]


def lengths(statistics_of_study: Sequence[Statistic]) -> list[str]:
    """Names of the statistics that only hold on the image as it was taken: an affine view changes them."""
    return [s.name for s in statistics_of_study if s.kind in ("longest_axis", "shortest_axis")]
