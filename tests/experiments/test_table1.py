"""Table 1: rows that resume, figures that are those of the rows, one writer."""

from __future__ import annotations

import pandas as pd
import pytest

from tallymark.data.study import Study
from tallymark.engine.recipes import resolve
from tallymark.experiments import grid as grids
from tallymark.experiments.grid import Row, by_name, run_grid
from tallymark.experiments.table import markdown, summarise
from tallymark.experiments.table1 import PAPER, grid, table1
from tiny import TINY

SHORT = (*TINY, "optim.epochs=1")


def test_the_rows_of_the_paper_are_all_there():
    names = {row.name for row in grid(1, readings=False)}
    assert names == set(PAPER["BUSI"]) == set(PAPER["KiTS23"])
    rows = grid(3)
    assert len(rows) == 3 * (6 + 3 + 3)
    weights = {}
    for row in grid(1, readings=False):
        losses = resolve(row.recipe, "paper", settings=row.settings).losses
        weights[row.name] = (losses.statistic.weight, losses.weak.weight, losses.confidence.weight)
    assert weights["8 %"] == (1, 1, 1)
    assert weights["L_s only"] == (1, 0, 1)
    assert weights["L_ws only"] == (0, 1, 1)
    assert weights["full"] == (0, 0, 0)


def test_a_grid_resumes_and_a_row_is_computed_once(study, tmp_path, monkeypatch):
    opened = Study.open(study)
    rows = [Row("a", "paper", "e8", seed=seed, settings=SHORT) for seed in (0, 1)]
    first = list(run_grid(opened, rows, "small", tmp_path))
    monkeypatch.setattr(grids, "train", lambda *_, **__: pytest.fail("computed again"))
    again = list(run_grid(opened, rows, "small", tmp_path))
    for one, other in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one.cases, other.cases)
    assert list(by_name(again)) == ["a"]
    assert len({result.folder for result in again}) == 2


def test_an_interrupted_row_goes_on(study, tmp_path, monkeypatch):
    opened = Study.open(study)
    row = Row("a", "full", "e8", settings=SHORT)
    with monkeypatch.context() as patch:
        patch.setattr(grids, "evaluate", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            list(run_grid(opened, [row], "small", tmp_path))
    assert len(list(run_grid(opened, [row], "small", tmp_path))) == 1


def test_the_table_shows_what_the_rows_hold(study, tmp_path):
    opened = Study.open(study)
    file = table1(opened, "small", 1, tmp_path, paper="BUSI", readings=False, settings=SHORT)
    frame = pd.read_csv(file.with_suffix(".csv"))
    assert frame["row"].tolist()[:3] == ["all ones", "position map, fixed size", "position map, known area"]
    text = file.read_text()
    for name in PAPER["BUSI"]:
        assert f"| {name} |" in text
    full = frame[frame["row"] == "full"].iloc[0]
    cell = next(line for line in text.splitlines() if line.startswith("| full |"))
    assert f"{100 * full['iou_pooled']:.1f}" in cell
    assert "63.15" in cell
    assert set(frame["beats_floor"].dropna()) <= {"above", "below", "open"}
    assert "tallymark experiment table1" in text


def test_mean_and_spread_over_seeds():
    def cases(iou: float) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "structure": ["lesion"], "iou": [iou], "dice": [0.5], "true_pixels": [10], "predicted_pixels": [10],
                "both_pixels": [5], "marked_pixels": [0], "marks_hit": [0],
            }
        )  # fmt: skip

    numbers = pd.DataFrame({"statistic": ["f"], "unit": ["fraction"], "predicted": [0.3], "recorded": [0.1]})
    line = summarise("row", [cases(0.2), cases(0.4)], [numbers, numbers])
    assert line["iou_per_image"] == pytest.approx(0.3)
    assert line["iou_per_image_sd"] == pytest.approx(0.02**0.5)
    assert line["number_error"] == pytest.approx(0.2)
    assert "| row | 33.3 ± 0.0 | 30.0 ± 14.1 |" in markdown(pd.DataFrame([line]))
