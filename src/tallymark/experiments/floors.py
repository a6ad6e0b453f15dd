"""Floors: rules that never look at the image. A run that does not beat them has learned where lesions tend to be.

Each is scored exactly as a run is. The position map is the mean of the training masks, so the floors know more about
position than any weak run; what they lack is the image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from tallymark.data.resize import resize_mask_fraction, upsample_probability
from tallymark.data.study import Study
from tallymark.engine.config import RunConfig
from tallymark.engine.evaluate import study_references
from tallymark.engine.objective import Task
from tallymark.engine.predict import Request
from tallymark.engine.scoring import score

# Fine enough to place a lesion, coarse enough to be smooth over a few hundred of them.
_SIDE = 128


def floors(study: Study, task: Task, config: RunConfig, split: str = "test") -> dict[str, tuple[pd.DataFrame, ...]]:
    """The scores of the rules that never look at the image.

    Args:
        study: with full masks.
        task: the structures and statistics of the runs above these floors.
        config: of one of these runs; says which numbers, marks and fold are scored.
        split: what they are scored on.

    Returns:
        By name of the floor, the two tables of :func:`tallymark.engine.scoring.score`.

    Source: the position map and its cuts are ours; on BUSI the map at the known area scores what the paper reports
        for its statistic loss alone (Kulkarni, Raff & Oates 2026, Table 1).
    """
    study = study.fold(config.data.fold)
    references = study_references(study, split, config)
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

    rules: dict[str, Callable[[Request, str], np.ndarray]] = {
        "all ones": everything,
        "position map, fixed size": fixed,
        "position map, known area": known,
    }
    return {name: score(references, task, rule) for name, rule in rules.items()}


def position_maps(study: Study, task: Task) -> tuple[dict[str, Float[np.ndarray, "*space"]], dict[str, float]]:
    """How often each structure covers each place of the frame in the training split, and its typical share.

    Returns:
        By structure: a map of side 128 per axis, and the median share over the images that have the structure.
    """
    maps, typical = {}, {}
    for structure in task.structures:
        masks = [study.truth.mask(case, structure) for case in study.split("train")]
        masks = [mask for mask in masks if mask.any()]
        shape = (_SIDE,) * task.dimension
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
