"""One training step and one held-out step, as Lightning's Trainer wants them."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from tallymark.core.groups import Parts
from tallymark.engine.augment import AXES, augment_geometry, augment_light
from tallymark.engine.averaging import Averaged
from tallymark.engine.batch import Batch
from tallymark.engine.batches import CaseBatches, mix_seed
from tallymark.engine.config import RunConfig
from tallymark.engine.groups import Groups, Totals, shared_by_scores
from tallymark.engine.known_size import known_fractions
from tallymark.engine.labels import grown_labels, ranking, taught_labels
from tallymark.engine.objective import group_parts, objective, predicted_statistics
from tallymark.engine.task import Task
from tallymark.engine.views import middle_logits
from tallymark.models.interface import Network


class Segmenter(pl.LightningModule):
    """A network, what it is asked for and how it is trained."""

    def __init__(
        self,
        network: Network,
        config: RunConfig,
        task: Task,
        groups: Groups | None = None,
        held_out: Groups | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.task = task
        self._totals = None if groups is None else Totals(groups, task)
        self._held_out = None if held_out is None else Totals(held_out, task)
        self._shared: Tensor | None = None

    def setup(self, stage: str) -> None:
        """What is remembered of groups comes from all devices."""
        for totals in (self._totals, self._held_out):
            if totals is not None:
                totals.gather = self._gathered

    def _gathered(self, tensor: Tensor) -> Tensor:
        gathered = self.all_gather(tensor)
        assert isinstance(gathered, Tensor)
        return gathered

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What the network last made of the images of groups belongs to the state of the training."""
        if self._totals is not None:
            checkpoint["totals"] = tuple(self._totals.memory)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """As it was kept."""
        if self._totals is not None:
            self._totals.memory = Parts(*checkpoint["totals"])

    def on_train_epoch_start(self) -> None:
        """Share out the numbers of groups by what the averaged network sees, from the end of the warm-up on."""
        batches = self.trainer.train_dataloader.dataset  # type: ignore[union-attr]  # there is one while it trains
        assert isinstance(batches, CaseBatches)
        config = self.config.losses.grown
        if config.weight == 0 or batches.groups is None:
            return
        end = (self.global_step + self.trainer.num_training_batches) / self.trainer.estimated_stepping_batches
        if end > config.warmup:
            self._shared = self._share_out(batches, batches.groups)

    def _share_out(self, batches: CaseBatches, groups: Groups) -> Tensor:
        """Part of each image that the number of its group leaves to a structure."""
        shared = torch.full((len(batches), len(self.task.structures)), torch.nan)
        teacher = self._teacher()
        for group, members in enumerate(groups.members()):
            batch = batches.__getitems__(members)
            some = range(0, len(members), self.config.optim.batch_size)
            images = [batch.image[start : start + some.step].to(self.device) for start in some]
            logit = torch.cat([self._asked(teacher, image).mean(dim=0).cpu() for image in images])
            shared[members] = shared_by_scores(
                ranking(batch, logit, self.config.losses.grown).each(),
                batches.shares.share[:, group],
                batches.shares.weight[members],
                known_fractions(self.task, batch._replace(shared=None)).middle(),
            )
        return shared

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Augment, predict, compare. Every random draw comes from (seed, step, rank), so a resumed run repeats it."""
        torch.manual_seed(mix_seed(self.config.seed, self.global_step, self.global_rank))
        progress = self.global_step / self.trainer.estimated_stepping_batches
        if self._shared is not None:
            assert batch.case is not None
            batch = batch._replace(shared=self._shared.to(batch.image.device)[batch.case])
        # Labels are made on the whole image, where the number holds, and then move with it.
        batch = self._labelled(batch, progress)
        view = augment_geometry(batch, self.config.augment)
        network_input = augment_light(view.image, self.config.augment)
        terms = objective(
            self.network(network_input),
            view,
            network_input,
            self.task,
            self.config.losses,
            progress=progress,
            totals=self._totals,
        )
        for name, term in terms.items():
            self.log(
                f"train/{name}",
                term,
                on_step=False,
                on_epoch=True,
                batch_size=len(batch.image),
            )
        return terms["total"]

    def _labelled(self, batch: Batch, progress: float) -> Batch:
        """The batch with the labels of its stage: grown marks, then also the averaged network's own outline."""
        config = self.config.losses.grown
        if batch.grown is None:
            return batch
        if progress < config.warmup:
            return grown_labels(batch, config)
        return taught_labels(batch, self._asked(self._teacher(), batch.image), self.task, config)

    def _teacher(self) -> Network:
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it at run time
        return next(callback for callback in callbacks if isinstance(callback, Averaged)).network

    @torch.no_grad()
    def _asked(self, teacher: Network, image: Tensor) -> Tensor:
        """Logits of the image and of its mirror image, turned back, where the augmentation mirrors."""
        axes = [AXES[name] for name in self.config.augment.flip if -AXES[name] <= image.ndim - 2][:1]
        crop = self.config.augment.crop
        flipped = [middle_logits(teacher, image.flip(axis), crop).flip(axis) for axis in axes]
        return torch.stack([middle_logits(teacher, image, crop), *flipped])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Error of the number and share of marks hit on held-out cases. No mask is read, whatever the recipe."""
        mask = (self.network(batch.image).logit > 0).float()
        error = (predicted_statistics(mask, batch, self.task) - batch.value).abs()
        self._log_mean("select/number_error", error[error.isfinite()])
        if batch.marks is not None:
            self._log_mean("select/mark_hit_rate", mask[batch.marks])
        if self._held_out is not None:
            assert batch.case is not None
            self._held_out.record(batch.case, group_parts(mask, batch, self.task, self._held_out.groups))

    def on_validation_epoch_start(self) -> None:
        """Every image of a held-out group is seen anew."""
        if self._held_out is not None:
            self._held_out.forget()

    def on_validation_epoch_end(self) -> None:
        """Error of the numbers of held-out groups."""
        if self._held_out is not None:
            self._log_mean("select/group_number_error", self._held_out.errors().to(self.device))

    def _log_mean(self, name: str, values: Tensor) -> None:
        if len(values):
            self.log(
                name,
                values.mean(),
                on_step=False,
                on_epoch=True,
                batch_size=len(values),
                sync_dist=True,
            )

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rate rises from zero, then falls to zero along a cosine."""
        optim = self.config.optim
        optimizer = torch.optim.AdamW(self.parameters(), lr=optim.learning_rate, weight_decay=optim.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = max(1, round(optim.warmup * steps))

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
