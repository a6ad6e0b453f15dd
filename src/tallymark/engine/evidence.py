"""What is known of one image when its mask is to be given back: number, marks, growth, and what networks see."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt16

from tallymark.data.arrays import content_key
from tallymark.data.atomic import replacing
from tallymark.data.images import Image, image_space
from tallymark.data.marks import EXCLUDED
from tallymark.data.resize import resize_image, resize_layers
from tallymark.data.study import Case, Number, Study
from tallymark.engine.batch import Batch
from tallymark.engine.growers import Grower
from tallymark.engine.grown import growths_of, known_shares
from tallymark.engine.known_size import KnownFractions, known_fractions, require_room
from tallymark.engine.pull import likeness_of_marks
from tallymark.engine.task import Task, study_task
from tallymark.grow import Growth

# Places in the order of growth are kept up to here, in steps of 1/65535 of it: nothing beyond is a candidate.
FARTHEST = 8.0
_STEPS = 2**16 - 1
# Raised when growth changes: what an older one left is then not used.
_FORMAT = 2
_NOTHING = Number(math.nan, math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of one image, on its own grid.

    Args:
        case: whose it is.
        logits: of every network and view (the image as it is, and mirrored) on the image.
        order: place of every pixel in the order of growth: 1 at its outline, at most 8. NaN throughout in a structure
            that has not grown, for want of a number or of marks.
        marks: marked pixels.
        excluded: pixels marked "not this".
        least: pixels that each structure has at least; NaN where nothing is known.
        most: pixels that each structure has at most; NaN where nothing is known.
        shared: structures whose size is estimated: the part that the image has of its group's number, or of a ratio.
    """

    case: Case
    logits: Float[np.ndarray, "v k *space"]
    order: Float[np.ndarray, "k *space"]
    marks: Bool[np.ndarray, "k *space"]
    excluded: Bool[np.ndarray, "*space"]
    least: Float[np.ndarray, " k"]
    most: Float[np.ndarray, " k"]
    shared: Bool[np.ndarray, " k"]

    @property
    def logit(self) -> Float[np.ndarray, "k *space"]:
        """The mean over networks and views."""
        return np.asarray(self.logits.mean(axis=0))

    @property
    def grew(self) -> Bool[np.ndarray, " k"]:
        """Structures that have grown."""
        return np.asarray(~np.isnan(self.order.reshape(len(self.order), -1)[:, 0]))

    @property
    def known(self) -> Bool[np.ndarray, " k"]:
        """Structures whose size is known."""
        return np.asarray(~(np.isnan(self.least) | np.isnan(self.most)))


class GrownCase(NamedTuple):
    """The growth of one image, whatever networks see of it.

    Attributes:
        order: places in the order of growth, on the grid on which it grew; NaN throughout where nothing has grown.
        shares: of the image that each structure covers, least and most; None where unknown.
        space: pixels of the image along each axis.
    """

    order: Float[np.ndarray, "k *grid"]
    shares: Sequence[tuple[float, float] | None]
    space: tuple[int, ...]


