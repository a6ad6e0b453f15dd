"""Small studies made on the fly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

from tallymark.data.study import Case, NumberRow, Study, StudySettings, TruthRow
from tallymark.measure.definition import Statistic

SETTINGS = StudySettings(
    name="demo",
    structures=("fat", "muscle"),
    statistics=(
        Statistic("share", "area_fraction", ("fat",)),
        Statistic("ratio", "area_ratio", ("fat",), ("fat", "muscle"), "percent"),
        Statistic("area", "area", ("muscle",), unit="cm2"),
    ),
)


def mask_of(number: int, structure: int, shape: tuple[int, int] = (24, 36)) -> np.ndarray:
    """A rectangle that moves with the number of the case."""
    mask = np.zeros(shape, bool)
    mask[4 + structure * 8 : 10 + structure * 8, number : number + 12] = True
    return mask


def write_images(folder: Path, count: int = 6) -> tuple[list[Case], list[TruthRow]]:
    """Noisy pictures with two masks each, two cases per group, split train, train, ..., test, test."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    cases, truth = [], []
    for number in range(count):
        pixels = rng.integers(0, 256, (24, 36), np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"c{number}.png")
        split = "test" if number >= count - 2 else "train"
        cases.append(Case(f"c{number}", folder / f"c{number}.png", group=f"g{number // 2}", split=split))
        for index, structure in enumerate(SETTINGS.structures):
            path = folder / f"c{number}_{structure}.png"
            PIL.Image.fromarray(mask_of(number, index)).save(path)
            truth.append(TruthRow(f"c{number}", structure, path))
    return cases, truth


def make_study(folder: Path, count: int = 6, settings: StudySettings = SETTINGS) -> Study:
    """A study with images, numbers and truth in ``folder/study``."""
    cases, truth = write_images(folder / "images", count)
    numbers = [NumberRow(case.id, "share", value=0.25, low=0.2, high=0.3) for case in cases]
    return Study.create(folder / "study", settings, cases, truth, numbers)
