"""The table of marks and recipes: rows, parts, budget, shares of full supervision, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tallymark.cli.experiments import app
from tallymark.data.study import Study
from tallymark.datasets.kinds import parse_marks
from tallymark.engine.recipes import RECIPES, resolve
from tallymark.errors import ConfigError, TallymarkError
from tallymark.experiments import grid as grids
from tallymark.experiments import tune as tuning
from tallymark.experiments.compare import share
from tallymark.experiments.marks import MARKS, grid, marks
from tallymark.experiments.tune import TRIALS, read_tuned, tune
from tiny import TINY

SHORT = (*TINY, "optim.epochs=1", "losses.grown.warmup=1")


def cases(iou: list[float], groups: str) -> pd.DataFrame:
    ids = [str(number) for number in range(len(iou))]
    return pd.DataFrame({"id": ids, "group": list(groups), "structure": "lesion", "iou": iou, "true_pixels": 5})


def test_every_kind_meets_every_recipe_and_full_is_computed_once_a_seed():
    rows = grid(["stroke", "click"], ["grow", "paper"], 2)
    assert [row.seed for row in rows] == [0] * 5 + [1] * 5
    assert sum(row.recipe == "full" for row in rows) == 2
    assert {(row.recipe, row.marks) for row in rows if row.recipe != "full"} == {
        (recipe, f"marks-{kind}") for recipe in ("grow", "paper") for kind in ("stroke", "click")
    }
    folded = grid(["stroke"], ["grow"], 1, folds=3)
    assert [row.settings for row in folded] == [(f"data.fold={n}/3",) for n in (1, 1, 2, 2, 3, 3)]
    assert all(parse_marks(spec) for spec in MARKS.values())


def test_tuned_settings_go_to_their_recipe_alone(tmp_path):
    (tmp_path / "tuned.json").write_text('{"nnpu": ["losses.nnpu.gamma=0.3"], "paper": []}')
    tuned = read_tuned(tmp_path / "tuned.json")
    rows = {row.name: row.settings for row in grid(["click"], ["grow", "nnpu", "paper"], 1, tuned=tuned)}
    assert rows == {"full": (), "click, grow": (), "click, nnpu": ("losses.nnpu.gamma=0.3",), "click, paper": ()}
    for content in ("{", "[1]", '{"nnpu": 3}'):
        (tmp_path / "tuned.json").write_text(content)
        with pytest.raises(ConfigError, match=r"tuned\.json: not settings that were tuned"):
            read_tuned(tmp_path / "tuned.json")


def test_every_recipe_with_trials_has_as_many_and_all_are_settings():
    assert set(TRIALS) == set(RECIPES) - {"full"}
    assert {len(trials) for trials in TRIALS.values()} == {3}
    for recipe, trials in TRIALS.items():
        configs = [resolve(recipe, "small", settings=trial) for trial in trials]
        assert len({config.model_dump_json() for config in configs}) == 3


def test_tuning_opens_no_mask_and_chooses_by_held_out_numbers_and_marks(study, tmp_path, monkeypatch):
    def refuse(self, *arguments):
        raise AssertionError("a mask was opened")

    (study / "truth.csv").unlink()
    monkeypatch.setattr(Study, "truth", property(refuse))
    opened = Study.open(study)
    monkeypatch.setitem(TRIALS, "paper", ((), ("losses.weak.weight=3",)))
    frame = tune(opened, ["paper"], "e8", "small", tmp_path, settings=SHORT)
    assert list(frame["settings"]) == ["", "losses.weak.weight=3"]
    numbers = opened.numbers()
    held = np.array([numbers[case.id, opened.statistics[0].name].value for case in opened.split("select")])
    spread = np.abs(held - np.median(held)).mean()
    expected = frame["mark_hit_rate"] * (1 - frame["number_error"] / spread).clip(lower=0)
    assert frame["score"].tolist() == pytest.approx(expected.tolist())
    assert frame["chosen"].sum() == 1
    assert frame.loc[frame["chosen"], "score"].item() == frame["score"].max()
    best = frame[frame["chosen"]].iloc[0]
    assert read_tuned(tmp_path / "tuned.json") == {"paper": tuple(best["settings"].split())}
    monkeypatch.setattr(tuning, "train", lambda *_, **__: pytest.fail("trained again"))
    pd.testing.assert_frame_equal(tune(opened, ["paper"], "e8", "small", tmp_path, settings=SHORT), frame)


def test_a_share_is_the_ratio_of_the_means_and_its_interval_is_of_whole_groups():
    rng = np.random.default_rng(0)
    weak, full = rng.uniform(0.2, 0.6, 40), rng.uniform(0.5, 0.9, 40)
    groups = "".join("abcdefghij"[n // 4] for n in range(40))
    found = share([cases(list(weak), groups)], [cases(list(full), groups)], draws=2000)
    assert found.mean == pytest.approx(weak.mean() / full.mean())
    # The same by hand, group by group.
    chosen = np.random.default_rng(1).integers(10, size=(2000, 10))
    by_group = np.stack([weak, full]).reshape(2, 10, 4)[:, chosen].mean(axis=(2, 3))
    low, high = np.percentile(by_group[0] / by_group[1], (2.5, 97.5))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


def test_the_table_holds_full_the_floors_and_each_row_and_resumes(study, tmp_path, monkeypatch):
    opened = Study.open(study)
    options = {"kinds": ("stroke", "click"), "recipes": ("grow", "gated_crf"), "settings": SHORT}
    first = marks(opened, "small", 1, tmp_path, part=(1, 2), **options)
    assert first is not None
    assert "2 runs are still missing" in first.read_text()
    file = marks(opened, "small", 1, tmp_path, part=(2, 2), **options)
    frame = pd.read_csv(file.with_suffix(".csv")).set_index("row")
    assert set(frame.index[3:]) == {"full"} | {f"{k}, {r}" for k in ("stroke", "click") for r in ("grow", "gated_crf")}
    full = frame.loc["full", "iou_per_image"]
    weak = frame.loc["click, grow"]
    assert weak["of_full"] == pytest.approx(weak["iou_per_image"] / full)
    # A recipe that reads no number is compared with the floor that knows none.
    fixed, known = frame.loc["position map, fixed size"], frame.loc["position map, known area"]
    for name, floor in (("click, gated_crf", fixed), ("click, grow", known)):
        line = frame.loc[name]
        assert line["over_floor"] == pytest.approx(line["iou_per_image"] - floor["iou_per_image"])
    text = file.read_text()
    assert "missing" not in text
    assert "--kinds stroke,click --recipes grow,gated_crf" in text
    labels = pd.read_csv(tmp_path / "labels.csv").set_index("row")
    assert list(labels.index) == ["stroke, grow", "click, grow"]
    assert 0.2 < labels.loc["stroke, grow", "iou_per_image"] <= 1
    monkeypatch.setattr(grids, "train", lambda *_, **__: pytest.fail("computed again"))
    assert marks(opened, "small", 1, tmp_path, **options).read_text() == text


def test_a_spent_budget_begins_no_row_and_leaves_no_table_without_full(study, tmp_path):
    opened = Study.open(study)
    options = {"kinds": ("click",), "recipes": ("grow",), "settings": SHORT, "hours": 0.0}
    assert marks(opened, "small", 1, tmp_path, part=(2, 2), **options) is None
    assert len(list((tmp_path / "rows").iterdir())) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--seeds", "2", "--folds", "3"), "seeds or folds, not both"),
        (("--kinds", "stroke,blot"), "--kinds: no such name; found blot"),
        (("--recipes", "grow,fulll"), "--recipes: no such name; found fulll"),
        (("--recipes", "full"), "full supervision is always in the table"),
        (("--part", "3/2"), "there is no such part; found 3/2"),
        (("--part", "half"), "not a part of the rows"),
        (("--folds", "50"), "ask for fewer folds"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_any_run(study, words, says):
    error = CliRunner().invoke(app, ["marks", "--data", str(study), *words]).exception
    assert isinstance(error, TallymarkError)
    assert says in str(error)
    assert not (study / "experiments").exists()