class Gatherer:
    """Gathers the evidence of the cases of a study; growth is computed once and kept.

    Args:
        study: the study.
        numbers: of its images, by case id and statistic, in canonical units.
        mark_set: of its marks; None: no mark is used.
        grower: of :func:`tallymark.engine.growers.grower`.
        folder: where the growth of every case is kept.

    Raises:
        StudyError: an image has no room for its number.
    """

    def __init__(
        self,
        study: Study,
        numbers: Mapping[tuple[str, str], Number],
        mark_set: str | None,
        grower: Grower,
        folder: Path,
    ) -> None:
        self.study = study
        self.mark_set = mark_set
        self.numbers = numbers
        self.grower = grower
        self.task = study_task(study)
        require_room(study, study.cases, numbers, lambda case: image_space(case.image))
        ids = [case.id for case in study.cases]
        content = {
            "format": _FORMAT,
            "cases": [(case.id, case.sha256, case.spacing) for case in study.cases],
            "numbers": [(*key, number.value, number.low, number.high) for key, number in sorted(numbers.items())],
            "marks": study.marks.fingerprint(mark_set, ids),
            "settings": study.settings.model_dump(mode="json", exclude={"name", "format", "split"}),
            "cost": grower.key,
        }
        # Named only where there are any, so that what others keep stays valid.
        self.key = content_key("growth", content | ({"wholes": study.wholes} if study.wholes else {}))
        self._folder = folder / self.key

    def grown(self, case: Case) -> GrownCase:
        """The growth of a case; of the image its size alone is read."""
        shares = self.shares(case)
        marks = self.study.marks.labels(case.id, self.mark_set)
        return GrownCase(self._order(case, marks, shares), shares, image_space(case.image))

    def shares(self, case: Case) -> list[tuple[float, float] | None]:
        """The shares of an image that each structure covers, least and most; None where unknown."""
        return known_shares(sizes_of(case, image_space(case.image), self.numbers, self.task), 0)

    def likeness(self, case: Case) -> Float[np.ndarray, " k"]:
        """As :func:`tallymark.engine.pull.likeness_of_marks`; needs no network, and of the image its size alone."""
        marks = self.study.marks.labels(case.id, self.mark_set)
        order = self.grown(case).order if marks else np.empty(0)
        if np.isnan(order).all():
            return np.full(len(self.study.structures), np.nan)
        layers, nothing = resize_layers(marks, order.shape[1:]), np.zeros(order.shape[1:], dtype=bool)
        return likeness_of_marks(np.stack([layers.get(name, nothing) for name in self.study.structures]), order)

    def gather(self, case: Case, image: Image, logits: Float[np.ndarray, "v k *space"]) -> Evidence:
        """The evidence of one case.

        Args:
            case: of the study.
            image: its image.
            logits: of every network and view, on the image.
        """
        space, structures = image.space, self.study.structures
        marks = self.study.marks.labels(case.id, self.mark_set)
        layers = resize_layers(marks, space)
        nothing = np.zeros(space, dtype=bool)
        sizes = sizes_of(case, space, self.numbers, self.task)
        least, most = (pixels_of(end[0].numpy(), math.prod(space)) for end in sizes.ends())
        return Evidence(
            case,
            logits=logits,
            order=self._on_grid(case, marks, known_shares(sizes, 0), space),
            marks=np.stack([layers.get(name, nothing) for name in structures]),
            excluded=layers.get(EXCLUDED, nothing),
            least=least,
            most=most,
            shared=np.zeros(len(structures), dtype=bool),
        )

    def sized(self, evidence: Evidence, shares: Float[np.ndarray, " k"]) -> Evidence:
        """The evidence of a case whose sizes were estimated since; its marks grow to them.

        Args:
            evidence: of :meth:`gather`.
            shares: of the image that each structure covers; NaN where its numbers tell, or nothing does.
        """
        shared = ~np.isnan(shares)
        if not shared.any():
            return evidence
        space, case = evidence.excluded.shape, evidence.case
        pixels = pixels_of(shares, math.prod(space))
        sizes = sizes_of(case, space, self.numbers, self.task, shares)
        marks = self.study.marks.labels(case.id, self.mark_set)
        return replace(
            evidence,
            order=self._on_grid(case, marks, known_shares(sizes, 0), space),
            least=np.where(shared, pixels, evidence.least),
            most=np.where(shared, pixels, evidence.most),
            shared=shared,
        )

    def _on_grid(
        self,
        case: Case,
        marks: Mapping[str, Bool[np.ndarray, "*space"]],
        shares: Sequence[tuple[float, float] | None],
        space: Sequence[int],
    ) -> Float[np.ndarray, "k *space"]:
        order = self._order(case, marks, shares)
        if order.shape[1:] == tuple(space):
            return order
        return np.stack([resize_image(each[..., None], space)[..., 0] for each in order])

    def _order(
        self,
        case: Case,
        marks: Mapping[str, Bool[np.ndarray, "*space"]],
        shares: Sequence[tuple[float, float] | None],
    ) -> Float[np.ndarray, "k *space"]:
        kept = self._folder / f"{content_key(case.id, {'shares': shares})}.npy"
        if not kept.exists():
            growths = growths_of(self.study, case, marks, shares, self.grower).looked
            # The file is small: whole numbers, 0 where nothing has grown.
            steps = np.zeros((len(shares), *(1,) * self.study.settings.image.dimension), dtype=np.uint16)
            if growths:
                steps = np.stack([_steps(growths[name]) for name in self.study.structures])
            with replacing(kept) as temporary, temporary.open("wb") as stream:
                np.save(stream, steps)
        order = np.load(kept).astype(np.float32) * (FARTHEST / _STEPS)
        order[order == 0] = np.nan
        return np.asarray(order)


def sizes_of(
    case: Case,
    space: Sequence[int],
    numbers: Mapping[tuple[str, str], Number],
    task: Task,
    shares: Float[np.ndarray, " k"] | None = None,
) -> KnownFractions:
    """The known share of an image that each structure covers, in double precision: a volume has many voxels.

    Args:
        case: which image.
        space: its size in pixels.
        numbers: by case id and statistic, in canonical units.
        task: says what the numbers mean.
        shares: estimated, where no number of the image tells; NaN elsewhere.

    Returns:
        One row.
    """
    batch = numbers_as_batch(case, space, numbers, task)
    return known_fractions(task, batch if shares is None else batch._replace(shared=torch.tensor(shares[None])))


def numbers_as_batch(case: Case, space: Sequence[int], numbers: Mapping[tuple[str, str], Number], task: Task) -> Batch:
    """A batch of one image without its pixels, its numbers in double precision; arguments as of :func:`sizes_of`."""
    kept = [numbers.get((case.id, statistic.name), _NOTHING) for statistic in task.statistics]
    columns = torch.tensor([[(number.value, number.low, number.high) for number in kept]], dtype=torch.float64)
    value, low, high = columns.reshape(1, -1, 3).unbind(dim=2)
    edges = torch.tensor([case.spacing or (math.nan,) * len(space)], dtype=torch.float64)
    image = torch.zeros(1, 1, *(1,) * len(space))
    return Batch(
        image=image,
        valid=image == 0,
        value=value,
        low=low,
        high=high,
        spacing_mm=edges,
        extent_mm=edges.prod(dim=1) * math.prod(space),
        marks=None,
        excluded=None,
        truth=None,
    )


def pixels_of(share: Float[np.ndarray, " k"], pixels: int) -> Float[np.ndarray, " k"]:
    """Whole pixels of a share of an image: the nearest number, at least one of a share above 0; NaN where unknown.

    Example:
        >>> pixels_of(np.array([0.26, 1e-9, 0.0, np.nan]), 10).tolist()
        [3.0, 1.0, 0.0, nan]
    """
    whole = np.floor(share.clip(0, 1) * pixels + 0.5)
    return np.asarray(np.where(share > 0, np.maximum(whole, 1), whole))


def _steps(growth: Growth) -> UInt16[np.ndarray, "*space"]:
    if not growth.known or not growth.mask.any():
        return np.zeros(growth.mask.shape, dtype=np.uint16)
    return np.asarray(np.maximum(np.minimum(growth.order, FARTHEST) * (_STEPS / FARTHEST), 1), dtype=np.uint16)
