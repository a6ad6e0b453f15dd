"""Pictures beside a table: what was marked, and what each row draws on the same images.

Each is written twice: over the images of the study, and as outlines on plain grey for readers who may not see those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from tallymark.data.images import normalise, read_mask
from tallymark.data.study import Case, Study
from tallymark.engine.evaluate import study_references
from tallymark.engine.predict import Request, enlargement, mask_file
from tallymark.engine.run_folder import RunFolder
from tallymark.engine.train import study_task
from tallymark.experiments.floors import KNOWN, floor_rules
from tallymark.experiments.grid import Result
from tallymark.pictures import OKABE_ITO, Panel, fullest_slice, overlay, overlay_sheet

T = TypeVar("T")

_GREY = 0.35
_WIDTH = 220  # of a panel, pixels


def weak_masks_figure(study: Study, sets: Mapping[str, str], stem: Path, *, shown: int = 4) -> None:
    """Images with their full masks and what is left of them in each mark set, small structures first.

    Args:
        study: with full masks.
        sets: what to call each mark set, and its name.
        stem: ``<stem>.png`` and ``<stem>-outlines.png`` are written.
        shown: how many images, evenly spaced by the size of all their structures.

    Source: in the place of Figure 1 of Kulkarni, Raff & Oates 2026 (arXiv 2605.03059); the drawing is ours.
    """
    sizes = {case.id: int(_truth(study, case).sum()) for case in study.split("train")}
    cases = sorted((case for case in study.split("train") if sizes[case.id]), key=lambda case: sizes[case.id])
    rows = []
    for case in _spaced(cases, shown):
        truth, nothing = _truth(study, case), _nothing(study, case)
        views = [_View("the image"), _View(f"{case.id}\n{_legend(study)}", truth)]
        for label, name in sets.items():
            labels = study.marks.labels(case.id, name)
            marks = np.stack([labels.get(structure, nothing[0]) for structure in study.structures])
            views.append(_View(f"{label}: {100 * marks.sum() / truth.sum():.1f} % marked", truth=truth, marks=marks))
        rows.append((case, views))
    _write(study, rows, stem)


def predictions_figure(
    study: Study, results: Mapping[str, Sequence[Result]], by: str, stem: Path, *, shown: int = 6
) -> None:
    """Test images from the best to the worst: the truth, what every row draws, and the floor that knows the area.

    The numbers are IoU, of several structures the mean of those that the image shows.

    Args:
        study: with full masks.
        results: of each row, in the order of the columns. Of several seeds the first is drawn.
        by: the row whose overlap orders the images.
        stem: ``<stem>.png`` and ``<stem>-outlines.png`` are written.
        shown: how many images, evenly spaced.

    Source: in the place of Figure 2 of Kulkarni, Raff & Oates 2026 (arXiv 2605.03059); drawing and floor are ours.
    """
    drawn = {name: _first_runs(runs) for name, runs in results.items()}
    order = pd.Series({case_id: overlap for case_id, (_, overlap) in drawn[by].items()}).sort_values(ascending=False)
    floor = _floor(study, results[by])
    rows = []
    for case_id in _spaced(list(order.index), shown):
        case = study.case(case_id)
        truth = _truth(study, case)
        request = Request(case.id, case.image)
        views = [_View("the image"), _View(f"{case.id}\n{_legend(study)}", truth)]
        for name, runs in drawn.items():
            result, overlap = runs[case_id]
            views.append(_View(f"{name}: {overlap:.2f}", _predicted(study, result, request), truth))
        of_floor = np.stack([floor[case_id](request, structure) for structure in study.structures])
        views.append(_View(f"floor: {_overlap(of_floor, truth):.2f}", of_floor, truth))
        rows.append((case, views))
    _write(study, rows, stem)


@dataclass(frozen=True, eq=False)
class _View:
    """What is drawn over an image, each (structure, *space), and what stands under it."""

    caption: str
    filled: Bool[np.ndarray, "k *space"] | None = None
    truth: Bool[np.ndarray, "k *space"] | None = None
    marks: Bool[np.ndarray, "k *space"] | None = None


def _write(study: Study, rows: Sequence[tuple[Case, Sequence[_View]]], stem: Path) -> None:
    if not rows:
        return
    pictures = {case.id: _picture(study, case) for case, _ in rows}
    for path, plain in ((stem.with_suffix(".png"), False), (stem.with_name(f"{stem.name}-outlines.png"), True)):
        panels = []
        for case, views in rows:
            picture = np.full_like(pictures[case.id], _GREY) if plain else pictures[case.id]
            # The first view is the image alone, of which plain grey says nothing.
            panels += [Panel(_drawn(study, case, picture, view), view.caption) for view in views[int(plain) :]]
        overlay_sheet(panels, path, columns=len(rows[0][1]) - int(plain), width=_WIDTH)


def _legend(study: Study) -> str:
    if len(study.structures) == 1:
        return "the full mask"
    colours = list(OKABE_ITO)
    named = (f"{name} {colours[index % len(colours)]}" for index, name in enumerate(study.structures))
    return f"the full masks: {', '.join(named)}"


def _drawn(study: Study, case: Case, picture: Float[np.ndarray, "*space c"], view: _View) -> np.ndarray:
    nothing = _nothing(study, case)
    layers = [view.filled if view.filled is not None else nothing, view.truth, view.marks]
    if study.settings.image.dimension == 3:
        # Every view of a volume shows the same plane: the one that holds most of its full masks.
        at = fullest_slice(_truth(study, case))
        picture, layers = picture[at], [None if layer is None else layer[:, at] for layer in layers]
    filled, truth, marks = layers
    assert filled is not None
    return overlay(picture, filled, truth=truth, marks=marks, enlarge=enlargement(picture.shape[:2]))


def _picture(study: Study, case: Case) -> Float[np.ndarray, "*space c"]:
    settings = study.settings.image
    return np.asarray(normalise(case.read(), settings.channels, settings.window), dtype=np.float64)


def _truth(study: Study, case: Case) -> Bool[np.ndarray, "k *space"]:
    return np.stack([study.truth.mask(case, structure) for structure in study.structures])


def _nothing(study: Study, case: Case) -> Bool[np.ndarray, "k *space"]:
    return np.zeros_like(_truth(study, case))


def _first_runs(results: Sequence[Result]) -> dict[str, tuple[Result, float]]:
    """By case: the first run that was tested on it, and its overlap, the mean over the structures it shows."""
    runs: dict[str, tuple[Result, float]] = {}
    for result in results:
        cases = result.cases[result.cases["true_pixels"] > 0]
        for case_id, overlap in cases.groupby("id")["iou"].mean().items():
            runs.setdefault(str(case_id), (result, float(overlap)))
    return runs


def _predicted(study: Study, result: Result, request: Request) -> Bool[np.ndarray, "k *space"]:
    folder, task = RunFolder(result.folder).predictions("test"), study_task(study)
    return np.stack([read_mask(mask_file(folder, request, structure, task)) for structure in study.structures])


def _floor(study: Study, results: Sequence[Result]) -> dict[str, Callable[[Request, str], np.ndarray]]:
    """By case: the position map at the known area, made of the training masks of the fold that tests it."""
    rule_of: dict[str, Callable[[Request, str], np.ndarray]] = {}
    for fold, config in {result.config.data.fold: result.config for result in results}.items():
        references = study_references(study, "test", config)
        rule = floor_rules(study.fold(fold), study_task(study), references)[KNOWN]
        rule_of |= {reference.request.id: rule for reference in references}
    return rule_of


def _overlap(drawn: Bool[np.ndarray, "k *space"], truth: Bool[np.ndarray, "k *space"]) -> float:
    return float(np.mean([(d & t).sum() / (d | t).sum() for d, t in zip(drawn, truth, strict=True) if t.any()]))


def _spaced(items: Sequence[T], count: int) -> list[T]:
    """Up to ``count`` items, evenly spaced from the first to the last."""
    if not items:
        return []
    positions = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[position] for position in positions]
