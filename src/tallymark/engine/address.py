"""The name of a run that is made of its content: what decides its result, and nothing else."""

from __future__ import annotations

import hashlib
import json

from tallymark.data.study import Study
from tallymark.engine.config import RunConfig
from tallymark.engine.proposed import hardly_marked
from tallymark.engine.reads import marks_to_read

GENERATION = 1
"""Raised when results change although no setting does: a loss is corrected, or the default of a setting changes."""


def address(study: Study, config: RunConfig, split: str | None) -> str:
    """The name of a row's folder: its recipe and seed, and a hash of all that decides its result.

    Settings count as far as they differ from their defaults, so that a new setting, whose default changes nothing,
    leaves every address as it was; where a default itself changes, :data:`GENERATION` is raised. Where it is computed
    (``runtime``) does not count, and names do not: a recipe and a profile count by what they set, marks, numbers and
    masks by their content, a fold by the splits it deals. Marks and numbers that are named count in a
    run that does not learn from them, too: it is scored by them. Without a split nothing is scored, and the masks do
    not count unless the run learns from them.
    """
    study = study.fold(config.data.fold)
    decides: dict[str, object] = {
        "generation": GENERATION,
        "split": split,
        "config": config.model_dump(
            mode="json",
            exclude_defaults=True,
            exclude={"recipe": True, "profile": True, "runtime": True, "data": True, "optim": {"steps"}},
        ),
        "data": config.data.model_dump(mode="json", exclude_defaults=True, exclude={"marks", "numbers", "fold"}),
        "settings": study.settings.model_dump(mode="json", exclude_defaults=True, exclude={"name", "format", "split"}),
        "cases": [(case.id, case.sha256, case.group, case.split) for case in study.cases],
    }
    if split is not None or config.reads_masks:
        decides["masks"] = [
            study.truth.fingerprint(case.id, name)
            for case in study.cases
            for name in study.structures
            if study.truth.has(case.id, name)
        ]
    if config.reads_numbers or config.data.numbers is not None:
        numbers = study.numbers(config.data.numbers)
        decides["numbers"] = [(*key, number.value, number.low, number.high) for key, number in sorted(numbers.items())]
        # Only where there are some, so that rows of other studies keep their address.
        if groups := study.group_numbers(config.data.numbers):
            decides["group_numbers"] = [(*key, one.value, one.low, one.high) for key, one in sorted(groups.items())]
    if config.reads_marks or config.data.marks is not None:
        name = marks_to_read(study, config)
        decides["marks"] = study.marks.fingerprint(name, [case.id for case in study.cases])
    # Where there are as many steps without them, rows keep their address.
    if config.optim.epochs_on(len(study.split("train"))) > config.optim.epochs:
        decides["steps"] = config.optim.steps
    if corrected := _corrected(study, config, scored=split is not None):
        decides["corrected"] = corrected
    text = json.dumps(decides, sort_keys=True, default=str)
    return f"{config.recipe}-{config.seed}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _corrected(study: Study, config: RunConfig, *, scored: bool) -> list[str]:
    """Corrections that changed some runs alone, so that the addresses of all others stay."""
    several = len(study.structures) > 1
    labels = config.losses.grown.weight > 0
    grows = labels and not config.reads_masks
    changed = {
        "guesses stand in for marks": grows and config.data.marked == 0,
        "guesses stand beside few marks": grows and config.data.marked > 0 and _few_marked(study, config),
        "guesses stand beside few masks": labels
        and config.reads_masks
        and config.reads_numbers
        and config.data.numbered > 0
        and config.data.masks is not None
        and _few(study, config.data.masks),
        "structures exclude each other": config.reads_marks and several,
        "predicted masks exclude each other": scored and several,
        "all marks are outlined in close-ups that hear their neighbours": grows
        and config.losses.grown.close_ups
        and study.settings.image.dimension == 2
        and config.reads_marks
        and config.data.marked > 0,
        "parts of a whole are divided by looks": labels and config.reads_marks and bool(study.wholes),
        "marks that no brush makes grow back": grows and config.reads_marks and config.losses.grown.cost == "auto",
    }
    return [correction for correction, holds in changed.items() if holds]


def _few_marked(study: Study, config: RunConfig) -> bool:
    """Whether so few images are marked that others may be guessed; of single structures it may be fewer."""
    name = marks_to_read(study, config) if config.reads_marks else None
    return name is not None and _few(study, config.data.marked * study.marks.sets()[name].cases / len(study.cases))


def _few(study: Study, share: float) -> bool:
    """Whether such a share of the images that are learned from is so few of them."""
    train = len(study.split("train"))
    return hardly_marked(round(share * train), train)
