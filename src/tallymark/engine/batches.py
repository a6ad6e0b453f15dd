"""From the cases of a study to batches of tensors: the one place where files become tensors.

A weak run never opens the truth: ``truth`` is read only when a loss of the configuration needs full masks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from tallymark.data.cache import DecodedCache, marks_at, open_cache, truth_cache
from tallymark.data.resize import resized_spacing
from tallymark.data.study import Case, Study
from tallymark.engine.batch import Batch
from tallymark.engine.config import RunConfig, Term
from tallymark.engine.groups import Groups, read_groups, shared_by_marks, shares_of_groups
from tallymark.engine.growers import grower
from tallymark.engine.grown import grown_at, unpack
from tallymark.engine.known_ratio import free_ratios
from tallymark.engine.known_size import KnownFractions, known_fractions, require_room
from tallymark.engine.proposed import hardly_marked
from tallymark.engine.reads import drawn, known_group_numbers, known_numbers, marks_to_read, masked
from tallymark.engine.task import study_task
from tallymark.errors import ConfigError, StudyError

Closer = Callable[[Sequence[Case], np.ndarray, np.ndarray], np.ndarray]
"""Makes more of growth than growth itself, once, before anything else is learned from it: of the cases, of which of
them marks are read, and of rows as :func:`tallymark.engine.grown.grown_at` returns them, it makes such rows."""


class CaseBatches(Dataset[Batch]):
    """Batches of a study's cases at the network's size, read from the decoded cache.

    Args:
        study: the study.
        cases: which of its cases, in which order.
        config: the run's configuration; it says what is read.
        growing: to learn from, so that marks are grown where a loss asks for it and only the shares of ``config.data``
            are read; validation does without.
        closer: what looks closer at what has grown; None: nothing does.

    Raises:
        StudyError: a number or mark set the configuration asks for does not exist, or an image has no room for its
            number.
        ConfigError: the size has not as many axes as the study's images.
    """

    def __init__(
        self,
        study: Study,
        cases: Sequence[Case],
        config: RunConfig,
        *,
        growing: bool = True,
        closer: Closer | None = None,
    ) -> None:
        size = config.data.size
        dimension = study.settings.image.dimension
        if len(size) != dimension:
            raise ConfigError(
                "wrong number of axes",
                where="key data.size",
                found=size,
                expected=f"{dimension} numbers",
            )
        self.cases = tuple(cases)
        self._reads_numbers = config.reads_numbers
        grown = config.losses.grown
        # Under self-training an image of which nothing is known can be taught by the network itself.
        self._teaches_all = grown.weight > 0 and grown.warmup < 1 and grown.confident < 1
        cache = open_cache(study, size)
        self._rows = np.array([cache.index(case.id) for case in self.cases], dtype=np.int64)
        self._images = cache.images
        # What held-out cases are judged by is never thinned out.
        marked = drawn(self.cases, config.data.marked if growing else 1.0)
        numbered = drawn(self.cases, config.data.numbered if growing else 1.0)
        self._values, self.groups = _numbers(study, self.cases, config, cache, numbered)
        unknown = (math.nan,) * dimension
        spacing = [
            resized_spacing(cache.spacing(case.id) or unknown, cache.space(case.id), size) for case in self.cases
        ]
        self._spacing = np.array(spacing, dtype=np.float32).reshape(len(self.cases), dimension)
        self._marks = None
        if config.reads_marks:
            self._marks = _marks(study, marks_to_read(study, config), self.cases, size, marked)
        self._masked = masked(study, self.cases, config.data.masks) if config.reads_masks else None
        self._truth = None
        if self._masked is not None:
            with_mask = [case for case, read in zip(self.cases, self._masked, strict=True) if read]
            self._truth = truth_cache(study, size, with_mask)
        self._grown = None
        self._shared: Float[Tensor, "n k"] | None = None
        if growing and config.losses.grown.weight > 0:
            task = study_task(study)
            everything = self.__getitems__(range(len(self.cases)))
            sizes = known_fractions(task, everything)
            if self.groups is not None:
                assert self._marks is not None
                self.shares = shares_of_groups(task, self.groups, everything.extent_mm)
                self._shared = shared_by_marks(self.groups, self.shares, sizes, self._marks, everything.spacing_mm)
                sizes = known_fractions(task, everything._replace(shared=self._shared))
            name = marks_to_read(study, config)
            way = grower(config.losses.grown, config.runtime.accelerator)
            ratios = free_ratios(task, everything, known_fractions(task, everything._replace(shared=None)))
            proposed = self._hardly_marked(study.structures, sizes) if config.losses.grown.propose else ()
            self._grown = grown_at(
                study,
                self.cases,
                name,
                sizes,
                size,
                way,
                marked=marked,
                ratios=ratios,
                proposed=proposed,
                masked=self._masked,
            )
            if closer is not None:
                self._grown = closer(self.cases, marked, self._grown)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """The batch of these positions; PyTorch's loader calls this instead of ``__getitem__``."""
        chosen = np.asarray(indices, dtype=np.int64)
        image = torch.from_numpy(np.moveaxis(_unit_interval(self._images[self._rows[chosen]]), -1, 1).copy())
        value, low, high = (torch.from_numpy(column[chosen]) for column in self._values)
        spacing = torch.from_numpy(self._spacing[chosen])
        marks = excluded = truth = read = None
        if self._marks is not None:
            rows = torch.from_numpy(np.asarray(self._marks[chosen], dtype=bool))
            marks, excluded = rows[:, :-1], rows[:, -1:]
        if self._truth is not None and self._masked is not None:
            read = torch.from_numpy(self._masked[chosen])
            truth = torch.zeros(len(chosen), *self._truth.shape[1:], dtype=torch.bool)
            place = (self._masked.cumsum() - 1)[chosen][read.numpy()]
            truth[read] = torch.from_numpy(np.asarray(self._truth[place], dtype=bool))
        grown = None if self._grown is None else unpack(self._grown[chosen])
        return Batch(
            image=image,
            valid=torch.ones_like(image[:, :1], dtype=torch.bool),
            value=value,
            low=low,
            high=high,
            spacing_mm=spacing,
            extent_mm=spacing.prod(dim=1) * math.prod(image.shape[2:]),
            marks=marks,
            excluded=excluded,
            truth=truth,
            grown=None if grown is None else grown.share,
            order=None if grown is None else grown.order,
            certainty=None if grown is None else grown.certainty,
            masked=read,
            case=torch.from_numpy(chosen),
            shared=None if self._shared is None else self._shared[chosen],
        )

    @property
    def groups_alone(self) -> bool:
        """Whether numbers are known of groups and of no single image."""
        return self.groups is not None and not np.isfinite(self._values).any()

    def _hardly_marked(self, structures: Sequence[str], sizes: KnownFractions) -> tuple[str, ...]:
        """The structures that few of the marks and full masks show."""
        if self._marks is None:
            return ()
        within = tuple(range(2, self._marks.ndim))
        shown = np.asarray(self._marks[:, : len(structures)].any(axis=within))
        if self._truth is not None and self._masked is not None:
            shown[self._masked] |= self._truth.any(axis=within)
        there = (sizes.middle() > 0).sum(dim=0)
        counts = zip(structures, shown.sum(axis=0).tolist(), there.tolist(), strict=True)
        return tuple(name for name, *count in counts if hardly_marked(*count))

    def informative(self) -> Iterator[int]:
        """Positions of the cases that some loss of the configuration can learn from."""
        known = np.isfinite(self._values).any(axis=(0, 2)) & self._reads_numbers
        if self.groups is not None and self._reads_numbers:
            known = known | (self.groups.of >= 0).numpy()
        if self._marks is not None:
            known = known | np.asarray(self._marks).any(axis=tuple(range(1, self._marks.ndim)))
        if self._masked is not None:
            known = known | self._masked
        if self._teaches_all and known.any():
            known = np.ones_like(known)
        yield from np.flatnonzero(known).tolist()


