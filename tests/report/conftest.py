"""Run folders as training, prediction and evaluation leave them, made up so that every figure is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tallymark.engine.recipes import resolve
from tallymark.pictures import save_png

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run folder: ``make_run("first", recipe="paper", iou={"007": 0.9, ...}, structures=("lesion",))``.

    A case with IoU None has none of the structure. Overlays are one pixel, as grey as their place in the list.
    """

    def make(
        name: str,
        *,
        recipe: str = "paper",
        iou: dict[str, float | None] | None = None,
        structures: tuple[str, ...] = ("lesion",),
        statistics: tuple[str, ...] = ("area_fraction",),
        unit: str = "fraction",
    ) -> Path:
        iou = {"007": 0.9, "NA": 0.2, "c": 0.6, "d": 0.7, "normal": None} if iou is None else iou
        folder = tmp_path / name
        (folder / "predictions" / "test" / "overlays").mkdir(parents=True)
        (folder / "config.toml").write_text(resolve(recipe, "small", seed=7).to_toml())
        environment = {"python": "3.11.2", "gpu": None, "versions": {"torch": "2.15.0"}, "command": "tallymark train"}
        (folder / "environment.json").write_text(json.dumps(environment))
        save_png(np.full((4, 4, 3), 200, np.uint8), folder / "curves.png")
        cases, numbers = [], []
        for place, (case, overlap) in enumerate(iou.items()):
            save_png(np.full((1, 1, 3), place, np.uint8), folder / f"predictions/test/overlays/{case}.png")
            for structure in structures:
                pixels = 0 if overlap is None else 50
                cases.append({"id": case, "structure": structure, "iou": overlap, "true_pixels": pixels})
            for statistic in statistics:
                row = {"id": case, "statistic": statistic, "unit": unit, "predicted": 0.25, "recorded": 0.125}
                numbers.append(row)
        pd.DataFrame(cases).to_csv(folder / "evaluation-test.csv", index=False)
        pd.DataFrame(numbers).to_csv(folder / "evaluation-test-numbers.csv", index=False)
        overlaps = {"iou_per_image": 0.6, "iou_pooled": 0.65, "dice_per_image": 0.7, "mark_hit_rate": None}
        agreement = {"unit": unit, "mean_absolute_error": 0.125, "bias": 0.125, "lower": -0.01, "upper": 0.26}
        evaluation = {
            "policy": {"per_image": "over the images that have it"},
            "scores": {structure: overlaps | {"empty_correct": 1.0} for structure in structures},
            "numbers": dict.fromkeys(statistics, agreement),
        }
        (folder / "evaluation-test.json").write_text(json.dumps(evaluation))
        return folder

    return make
