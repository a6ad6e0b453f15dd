"""Labels of close-ups in the place of growth: what a network of close-ups makes of the marks that it learns from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from rich.console import Console

from tallymark.data.arrays import content_key, stored_array, write_rows
from tallymark.data.images import normalise
from tallymark.data.resize import resize_image, resize_mask_fraction
from tallymark.data.study import Case, Study
from tallymark.engine.address import address
from tallymark.engine.close_ups import MARKS, CloseUps, close_ups
from tallymark.engine.config import CLOSE_UP, DataConfig, GrownTerm, RunConfig
from tallymark.engine.cross_fit import seen_by
from tallymark.engine.evidence import Evidence, Gatherer
from tallymark.engine.fit import fit
from tallymark.engine.growers import grower
from tallymark.engine.grown import FARTHEST
from tallymark.engine.model_file import Model, load_model
from tallymark.engine.outlines import outlines, scored
from tallymark.engine.predict import best_device
from tallymark.engine.pull import CLOSE, choose_pulls
from tallymark.engine.reads import drawn, known_numbers, marks_to_read
from tallymark.engine.run_folder import RunFolder
from tallymark.grow.order import order_of, rank

# Raised when labels change: what an older version left is then not used.
_FORMAT = 4
# Fewer close-ups teach a network nothing that growth did not know.
FEWEST = 4
# Of few images there are few steps in an epoch: so many times as many epochs at most.
_LONGEST = 10.0


# With less growth in the labels than a run on whole images needs, since there is less to find.
_LABELS = {"weight": 1.0, "close_ups": False, "pull": 1.0, "anchor": 0.1, "guard": False, "temperature": 0.5}
# Views are cut out around the middle, so that it is not the place that is learned.
_VIEWS = {"crop": 2 / 3, "rotation": 20.0, "affine": 0.0}


def close_up_config(config: RunConfig, images: int, cases: int) -> RunConfig:
    """The configuration of the network of close-ups: that of a run, but for its labels and views.

    Args:
        config: of the run.
        images: that have a close-up.
        cases: that the run learns from; where fewer have a close-up there are more epochs, so that as much is learned.
    """
    size = [round(length / _VIEWS["crop"]) for length in config.data.size]
    longer = min(_LONGEST, max(1.0, cases / images))
    optim, epochs = config.optim, config.optim.epochs_on(cases)
    schedule = {"epochs": math.ceil(epochs * longer), "steps": optim.steps if epochs > optim.epochs else 0}
    changed = config.model_dump() | {
        "recipe": CLOSE_UP,
        "data": DataConfig(size=tuple(size), marks=MARKS).model_dump(),
        # No number holds in a view that is cut out, so that no loss may read one.
        "losses": {
            "grown": config.losses.grown.model_dump() | _LABELS,
            "gated_crf": config.losses.gated_crf.model_dump(),
        },
        "augment": config.augment.model_dump() | _VIEWS,
        "optim": optim.model_dump() | schedule,
    }
    return RunConfig.model_validate(changed)


def close_up_labels(study: Study, config: RunConfig, runs: Path, console: Console | None) -> CloseUpLabels | None:
    """What makes labels of close-ups of a run's training images; None where it asks for none."""
    grown = config.losses.grown
    if grown.weight == 0 or not grown.close_ups:
        return None
    return CloseUpLabels(study, config, runs, console)


