"""One training step and one held-out step, as Lightning's Trainer wants them."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from tallymark.engine.augment import AXES, augment_geometry, augment_light
from tallymark.engine.averaging import Averaged
from tallymark.engine.batch import Batch
from tallymark.engine.batches import mix_seed
from tallymark.engine.config import RunConfig
from tallymark.engine.labels import grown_labels, taught_labels
from tallymark.engine.objective import objective, predicted_statistics
from tallymark.engine.task import Task
from tallymark.models.interface import Network


class Segmenter(pl.LightningModule):
    """A network, what it is asked for and how it is trained."""

    def __init__(self, network: Network, config: RunConfig, task: Task) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.task = task

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Augment, predict, compare. Every random draw comes from (seed, step, rank), so a resumed run repeats it."""
        torch.manual_seed(mix_seed(self.config.seed, self.global_step, self.global_rank))
        progress = self.global_step / self.trainer.estimated_stepping_batches
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
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it at run time
        teacher = next(callback for callback in callbacks if isinstance(callback, Averaged)).network
        return taught_labels(batch, self._asked(teacher, batch.image), self.task, config)

    @torch.no_grad()
    def _asked(self, teacher: Network, image: Tensor) -> Tensor:
        """Logits of the image and of its mirror image, turned back, where the augmentation mirrors."""
        axes = [AXES[name] for name in self.config.augment.flip if -AXES[name] <= image.ndim - 2][:1]
        flipped = [teacher(image.flip(axis)).logit.float().flip(axis) for axis in axes]
        return torch.stack([teacher(image).logit.float(), *flipped])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Error of the number and share of marks hit on held-out cases. No mask is read, whatever the recipe."""
        mask = (self.network(batch.image).logit > 0).float()
        error = (predicted_statistics(mask, batch, self.task) - batch.value).abs()
        self._log_mean("select/number_error", error[error.isfinite()])
        if batch.marks is not None:
            self._log_mean("select/mark_hit_rate", mask[batch.marks])

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
