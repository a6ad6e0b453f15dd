"""Table 1: rows that resume, figures that are those of the rows, one writer."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from typer.testing import CliRunner

from tallymark.cli.experiments import app
from tallymark.data.images import file_sha256
from tallymark.data.study import Study
from tallymark.datasets.pairs import import_pairs
from tallymark.engine.recipes import resolve
from tallymark.engine.task import Task
from tallymark.errors import TallymarkError
from tallymark.experiments import grid as grids
from tallymark.experiments import table1 as tables
from tallymark.experiments.figures import weak_masks_figure
from tallymark.experiments.grid import Row, by_name, run_grid
from tallymark.experiments.table import Scores, markdown, summarise, table_lines, write_tables
from tallymark.experiments.table1 import PAPER, grid, mark_sets, simulate_marks, table1
from tallymark.measure.definition import Statistic
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
    assert set(frame["structure"]) == {"lesion"}
    text = file.read_text()
    for name in PAPER["BUSI"]:
        assert f"| {name} |" in text
    full = frame[frame["row"] == "full"].iloc[0]
    cell = next(line for line in text.splitlines() if line.startswith("| full |"))
    assert f"{100 * full['iou_pooled']:.1f}" in cell
    assert "63.15" in cell
    assert set(frame["beats_floor"].dropna()) <= {"above", "below", "open"}
    assert "tallymark experiment table1" in text
    for name in ("figure1", "figure1-outlines", "figure2", "figure2-outlines"):
        with PIL.Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 300


def test_outlines_on_grey_hold_nothing_of_the_images(study, tmp_path):
    """The sheet for other readers is the same for other images with the same masks and marks; the first one is not."""
    opened = Study.open(study)
    sheets = {}
    for folder in ("before", "after"):
        weak_masks_figure(opened, {"8 %": "e8"}, tmp_path / folder / "figure1", shown=2)
        sheets[folder] = [(tmp_path / folder / f"figure1{end}.png").read_bytes() for end in ("", "-outlines")]
        for case in opened.cases:
            PIL.Image.new("L", (48, 48)).save(case.image)
        opened = Study(
            opened.folder,
            opened.settings,
            tuple(replace(case, sha256=file_sha256(case.image)) for case in opened.cases),
            (),
        )
    assert sheets["before"][0] != sheets["after"][0]
    assert sheets["before"][1] == sheets["after"][1]


def test_folds_test_every_image_once(study, tmp_path, monkeypatch):
    opened = Study.open(study)
    kept = ("full", "8 %")  # two rows say as much as six
    monkeypatch.setattr(tables, "grid", lambda *args, **options: [r for r in grid(*args, **options) if r.name in kept])
    file = table1(opened, "small", 3, tmp_path, folds=2, readings=False, settings=SHORT)
    frame = pd.read_csv(file.with_suffix(".csv"))
    assert set(frame["runs"]) == {2}
    names = sorted(path.name for path in (tmp_path / "rows").iterdir())
    assert len(names) == 2 * 2
    assert {name.split("-")[1] for name in names} == {"1", "2"}
    tested = [pd.read_csv(path / "evaluation-test.csv") for path in (tmp_path / "rows").glob("full-*")]
    assert sorted(pd.concat(tested)["id"]) == sorted(case.id for case in opened.cases)
    full = frame[frame["row"] == "full"].iloc[0]
    means = [rows[rows["true_pixels"] > 0]["iou"].mean() for rows in tested]
    assert full["iou_per_image"] == pytest.approx(np.mean(means))
    text = file.read_text()
    assert "--folds 2" in text
    assert "--seeds" not in text
    assert "each of 24 tested once, in 2 folds" in text
    assert (tmp_path / "figure2.png").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--seeds", "2", "--folds", "3"), "seeds or folds, not both"),
        (("--paper", "BUS"), "expected BUSI or KiTS23"),
        (("--folds", "50"), "ask for fewer folds"),
        (("--set", "optim.epoch=3"), "unknown key"),
        (("--profile", "huge"), "unknown profile"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_any_run(study, words, says):
    error = CliRunner().invoke(app, ["--data", str(study), *words]).exception
    assert isinstance(error, TallymarkError)
    assert says in str(error)
    assert not (study / "experiments").exists()


def test_every_component_is_marked_where_that_is_asked_for(tmp_path):
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[4:24, 4:24] = 255
    mask[30:34, 30:34] = 255
    for name in ("a.png", "a_mask.png"):
        PIL.Image.fromarray(mask).save(tmp_path / name)
    import_pairs(tmp_path, None, tmp_path / "study")
    opened = Study.open(tmp_path / "study")
    for per in ("image", "component"):
        simulate_marks(opened, per)
    whole, each = (opened.marks.labels("a", mark_sets(per)["erosion", 8])["lesion"] for per in ("image", "component"))
    assert not whole[30:34, 30:34].any()
    assert each[30:34, 30:34].any()
    assert len(opened.marks.sets()) == 12


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
