"""Scores of masks against full masks, and of their numbers against kept ones.

What an empty mask scores is a choice, stated in every result: an image without the structure has no overlap to speak
of, so the per-image means are over the images that have it; the others are counted by how many stay empty. The pooled
scores count every pixel of every image, and so see false alarms on empty images as well.

Where there are no full masks, overlap is unknown (NaN, None); numbers and marks are compared all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tallymark.data.images import read_image
from tallymark.engine.predict import Request, numbers_of
from tallymark.engine.task import Task
from tallymark.errors import GeometryError
from tallymark.measure import Overlap, bland_altman
from tallymark.measure.groups import pooled, weight

POLICY = {
    "per_image": "mean over the images whose true mask is not empty",
    "empty_images": "images without the structure; 'empty_correct' is the share of them predicted empty",
    "pooled": "one overlap of all pixels of all images, empty ones included",
    "number": "measured on the predicted mask at the original size, minus the kept number",
    "group_number": "the same for all images of a group together, against the number kept of the group",
    "threshold": "probability 0.5 unless configured, at the original size",
}


@dataclass(frozen=True)
class Reference:
    """What a prediction is compared with.

    Args:
        request: the image.
        group: whose image it is; scores are resampled by group.
        truth: the full mask of a structure, read when asked.
        recorded: the kept numbers in the units of the table; a missing one is measured on the full masks, and without
            them unknown.
        marks: marked pixels by structure, where there are any.
        has_truth: whether there is a full mask to ask for.
    """

    request: Request
    group: str
    truth: Callable[[str], np.ndarray]
    recorded: Mapping[str, float]
    marks: Mapping[str, np.ndarray]
    has_truth: bool = True


def score(
    references: Sequence[Reference], task: Task, predicted: Callable[[Request, str], np.ndarray]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare a predicted mask with every reference.

    Args:
        references: the images and what is known of them.
        task: which structures and statistics.
        predicted: the mask of a structure of an image, at the original size.

    Returns:
        One row a case and structure (id, group, structure, iou, dice, true_pixels, predicted_pixels, both_pixels,
        marked_pixels, marks_hit; what needs the full mask is NaN without one), and one a case and statistic (id,
        group, statistic, unit, predicted, recorded, and weight: how much the predicted number counts in that of its
        group).

    Raises:
        GeometryError: a mask has another size than its image.
    """
    cases: list[dict[str, object]] = []
    numbers: list[dict[str, object]] = []
    for reference in references:
        request = reference.request
        image = read_image(request.image)
        masks: dict[str, np.ndarray] = {}
        truth: dict[str, np.ndarray] = {}
        for structure in task.structures:
            masks[structure] = _fitting(predicted(request, structure), image.space, f"predicted mask of {request.id}")
            if reference.has_truth:
                truth[structure] = _fitting(reference.truth(structure), image.space, f"true mask of {request.id}")
            overlap = Overlap.of(masks[structure], truth[structure]) if structure in truth else None
            marks = reference.marks.get(structure)
            cases.append(
                {
                    "id": request.id,
                    "group": reference.group,
                    "structure": structure,
                    "iou": math.nan if overlap is None else overlap.iou(),
                    "dice": math.nan if overlap is None else overlap.dice(),
                    "true_pixels": math.nan if overlap is None else overlap.true,
                    "predicted_pixels": int(masks[structure].sum()),
                    "both_pixels": math.nan if overlap is None else overlap.both,
                    "marked_pixels": 0 if marks is None else int(marks.sum()),
                    "marks_hit": 0 if marks is None else int((marks & masks[structure]).sum()),
                }
            )
        measured = numbers_of(request, image, masks, task)
        true_numbers = numbers_of(request, image, truth, task) if truth else {}
        for statistic in task.statistics:
            name = statistic.name
            numbers.append(
                {
                    "id": request.id,
                    "group": reference.group,
                    "statistic": name,
                    "unit": statistic.unit,
                    "predicted": measured[name],
                    "recorded": reference.recorded.get(name, true_numbers.get(name, math.nan)),
                    "weight": weight(statistic, masks),
                }
            )
    return pd.DataFrame(cases), pd.DataFrame(numbers)


def group_numbers(numbers: pd.DataFrame, recorded: Mapping[tuple[str, str], float], task: Task) -> pd.DataFrame:
    """Compare the predicted numbers of whole groups with those that were kept of them.

    Args:
        numbers: of single images, as :func:`score` returns them.
        recorded: by group and statistic, in the units of the table.
        task: what the numbers mean.

    Returns:
        One row a group and statistic (group, statistic, unit, images, predicted, recorded); none where no number of a
        group of these images was kept.
    """
    rows = []
    for statistic in task.statistics:
        for group, of in numbers[numbers["statistic"] == statistic.name].groupby("group", sort=False):
            if (str(group), statistic.name) in recorded:
                rows.append(
                    {
                        "group": group,
                        "statistic": statistic.name,
                        "unit": statistic.unit,
                        "images": len(of),
                        "predicted": pooled(statistic, of["weight"].tolist(), of["predicted"].tolist()),
                        "recorded": recorded[str(group), statistic.name],
                    }
                )
    return pd.DataFrame(rows, columns=["group", "statistic", "unit", "images", "predicted", "recorded"])


def overlap_scores(cases: pd.DataFrame) -> dict[str, float | int | None]:
    """Scores of one structure from its rows (iou, dice, true_pixels, predicted_pixels, both, marks); see POLICY.

    Rows without a full mask count for the marks alone.
    """
    with_structure = cases[cases["true_pixels"] > 0]
    empty = cases[cases["true_pixels"] == 0]
    known = cases[cases["true_pixels"].notna()]
    both, true, predicted = (int(known[name].sum()) for name in ("both_pixels", "true_pixels", "predicted_pixels"))
    pooled = Overlap(tp=both, fp=predicted - both, fn=true - both)
    marked, hit = int(cases["marked_pixels"].sum()), int(cases["marks_hit"].sum())
    return {
        "images": len(with_structure),
        "empty_images": len(empty),
        "empty_correct": _mean(empty["predicted_pixels"] == 0),
        "iou_per_image": _mean(with_structure["iou"]),
        "iou_pooled": pooled.iou() if pooled.either else None,
        "dice_per_image": _mean(with_structure["dice"]),
        "dice_pooled": pooled.dice() if pooled.either else None,
        "mark_hit_rate": hit / marked if marked else None,
    }


def number_scores(rows: pd.DataFrame) -> dict[str, float | int | str | None]:
    """Agreement of one statistic: mean absolute error and Bland-Altman bias and 95 % limits, in the table's unit."""
    known = rows[np.isfinite(rows["predicted"]) & np.isfinite(rows["recorded"])]
    agreement = bland_altman(known["predicted"].to_numpy(), known["recorded"].to_numpy())
    return {
        "unit": str(rows["unit"].iloc[0]),
        "images": len(known),
        "mean_absolute_error": _mean((known["predicted"] - known["recorded"]).abs()),
        "bias": _finite(agreement.bias),
        "lower": _finite(agreement.lower),
        "upper": _finite(agreement.upper),
    }


def _fitting(mask: np.ndarray, space: tuple[int, ...], where: str) -> np.ndarray:
    if mask.shape != space:
        raise GeometryError("sizes differ", where=where, found=mask.shape, expected=space)
    return mask


def _mean(values: pd.Series) -> float | None:
    return _finite(float(values.mean())) if len(values) else None


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
