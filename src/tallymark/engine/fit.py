"""Fitting: from a study and a whole configuration to a run folder with a model in it."""

from __future__ import annotations

import logging
import math
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console

from tallymark.data.study import Case, Study
from tallymark.engine.averaging import Averaged
from tallymark.engine.batches import Closer, groups_of, held_out_loader, training_loader
from tallymark.engine.config import CLOSE_UP, RunConfig
from tallymark.engine.journal import Journal
from tallymark.engine.known_size import require_sizes
from tallymark.engine.model_file import Model, build_network, read_tensors, save_model
from tallymark.engine.module import Segmenter
from tallymark.engine.objective import lengths, needs_spacing
from tallymark.engine.run_folder import RunFolder
from tallymark.engine.task import Task, study_task
from tallymark.errors import ConfigError, GeometryError, StorageError
from tallymark.pictures import curves


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Args:
        folder: where everything lies.
        config: how it was trained.
    """

    folder: RunFolder
    config: RunConfig


def fit(
    study: Study,
    config: RunConfig,
    folder: RunFolder,
    *,
    resume: bool = False,
    console: Console | None = None,
    closer: Closer | None = None,
) -> Run:
    """Train what a configuration says.

    Args:
        study: the study.
        config: the whole of it.
        folder: of the run.
        resume: as for :func:`tallymark.engine.train.train`.
        console: where progress is shown; None: nowhere.
        closer: what close-ups have made of the growth; None: nothing.

    Returns:
        The run.

    Raises:
        TallymarkError: as :func:`tallymark.engine.train.train`.
    """
    study = study.fold(config.data.fold)
    if not resume:
        folder.refuse_another()
    task = study_task(study)
    _check_statistics(task, study.split("train"), config)
    _check_teacher(config)
    _check_views(config)
    if console is not None and config.losses.grown.weight > 0 and config.reads_marks:
        # Of thousands of images this takes longer than anything that follows.
        console.print(f"growing the marks of {len(study.split('train'))} images, unless kept", highlight=False)
    loader, held_out = training_loader(study, config, closer), held_out_loader(study, config)
    torch.manual_seed(config.seed)
    network = build_network(config, task)
    if not resume:
        folder.begin(config, study.folder, network.provenance._asdict())
    checkpoint = folder.checkpoint if resume and folder.checkpoint.exists() else None
    if checkpoint is not None:
        read_tensors(checkpoint)
    with _quiet(), _storage_errors(folder):
        trainer = _trainer(config, len(loader), folder, console)
        # weights_only: a checkpoint is data, never code.
        groups, held_out_groups = (None if one is None else groups_of(one) for one in (loader, held_out))
        segmenter = Segmenter(network, config, task, groups, held_out_groups)
        with _interrupts(trainer):
            trainer.fit(segmenter, loader, held_out, ckpt_path=checkpoint, weights_only=True)
        if trainer.is_global_zero:
            curves(folder.metrics_file, folder.curves_file)
            # Written last: a folder with a model is a finished run.
            save_model(Model(network, config, task), folder.model_file)
        trainer.strategy.barrier()
    return Run(folder, config)


def _trainer(config: RunConfig, batches: int, folder: RunFolder, console: Console | None) -> pl.Trainer:
    epochs = config.optim.epochs_of(batches)
    # Where epochs are short and many, several count as one: looking at held-out images would take longer than learning.
    together = max(1, epochs // config.optim.epochs)
    bar = console is not None and console.is_terminal
    callbacks: list[pl.Callback] = [
        Journal(folder.metrics_file, None if bar else console),
        ModelCheckpoint(
            dirpath=folder.checkpoint.parent,
            filename=folder.checkpoint.stem,
            every_n_epochs=config.runtime.checkpoint_every * together,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
    ]
    if config.optim.ema_decay > 0:
        callbacks.append(Averaged(decay=config.optim.ema_decay))
    if bar:
        callbacks.append(RichProgressBar(leave=False))
    return pl.Trainer(
        accelerator=config.runtime.accelerator,
        devices=config.runtime.devices,
        num_nodes=config.runtime.nodes,
        precision=_precision(config),  # type: ignore[arg-type]  # pydantic keeps a plain string; Lightning checks it
        max_epochs=together * math.ceil(epochs / together),
        check_val_every_n_epoch=together,
        gradient_clip_val=config.optim.gradient_clip or None,
        callbacks=callbacks,
        logger=TensorBoardLogger(folder.root, name="tensorboard", version=""),
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        enable_progress_bar=bar,
        enable_model_summary=False,
    )


def _precision(config: RunConfig) -> str:
    if config.runtime.precision != "auto":
        return config.runtime.precision
    on_gpu = config.runtime.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"


def _check_teacher(config: RunConfig) -> None:
    grown = config.losses.grown
    if grown.weight > 0 and grown.warmup < 1 and config.optim.ema_decay == 0:
        raise ConfigError(
            "self-training needs averaged weights",
            where="key optim.ema_decay",
            found=0,
            expected="above 0",
            remedy="--set optim.ema_decay=0.99, or --set losses.grown.warmup=1 to learn from grown marks alone",
        )


def _check_views(config: RunConfig) -> None:
    """Refuse to cut views out of whole images: no number holds in them, and only their middle would be predicted."""
    if config.augment.crop < 1 and config.recipe != CLOSE_UP:
        raise ConfigError(
            "only close-ups are seen in parts",
            where="key augment.crop",
            found=config.augment.crop,
            expected="1",
            remedy="leave it out",
        )


def _check_statistics(task: Task, cases: Sequence[Case], config: RunConfig) -> None:
    if not config.reads_numbers:
        return
    if config.reads_sizes:
        require_sizes(task, ratios=config.losses.grown.weight > 0)
    physical = needs_spacing(task.statistics)
    unknown = [case.id for case in cases if case.spacing is None or not all(map(math.isfinite, case.spacing))]
    if physical and unknown:
        raise GeometryError(
            f"the number {physical[0]} is in physical units, but the size of a pixel is not known",
            where=f"cases.csv, id {unknown[0]} and {len(unknown) - 1} more",
            remedy="fill in the column 'spacing' (mm), or keep the number as a fraction",
        )
    if lengths(task.statistics) and config.augment.affine > 0:
        raise ConfigError(
            f"the number {lengths(task.statistics)[0]} is a length, which a shrunk view changes",
            where="key augment.affine",
            found=config.augment.affine,
            expected="0",
        )


@contextmanager
def _interrupts(trainer: pl.Trainer) -> Iterator[None]:
    """Ctrl-C is the caller's: Lightning would end the process with code 1, and leave it deaf to the key."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if not trainer.interrupted:
            raise
    if trainer.interrupted:  # some versions return, others end the process
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice is for its own users; ours get our own words."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in (
                ".*does not have many workers.*",
                ".*You defined a `validation_step` but have no `val_dataloader`.*",
                ".*Checkpoint directory .* exists and is not empty.*",
                ".*number of training batches.*smaller than the logging interval.*",
                ".*GPU available but not used.*",
                ".*isinstance.treespec, LeafSpec.*",
            ):
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _storage_errors(folder: RunFolder) -> Iterator[None]:
    """A disk that fails in the middle of training costs at most the epochs since the last checkpoint."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            "the run cannot be written",
            where=error.filename or folder.root,
            found=error.strerror or error,
            remedy="make room, then continue with --resume",
        ) from error