class EpochShuffle(Sampler[int]):
    """A permutation that depends on (seed, epoch) alone, so that a resumed run sees the order it would have seen."""

    def __init__(self, positions: Sequence[int], seed: int) -> None:
        self._positions = torch.as_tensor(list(positions), dtype=torch.int64)
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(mix_seed(self._seed, self._epoch))
        yield from self._positions[torch.randperm(len(self._positions), generator=generator)].tolist()


def training_loader(study: Study, config: RunConfig, closer: Closer | None = None) -> DataLoader[Batch]:
    """Shuffled batches of the training split; the closer is that of :class:`CaseBatches`.

    Raises:
        StudyError: no case of the split carries anything that the recipe can learn from.
    """
    batches = CaseBatches(study, study.split("train"), config, closer=closer)
    positions = list(batches.informative())
    if not positions:
        raise StudyError(
            f"nothing to learn from: no case of the train split has what the recipe {config.recipe} reads",
            where=study.folder,
            remedy="add numbers or marks ('tallymark mark', 'tallymark import marks'), or choose another recipe",
        )
    if config.reads_sizes and config.losses.grown.weight == 0 and batches.groups_alone:
        raise StudyError(
            f"the recipe {config.recipe} counts the pixels of each image, and there are numbers of groups alone",
            where=study.folder / "statistics.csv",
            remedy="choose the recipe grow or paper, or add numbers of images",
        )
    # A last batch of another size would weigh its images more, and BatchNorm cannot train on a batch of one.
    size = min(config.optim.batch_size, len(positions))
    return DataLoader(
        batches,
        batch_size=size,
        sampler=EpochShuffle(positions, config.seed),
        drop_last=True,
        collate_fn=_as_is,
        num_workers=config.runtime.workers,
        persistent_workers=config.runtime.workers > 0,
    )


