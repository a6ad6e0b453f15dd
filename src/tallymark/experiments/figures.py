"""Pictures beside a table: what was marked, and what each row draws on the same images.

Each is written twice: over the images of the study, and as outlines on plain grey for readers who may not see those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tallymark.data.images import read_mask
from tallymark.data.study import Case, Study
from tallymark.datasets.case_pictures import (
    Layers,
    Marked,
    case_image,
    case_marks,
    case_truth,
    draw_layers,
    legend,
    shown_plane,
    spaced,
)
from tallymark.engine.evaluate import study_references
from tallymark.engine.predict import Request, mask_file
from tallymark.engine.run_folder import RunFolder
from tallymark.engine.task import study_task
from tallymark.experiments.floors import KNOWN, floor_rules
from tallymark.experiments.grid import Result
from tallymark.pictures import Panel, overlay_sheet

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
    sizes = {case.id: int(case_truth(study, case).sum()) for case in study.split("train")}
    cases = sorted((case for case in study.split("train") if sizes[case.id]), key=lambda case: sizes[case.id])
    rows = []
    for case in spaced(cases, shown):
        truth = case_truth(study, case)
        views = [_View("the image"), _View(f"{case.id}\n{legend(study)}", truth)]
        for label, name in sets.items():
            marks = case_marks(study, case, name)
            share = 100 * marks[:-1].sum() / truth.sum()
            views.append(_View(f"{label}: {share:.1f} % marked", truth=truth, marks=marks))
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
    for case_id in spaced(list(order.index), shown):
        case = study.case(case_id)
        truth = case_truth(study, case)
        request = Request(case.id, case.image)
        views = [_View("the image"), _View(f"{case.id}\n{legend(study)}", truth)]
        for name, runs in drawn.items():
            result, overlap = runs[case_id]
            views.append(_View(f"{name}: {overlap:.2f}", _predicted(study, result, request), truth))
        of_floor = np.stack([floor[case_id](request, structure) for structure in study.structures])
        views.append(_View(f"floor: {_overlap(of_floor, truth):.2f}", of_floor, truth))
        rows.append((case, views))
    _write(study, rows, stem)


@dataclass(frozen=True, eq=False)
class _View:
    """What is drawn over an image, and what stands under it."""

    caption: str
    filled: Layers | None = None
    truth: Layers | None = None
    marks: Marked | None = None


def _write(study: Study, rows: Sequence[tuple[Case, Sequence[_View]]], stem: Path) -> None:
    if not rows:
        return
    images = {case.id: case_image(study, case) for case, _ in rows}
    # Every view of a volume shows the same plane: the one that holds most of its full masks.
    planes = {case.id: shown_plane(case_truth(study, case)) for case, _ in rows}
    for path, plain in ((stem.with_suffix(".png"), False), (stem.with_name(f"{stem.name}-outlines.png"), True)):
        panels = []
        for case, views in rows:
            image = np.full_like(images[case.id], _GREY) if plain else images[case.id]
            # The first view is the image alone, of which plain grey says nothing.
            for view in views[int(plain) :]:
                picture = draw_layers(
                    image, view.filled, view.truth, view.marks, plane=planes[case.id], shown_at=_WIDTH
                )
                panels.append(Panel(picture, view.caption))
        overlay_sheet(panels, path, columns=len(rows[0][1]) - int(plain), width=_WIDTH)


def _first_runs(results: Sequence[Result]) -> dict[str, tuple[Result, float]]:
    """By case: the first run that was tested on it, and its overlap, the mean over the structures it shows."""
    runs: dict[str, tuple[Result, float]] = {}
    for result in results:
        cases = result.cases[result.cases["true_pixels"] > 0]
        for case_id, overlap in cases.groupby("id")["iou"].mean().items():
            runs.setdefault(str(case_id), (result, float(overlap)))
    return runs


def _predicted(study: Study, result: Result, request: Request) -> Layers:
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


def _overlap(drawn: Layers, truth: Layers) -> float:
    return float(np.mean([(d & t).sum() / (d | t).sum() for d, t in zip(drawn, truth, strict=True) if t.any()]))
