"""What a run minimises: the weighted sum of the losses that its configuration switches on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tallymark.core import losses, statistics
from tallymark.core.gated_crf import gated_crf_loss
from tallymark.core.groups import Parts, parts
from tallymark.core.mixed_pseudo_labels import mixed_pseudo_label_loss
from tallymark.core.positive_unlabelled import nnpu_loss, ranked_negatives_loss
from tallymark.core.size_constraints import log_barrier_loss, size_penalty
from tallymark.core.soft_labels import soft_label_loss
from tallymark.engine.batch import Batch
from tallymark.engine.config import LossConfig
from tallymark.engine.groups import Groups, Totals
from tallymark.engine.known_size import known_fractions
from tallymark.engine.task import Task
from tallymark.errors import ConfigError
from tallymark.measure.definition import Statistic
from tallymark.models.interface import Output


def objective(
    output: Output,
    batch: Batch,
    network_input: Float[Tensor, "b c *space"],
    task: Task,
    config: LossConfig,
    progress: float = 0.0,
    totals: Totals | None = None,
) -> dict[str, Tensor]:
    """Every loss that is switched on, unweighted, and their weighted sum.

    A network with two branches pays for each of them: every loss is then the mean over the branches.

    Args:
        output: what the network made of ``network_input``.
        batch: the view of the cases; its numbers are true for this view.
        network_input: the image the network saw, in [0, 1]; the reconstruction is compared with it.
        task: names the structures and statistics.
        config: weights and options.
        progress: share of the training that is done, in [0, 1]; a log-barrier grows sharper with it.
        totals: numbers of groups, and what the network made of their images before; what it makes of them now is put
            there.

    Returns:
        Scalars by name, those of :class:`~tallymark.engine.config.LossConfig` that are switched on, and ``total``.

    Raises:
        ConfigError: mixed pseudo labels of a network with one branch.

    Source: Kulkarni, Raff & Oates 2026 (arXiv 2605.03059) for ``statistic``, ``weak``, ``confidence`` and
        ``reconstruction``; the paper states no weights. The others are named at their functions in
        :mod:`tallymark.core`.
    """
    if batch.certainty is None or bool(batch.certainty.any()):
        # Without any growth there is nothing to warm up on.
        config = config.at(progress)
    logits = [output.logit] if output.branches is None else list(output.branches)
    each = []
    for logit in logits:
        view = Output(logit, output.reconstruction)
        each.append(
            _of_the_paper(view, batch, network_input, task, config, totals)
            | _of_others(view, batch, task, config, progress)
        )
    terms = {name: torch.stack([one[name] for one in each]).mean() for name in each[0]}
    if config.mixed_pseudo_labels.weight > 0:
        if output.branches is None:
            raise ConfigError(
                "mixed pseudo labels need a network with two branches",
                where="key model.options.branches",
                found=1,
                expected=2,
                remedy="--set model.options.branches=2, or --set losses.mixed_pseudo_labels.weight=0",
            )
        # A share for every step, not for every image, as in the paper.
        share = torch.rand(()).item()
        terms["mixed_pseudo_labels"] = mixed_pseudo_label_loss(output.branches, share, batch.valid)
    total = torch.stack([getattr(config, name).weight * term for name, term in terms.items()]).sum()
    return terms | {"total": total}


def _of_the_paper(
    output: Output,
    batch: Batch,
    network_input: Float[Tensor, "b c *space"],
    task: Task,
    config: LossConfig,
    totals: Totals | None,
) -> dict[str, Tensor]:
    """The losses of the founding paper, and those against full masks."""
    terms: dict[str, Tensor] = {}
    prob = output.logit.float().sigmoid()
    if config.statistic.weight > 0:
        area = statistics.harden(prob) if config.statistic.area == "hard" else prob
        numbers = [predicted_statistics(area, batch, task), batch.value, batch.low, batch.high]
        if totals is not None:
            assert batch.case is not None
            of_groups = group_parts(area, batch, task, totals.groups)
            # Numbers of images and of groups are compared alike, each of the latter with the other images as they were.
            both = zip(numbers, totals.numbers(batch.case, of_groups), strict=True)
            numbers = [torch.cat(pair, dim=1) for pair in both]
            totals.record(batch.case, of_groups)
        terms["statistic"] = losses.statistic_loss(*numbers, level=config.statistic.level)
    if config.weak.weight > 0 and batch.marks is not None and batch.excluded is not None:
        marks = batch.marks.to(prob.dtype)
        reduction = config.weak.reduction
        terms["weak"] = losses.weak_loss(output.logit, marks, reduction=reduction, valid=batch.valid)
        # A mark that says "something else" is as certain as one that says "this"; the paper has one structure and no
        # such marks.
        excluded = batch.something_else()
        if config.weak.zero_is_background:
            # An estimate from a group's number is never known to be nothing.
            none = known_fractions(task, batch._replace(shared=None)).none()
            excluded = excluded | none.reshape(*none.shape, *(1,) * (excluded.ndim - 2))
        terms["weak"] = terms["weak"] + losses.exclusion_loss(
            output.logit, excluded, reduction=reduction, valid=batch.valid
        )
    if config.confidence.weight > 0:
        terms["confidence"] = losses.confidence_loss(prob, valid=batch.valid)
    if config.reconstruction.weight > 0:
        terms["reconstruction"] = losses.reconstruction_loss(output.reconstruction, network_input, valid=batch.valid)
    if batch.truth is not None:
        terms |= _of_masks(output.logit, batch.truth, batch, config)
    return terms


def _of_masks(
    logit: Float[Tensor, "b k *space"], truth: Bool[Tensor, "b k *space"], batch: Batch, config: LossConfig
) -> dict[str, Tensor]:
    """The losses against full masks, of the cases that have one: no mask is no label, which is not an empty one."""
    seen = torch.ones(len(logit), dtype=torch.bool, device=logit.device) if batch.masked is None else batch.masked
    nothing = 0 * logit.sum()
    known = (truth[seen].to(logit.dtype), batch.valid[seen])
    terms: dict[str, Tensor] = {}
    if config.cross_entropy.weight > 0:
        terms["cross_entropy"] = losses.cross_entropy_loss(logit[seen], *known) if seen.any() else nothing
    if config.dice.weight > 0:
        terms["dice"] = losses.dice_loss(logit[seen].float().sigmoid(), *known) if seen.any() else nothing
    return terms


def _of_others(output: Output, batch: Batch, task: Task, config: LossConfig, progress: float) -> dict[str, Tensor]:
    """The losses of the methods that ours is compared with."""
    terms: dict[str, Tensor] = {}
    prob = output.logit.float().sigmoid()
    sizes = known_fractions(task, batch)
    if config.size.weight > 0:
        terms["size"] = size_penalty(prob, *sizes, margin=config.size.margin, valid=batch.valid)
    if config.log_barrier.weight > 0:
        barrier = config.log_barrier
        sharpness = barrier.start * (barrier.end / barrier.start) ** progress
        terms["log_barrier"] = log_barrier_loss(
            prob, *sizes, sharpness=sharpness, margin=barrier.margin, valid=batch.valid
        )
    if config.ranked_negatives.weight > 0:
        margin = config.ranked_negatives.margin
        terms["ranked_negatives"] = ranked_negatives_loss(
            output.logit, batch.marks, *sizes, margin=margin, valid=batch.valid
        )
    if config.nnpu.weight > 0 and batch.marks is not None:
        options = config.nnpu.model_dump(exclude={"weight"})
        terms["nnpu"] = nnpu_loss(output.logit, batch.marks, *sizes, **options, valid=batch.valid)
    if config.grown.weight > 0 and batch.grown is not None and batch.certainty is not None:
        terms["grown"] = soft_label_loss(output.logit, batch.grown, batch.certainty, batch.valid)
    if config.gated_crf.weight > 0:
        options = config.gated_crf.model_dump(exclude={"weight"}, exclude_none=True)
        terms["gated_crf"] = gated_crf_loss(prob, batch.image, **options, valid=batch.valid)
    return terms


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


def group_parts(prob: Float[Tensor, "b k *space"], batch: Batch, task: Task, groups: Groups) -> Parts:
    """What a batch of probabilities (or 0/1 masks) adds to the statistics of the images' groups."""
    assert batch.case is not None
    pixels = groups.pixels.to(prob.device)[batch.case]
    return parts(
        task.statistics,
        task.structures,
        prob,
        pixels,
        valid=batch.valid,
        spacing_mm=batch.spacing_mm,
        extent_mm=batch.extent_mm,
        image=batch.image,
    )


def needs_spacing(statistics_of_study: Sequence[Statistic]) -> list[str]:
    """Names of the statistics that are in physical units, so that the spacing must be known."""
    return [s.name for s in statistics_of_study if s.physical]


def lengths(statistics_of_study: Sequence[Statistic]) -> list[str]:
    """Names of the statistics that only hold on the image as it was taken: an affine view changes them."""
    return [s.name for s in statistics_of_study if s.kind in ("longest_axis", "shortest_axis")]
