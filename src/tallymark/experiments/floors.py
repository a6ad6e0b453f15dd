"""Floors: rules that never look at the image. A run that does not beat them has learned where lesions tend to be.

Each is scored exactly as a run is. The position map is the mean of the training masks, so the floors know more about
position than any weak run; what they lack is the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from tallymark.data.resize import resize_mask_fraction, upsample_probability
from tallymark.data.study import Study
from tallymark.engine.config import RunConfig
from tallymark.engine.evaluate import study_references
from tallymark.engine.predict import Request
from tallymark.engine.scoring import Reference, score
from tallymark.engine.task import Task
from tallymark.errors import StudyError

# Fine enough to place a lesion, coarse enough to be smooth over a few hundred of them.
_SIDE = 128

Rule = Callable[[Request, str], Bool[np.ndarray, "*space"]]
"""What a rule draws for a structure of an image."""

FIXED, KNOWN = "position map, fixed size", "position map, known area"
"""The floor of a row that does not see the number, and that of one that does."""


def floors(
    study: Study, task: Task, config: RunConfig, split: str = "test"
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """The scores of the rules that never look at the image.

    Args:
        study: with full masks.
        task: the structures and statistics of the runs above these floors.
        config: of one of these runs; says which numbers, marks and fold are scored.
        split: what they are scored on.

    Returns:
        By name of the floor, the two tables of :func:`tallymark.engine.scoring.score`.

    Raises:
        StudyError: no training image shows a structure, or a full mask is missing where it is scored.

    Source: the position map and its cuts are ours; on BUSI the map at the known area scores what the paper reports
        for its statistic loss alone (Kulkarni, Raff & Oates 2026, Table 1).
    """
    study = study.fold(config.data.fold)
    references = study_references(study, split, config)
    rules = floor_rules(study, task, references)
    return {name: score(references, task, rule) for name, rule in rules.items()}


def floor_rules(study: Study, task: Task, references: Sequence[Reference]) -> dict[str, Rule]:
    """The rules, by name.

    Args:
        study: its training masks make the maps.
        task: the structures.
        references: the images on which the rules may be asked; their masks say the known areas.
    """
    truth = {reference.request.id: reference.truth for reference in references}
    maps, typical = position_maps(study, task)

    def known(request: Request, structure: str) -> Bool[np.ndarray, "*space"]:
        mask = truth[request.id](structure)
        return top_pixels(maps[structure], mask.shape, int(mask.sum()))

    def fixed(request: Request, structure: str) -> Bool[np.ndarray, "*space"]:
        shape = truth[request.id](structure).shape
        return top_pixels(maps[structure], shape, round(typical[structure] * np.prod(shape)))

    def everything(request: Request, structure: str) -> Bool[np.ndarray, "*space"]:
        return np.ones(truth[request.id](structure).shape, dtype=bool)

    return {"all ones": everything, FIXED: fixed, KNOWN: known}


def position_maps(study: Study, task: Task) -> tuple[dict[str, Float[np.ndarray, "*space"]], dict[str, float]]:
    """How often each structure covers each place of the frame in the training split, and its typical share.

    Returns:
        By structure: a map of side 128 per axis, and the median share over the images that have the structure.

    Raises:
        StudyError: no training image shows a structure.
    """
    maps, typical = {}, {}
    shape = (_SIDE,) * task.dimension
    for structure in task.structures:
        cases = [case for case in study.split("train") if study.truth.has(case.id, structure)]
        masks = [mask for mask in (study.truth.mask(case, structure) for case in cases) if mask.any()]
        if not masks:
            raise StudyError(
                f"there is no floor for '{structure}': no training image shows it",
                where=study.truth.path,
                found=f"{len(cases)} full masks, all empty" if cases else "no full mask",
                remedy="add masks of training images",
            )
        maps[structure] = np.mean([resize_mask_fraction(mask, shape) for mask in masks], axis=0)
        typical[structure] = float(np.median([mask.mean() for mask in masks]))
    return maps, typical


def top_pixels(position: Float[np.ndarray, "*side"], shape: tuple[int, ...], count: int) -> Bool[np.ndarray, "*space"]:
    """The ``count`` pixels of an image of this shape where the map is highest.

    Example:
        >>> top_pixels(np.array([[0.0, 1.0], [0.2, 0.5]]), (2, 2), 2).astype(int).tolist()
        [[0, 1], [0, 1]]
    """
    values = upsample_probability(position[None], shape)[0].ravel()
    chosen = np.zeros(values.size, dtype=bool)
    chosen[np.argsort(-values, kind="stable")[:count]] = True
    return chosen.reshape(shape)
