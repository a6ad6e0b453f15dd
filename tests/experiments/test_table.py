"""The writer: means over seeds, folds and structures, the same figures in both files."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from tallymark.engine.task import Task
from tallymark.experiments.table import Scores, markdown, summarise, table_lines, write_tables
from tallymark.measure.definition import Statistic


def cases(structure: str, iou: float, ids: tuple[str, ...] = ("a",)) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ids, "group": ids, "structure": structure, "iou": iou, "dice": 0.5, "true_pixels": 10,
            "predicted_pixels": 10, "both_pixels": 5, "marked_pixels": 0, "marks_hit": 0,
        }
    )  # fmt: skip


def numbers(statistic: str, unit: str, error: float) -> pd.DataFrame:
    return pd.DataFrame({"statistic": [statistic], "unit": [unit], "predicted": [1 + error], "recorded": [1.0]})


def test_mean_and_spread_over_seeds():
    error = numbers("f", "fraction", 0.2)
    line = summarise(Scores((cases("lesion", 0.2), cases("lesion", 0.4)), (error, error)))
    assert line["iou_per_image"] == pytest.approx(0.3)
    assert line["iou_per_image_sd"] == pytest.approx(0.02**0.5)
    assert line["number_error"] == pytest.approx(0.2)
    assert "| row | 33.3 ± 0.0 | 30.0 ± 14.1 |" in markdown(pd.DataFrame([{"row": "row"} | line]))


def test_errors_of_fractions_alone_are_averaged():
    """5 percent points and a fraction of 0.15 are 0.1 on average; 30 mm are no fraction."""
    mixed = pd.concat([numbers("p", "percent", 5), numbers("f", "fraction", -0.15), numbers("d", "mm", 30)])
    assert summarise(Scores((cases("lesion", 0.2),), (mixed,)))["number_error"] == pytest.approx(0.1)
    length = summarise(Scores((cases("lesion", 0.2),), (numbers("d", "mm", 30),)))
    assert math.isnan(length["number_error"])
    assert "number error" not in markdown(pd.DataFrame([{"row": "row"} | length]))


def test_structures_have_lines_of_their_own_under_their_mean(tmp_path):
    """Kidney on two images and tumour on one: the mean is that of the structures."""
    statistics = (
        Statistic("kidney_share", "area_fraction", ("kidney",)),
        Statistic("tumour_share", "area_fraction", ("tumour",)),
        Statistic("ratio", "area_ratio", ("tumour",), ("kidney", "tumour")),
    )
    task = Task(("kidney", "tumour"), statistics, 1, 2)

    def scored(kidney: float, tumour: float) -> Scores:
        errors = [numbers("kidney_share", "fraction", 0.1), numbers("tumour_share", "fraction", 0.3)]
        both = pd.concat([cases("kidney", kidney, ("a", "b")), cases("tumour", tumour, ("a",))])
        return Scores((both,), (pd.concat([*errors, numbers("ratio", "fraction", 0.5)]),))

    lines = table_lines("8 %", scored(0.6, 0.2), task, floor=scored(0.3, 0.3), full=scored(0.7, 0.7))
    assert [line["structure"] for line in lines] == ["mean", "kidney", "tumour"]
    assert [line["iou_per_image"] for line in lines] == pytest.approx([0.4, 0.6, 0.2])
    assert [line["over_floor"] for line in lines] == pytest.approx([0.1, 0.3, -0.1])
    assert [line["minus_full"] for line in lines] == pytest.approx([-0.3, -0.1, -0.5])
    assert [line["beats_floor"] for line in lines][1:] == ["above", "below"]
    assert [line["number_error"] for line in lines] == pytest.approx([0.3, 0.1, 0.3])
    text = write_tables(lines, tmp_path, "t", head="# T", foot="F").read_text()
    first, second = text.split("By structure:")
    assert "| 8 % | 33.3 | 40.0 |" in first
    assert "| 8 % | kidney | 33.3 | 60.0 |" in second
    assert pd.read_csv(tmp_path / "t.csv")["structure"].tolist() == ["mean", "kidney", "tumour"]
