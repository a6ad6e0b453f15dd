"""Evaluation of a run: its predictions against full masks, its numbers against kept ones. Nothing may be missing.

A study that has no full masks at all is scored by its numbers and marks alone, and the result says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tallymark.data.atomic import write_text
from tallymark.data.images import normalise, read_image, read_mask
from tallymark.data.study import Study
from tallymark.data.tables import write_table
from tallymark.datasets.naming import pair_files
from tallymark.engine.config import RunConfig
from tallymark.engine.model_file import Model, load_model
from tallymark.engine.predict import (
    Request,
    best_device,
    mask_file,
    predictions,
    write_predictions,
)
from tallymark.engine.reads import known_group_numbers, known_numbers, marks_to_read
from tallymark.engine.run_folder import RunFolder
from tallymark.engine.scoring import POLICY, Reference, group_numbers, number_scores, overlap_scores, score
from tallymark.errors import EvaluationError
from tallymark.pictures import enlargement, overlay, save_png


@dataclass(frozen=True)
class Evaluation:
    """The scores of a run on some images.

    Args:
        run: the run's folder.
        name: the split, or the name of the folder of images.
        recipe: of the run.
        supervised: whether the run learned from full masks.
        has_truth: whether there were full masks to compare with; without them every overlap is None.
        scores: by structure: images, empty_images, empty_correct, iou_per_image, iou_pooled, dice_per_image,
            dice_pooled, mark_hit_rate; None where undefined.
        numbers: by statistic: unit, images, mean_absolute_error, bias, lower, upper (Bland-Altman limits).
        cases: one row a case and structure: id, group, structure, iou, dice, true_pixels, predicted_pixels,
            marked_pixels, marks_hit.
        number_cases: one row a case and statistic: id, group, statistic, unit, predicted, recorded, weight.
        groups: as ``numbers``, for numbers that were kept of whole groups; empty where there are none.
    """

    run: Path
    name: str
    recipe: str
    supervised: bool
    has_truth: bool
    scores: Mapping[str, Mapping[str, float | int | None]]
    numbers: Mapping[str, Mapping[str, float | int | str | None]]
    cases: pd.DataFrame
    number_cases: pd.DataFrame
    groups: Mapping[str, Mapping[str, float | int | str | None]]

    def summary(self) -> dict[str, Any]:
        """What ``--json`` prints and ``evaluation-<name>.json`` holds."""
        return {
            "run": self.run.name,
            "on": self.name,
            "recipe": self.recipe,
            "supervised": self.supervised,
            "full_masks": self.has_truth,
            "policy": POLICY,
            "scores": self.scores,
            "numbers": self.numbers,
            "groups": self.groups,
        }


def evaluate(
    run: Path | str,
    *,
    split: str = "test",
    numbers: str | None = None,
    images: Path | str | None = None,
    masks: Path | str | None = None,
    reuse: bool = False,
    out: Path | str | None = None,
) -> Evaluation:
    """Score a run on a split of its own study, or on any folder of images with masks.

    A study without ``truth.csv`` is scored by its numbers and marks; its overlaps stay unknown.

    Args:
        run: the run's folder.
        split: of the run's study; ignored when folders are given.
        numbers: the number variant to compare with; None: that of the run. Others may have come since it was trained.
        images: a folder of images, with ``masks``.
        masks: the folder of their masks, paired by name as ``import images`` does.
        reuse: score the predictions that are there instead of predicting again.
        out: where predictions and scores go; None: the run's folder.

    Returns:
        The scores; also written as ``evaluation-<name>.json``, ``.csv`` and ``-numbers.csv``, and ``-groups.csv`` where
        numbers were kept of groups.

    Raises:
        EvaluationError: a prediction or a true mask is missing, or there is nothing to score.
        CheckpointError: the run has no usable model.
        GeometryError: a true mask has another size than its image.
    """
    folder = RunFolder(Path(run))
    model = load_model(folder.model_file, device=best_device())
    if (images is None) != (masks is None):
        raise EvaluationError("images and masks go together", found="one of --images and --masks", expected="both")
    if images is not None and masks is not None:
        name, references = Path(images).resolve().name, _folder_references(Path(images), Path(masks), model)
        kept_of_groups: dict[tuple[str, str], float] = {}
    else:
        study = Study.open(folder.study_folder)
        data = model.config.data.model_copy(update={} if numbers is None else {"numbers": numbers})
        config = model.config.model_copy(update={"data": data})
        name, references = split, study_references(study, split, config)
        kept_of_groups = _kept_of_groups(study, config)
    if not references:
        raise EvaluationError("nothing to score", where=images or f"split {split}", expected="at least one image")
    target = RunFolder(Path(out)) if out is not None else folder
    if not reuse:
        requests = [reference.request for reference in references]
        write_predictions(predictions(model, requests), model, target.predictions(name), overlays=False)
    written = _written(target.predictions(name), model)
    cases, number_cases = score(references, model.task, written)
    _draw(references, model, written, target.predictions(name) / "overlays")
    groups = group_numbers(number_cases, kept_of_groups, model.task)
    evaluation = Evaluation(
        run=folder.root,
        name=name,
        recipe=model.config.recipe,
        supervised=model.config.reads_masks,
        has_truth=any(reference.has_truth for reference in references),
        scores={str(key): overlap_scores(rows) for key, rows in cases.groupby("structure", sort=False)},
        numbers={str(key): number_scores(rows) for key, rows in number_cases.groupby("statistic", sort=False)},
        cases=cases,
        number_cases=number_cases,
        groups={str(key): number_scores(rows) for key, rows in groups.groupby("statistic", sort=False)},
    )
    write_table(target.evaluation(name, ".csv"), cases)
    write_table(target.evaluation(name, "-numbers.csv"), number_cases)
    if len(groups):
        write_table(target.evaluation(name, "-groups.csv"), groups)
    write_text(target.evaluation(name, ".json"), json.dumps(evaluation.summary(), indent=2) + "\n")
    return evaluation


def study_references(study: Study, split: str, config: RunConfig) -> list[Reference]:
    """The cases of a split with their full masks, if the study has any, kept numbers and marks.

    Args:
        study: with or without ``truth.csv``.
        split: train, select, calibrate or test.
        config: says which numbers, marks and fold are meant.
    """
    study = study.fold(config.data.fold)
    kept = known_numbers(study, config)
    scale = {statistic.name: statistic.scale for statistic in study.statistics}
    # A supervised run is asked about its marks too, so that the rows of a table compare, if it is clear which.
    clear = config.reads_marks or config.data.marks is not None or len(list(study.marks.sets())) == 1
    marked = marks_to_read(study, config) if clear else None
    references = []
    for case in study.split(split):
        recorded = {
            name: kept[case.id, name].value / scale[name]
            for name in scale
            if (case.id, name) in kept and math.isfinite(kept[case.id, name].value)
        }
        marks = study.marks.labels(case.id, marked) if marked is not None else {}
        request = Request(case.id, case.image, case.spacing)
        truth = _truth_of(study, case.id)
        references.append(Reference(request, case.group, truth, recorded, marks, study.has_truth))
    return references


def _kept_of_groups(study: Study, config: RunConfig) -> dict[tuple[str, str], float]:
    """Kept numbers of groups, in the units of the table; of an interval its middle."""
    scale = {statistic.name: statistic.scale for statistic in study.statistics}
    kept = {}
    for (group, name), number in known_group_numbers(study, config).items():
        value = number.value if math.isfinite(number.value) else (number.low + number.high) / 2
        if math.isfinite(value):
            kept[group, name] = value / scale[name]
    return kept


def _union_of(files: tuple[Path, ...]) -> Callable[[str], np.ndarray]:
    return lambda _structure: np.logical_or.reduce([read_mask(file) for file in files])


def _written(folder: Path, model: Model) -> Callable[[Request, str], np.ndarray]:
    def read(request: Request, structure: str) -> np.ndarray:
        path = mask_file(folder, request, structure, model.task)
        if not path.exists():
            raise EvaluationError(
                "a prediction is missing; a score without it would flatter",
                where=path,
                remedy="predict again: leave --reuse away",
            )
        return read_mask(path)

    return read


def _draw(
    references: list[Reference], model: Model, written: Callable[[Request, str], np.ndarray], folder: Path
) -> None:
    """Prediction, truth and marks over every image: what a person looks at to judge the scores."""
    structures = model.task.structures
    for reference in references:
        request = reference.request
        image = normalise(read_image(request.image), model.task.image_channels, model.task.window)
        nothing = np.zeros(image.shape[:-1], dtype=bool)
        picture = overlay(
            image,
            np.stack([written(request, structure) for structure in structures]),
            truth=np.stack([reference.truth(structure) for structure in structures]) if reference.has_truth else None,
            marks=np.stack([reference.marks.get(structure, nothing) for structure in structures]),
            enlarge=enlargement(image.shape[:-1]),
        )
        save_png(picture, folder / f"{request.id}.png")


def _truth_of(study: Study, case_id: str) -> Callable[[str], np.ndarray]:
    return lambda structure: study.truth.mask(study.case(case_id), structure)


def _folder_references(images: Path, masks: Path, model: Model) -> list[Reference]:
    if len(model.task.structures) > 1:
        raise EvaluationError(
            "masks in a folder are of one structure",
            where=masks,
            found=f"a model of {', '.join(model.task.structures)}",
            remedy="import the images as a study and evaluate its split",
        )
    references = []
    for pair in pair_files(images, masks):
        if not pair.masks:
            raise EvaluationError("an image has no mask", where=pair.image, remedy="add it, or move the image away")
        request = Request(pair.id, pair.image)
        references.append(Reference(request, pair.id, _union_of(pair.masks), {}, {}))
    return references