def held_out_loader(study: Study, config: RunConfig) -> DataLoader[Batch] | None:
    """Batches of the select split in a fixed order; None where the study has no such split.

    Full masks are not read, whatever the recipe: selection is by numbers and marks for every run.
    """
    cases = study.split("select")
    if not cases:
        return None
    losses = config.losses.model_copy(update={"cross_entropy": Term(), "dice": Term()})
    data = config.data.model_copy(update={"masks": None})
    batches = CaseBatches(study, cases, config.model_copy(update={"losses": losses, "data": data}), growing=False)
    return DataLoader(batches, batch_size=config.optim.batch_size, collate_fn=_as_is)


def groups_of(loader: DataLoader[Batch]) -> Groups | None:
    """The numbers of groups among the cases of a loader."""
    batches = loader.dataset
    assert isinstance(batches, CaseBatches)
    return batches.groups


def mix_seed(*parts: int) -> int:
    """One 63-bit seed from several small numbers, without the collisions of a sum."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def _marks(
    study: Study, name: str | None, cases: Sequence[Case], size: Sequence[int], marked: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, "n channel *size"]:
    """The marks of the cases whose marks are read: the structures, then what is none of them."""
    if name is None:
        return np.zeros((len(cases), len(study.structures) + 1, *size), dtype=bool)
    rows = marks_at(study, name, cases, size)
    return rows if marked.all() else rows & marked.reshape(-1, *(1,) * (rows.ndim - 1))


def _numbers(
    study: Study,
    cases: Sequence[Case],
    config: RunConfig,
    cache: DecodedCache,
    read: Bool[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, "3 n s"], Groups | None]:
    """Value, low and high of every case and statistic, all NaN where nothing is recorded; and the numbers of groups."""
    columns = np.full((3, len(cases), len(study.statistics)), np.nan, dtype=np.float32)
    chosen = {case.id for case, taken in zip(cases, read, strict=True) if taken}
    known = {key: number for key, number in known_numbers(study, config).items() if key[0] in chosen}
    require_room(study, cases, known, lambda case: cache.space(case.id))
    pixels = [float(math.prod(cache.space(case.id))) for case in cases]
    groups = read_groups(study, cases, known, known_group_numbers(study, config), pixels)
    for row, case in enumerate(cases):
        for column, statistic in enumerate(study.statistics):
            number = known.get((case.id, statistic.name))
            if number is not None:
                columns[:, row, column] = number.value, number.low, number.high
    return columns, groups


def _unit_interval(pixels: np.ndarray) -> np.ndarray:
    if np.issubdtype(pixels.dtype, np.integer):
        return pixels.astype(np.float32) / float(np.iinfo(pixels.dtype).max)
    return pixels.astype(np.float32)


def _as_is(batch: Any) -> Any:
    """``__getitems__`` has made the batch already; PyTorch's type of this hook knows only lists."""
    return batch
