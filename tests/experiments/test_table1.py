"""Table 1: the rows of the paper, figures that are those of the rows, folds, pictures."""

from __future__ import annotations

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
from tallymark.errors import TallymarkError
from tallymark.experiments import table1 as tables
from tallymark.experiments.figures import weak_masks_figure
from tallymark.experiments.table1 import PAPER, grid, mark_sets, simulate_marks, table1
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
    error = CliRunner().invoke(app, ["table1", "--data", str(study), *words]).exception
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