@dataclass(frozen=True)
class CloseUpLabels:
    """Trains a network on close-ups of the training images, and outlines them with it.

    In the whole image a network has to find a structure before it can outline it. In a close-up it is in the middle and
    of one size, so that little is left to be learned: the same marks and numbers then give better outlines than
    growth has, and better ones than the network of whole images makes of them by itself. Growth has a say beside it,
    the more where marks look eroded (:mod:`tallymark.engine.pull`). No mask is read.

    Args:
        study: the study.
        config: of the run.
        runs: holds the run of the close-ups, under a name made of its content: a run that was killed in it goes on.
        console: where progress is shown; None: nowhere.

    Source: ours; docs/results/marks.md says what it is worth.
    """

    study: Study
    config: RunConfig
    runs: Path
    console: Console | None

    def __call__(
        self, cases: Sequence[Case], marked: Bool[np.ndarray, " n"], rows: UInt8[np.ndarray, "n 3 k *size"]
    ) -> UInt8[np.ndarray, "n 3 k *size"]:
        """Rows of growth with those of images that have a close-up replaced; see
        :class:`tallymark.engine.batches.Closer`.
        """
        folder = self.study.folder / "cache"
        numbered = {case.id for case, read in zip(cases, drawn(cases, self.config.data.numbered), strict=True) if read}
        numbers = {key: one for key, one in known_numbers(self.study, self.config).items() if key[0] in numbered}
        way = grower(self.config.losses.grown.model_copy(update={"straight": 0.0}))
        gatherer = Gatherer(self.study, numbers, marks_to_read(self.study, self.config), way, folder)
        read = [case for case, taken in zip(cases, marked, strict=True) if taken]
        closer = close_ups(gatherer, read, folder)
        if closer is None or len(closer.boxes) < FEWEST:
            return rows
        pulls = choose_pulls(map(gatherer.likeness, read), len(self.study.structures), CLOSE)
        config = close_up_config(self.config, len(closer.boxes), len(cases))
        run = RunFolder(self.runs / address(closer.study, config, None))
        content = {
            "format": _FORMAT,
            "run": run.root.name,
            "cases": [case.id for case in cases],
            # What has no close-up stays as it grew, from whatever it grew.
            "growth": hashlib.sha256(rows.tobytes()).hexdigest(),
        }

        def build(path: Path) -> Mapping[str, Any]:
            self._say(f"first a network of close-ups of {len(closer.boxes)} images, whose outlines replace growth")
            if not run.model_file.exists():
                fit(closer.study, config, run, resume=run.config_file.exists(), console=self.console)
            model = load_model(run.model_file, device=best_device())
            write_rows(path, self._rows(cases, rows, gatherer, closer, model, pulls), rows.shape, np.uint8)
            self._say("now the run's own network")
            return {}

        return stored_array(folder, content_key("close-up-labels", content), build)[0]

    def _say(self, words: str) -> None:
        if self.console is not None:
            self.console.print(words, highlight=False)

    def _rows(
        self,
        cases: Sequence[Case],
        rows: np.ndarray,
        gatherer: Gatherer,
        closer: CloseUps,
        model: Model,
        pulls: Float[np.ndarray, " k"],
    ) -> Iterator[UInt8[np.ndarray, "3 k *size"]]:
        for case, row in zip(cases, rows, strict=True):
            if case.id not in closer.boxes:
                yield row
                continue
            image = case.read()
            views = seen_by(model, closer.study.case(case.id).read())
            evidence = closer.evidence(gatherer, case, image, views)
            pixels = normalise(image, gatherer.task.image_channels, gatherer.task.window)
            masks, order = _outlined(evidence, pixels, pulls, model.config.losses.grown)
            size = row.shape[2:]
            found = np.array(row, dtype=np.float64)
            for k in range(len(pulls)):
                found[0, k] = 255 * resize_mask_fraction(masks[k], size)
                found[1, k] = 255 / FARTHEST * resize_image(order[k][..., None], size)[..., 0]
            yield np.rint(found.clip(0, 255)).astype(np.uint8)


def _outlined(
    evidence: Evidence, image: Float[np.ndarray, "*space c"], pulls: Float[np.ndarray, " k"], grown: GrownTerm
) -> tuple[Bool[np.ndarray, "k *space"], Float[np.ndarray, "k *space"]]:
    """Masks of the known size, and the place of every pixel in the order in which it would join them."""
    ranked = scored(evidence, pulls, image=image, reach=grown.reach, trust=grown.trust)
    masks = outlines([ranked])[0]
    order = np.full(masks.shape, FARTHEST, dtype=np.float32)
    for k, mask in enumerate(masks):
        if mask.any():
            # The mask comes first, whatever the scores: another structure may hold what would come before.
            order[k] = np.minimum(order_of(rank(-ranked.score[k], mask), int(mask.sum())), FARTHEST)
    return masks, order
