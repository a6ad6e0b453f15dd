"""A run on a fold fits, selects and is tested on that fold's cases, and says so in its configuration."""

from __future__ import annotations

import pytest

from tallymark.data.study import Study
from tallymark.engine import fit as fits
from tallymark.engine.config_reading import read_config
from tallymark.engine.evaluate import evaluate, study_references
from tallymark.engine.recipes import resolve
from tallymark.engine.train import train
from tallymark.errors import ConfigError
from tiny import TINY


@pytest.mark.parametrize("text", ["0/3", "4/3", "2", "1/1", "second"])
def test_a_fold_that_does_not_exist_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        resolve("paper", "small", settings=[f"data.fold={text}"])
    assert "key data.fold" in str(caught.value)
    assert "expected NUMBER/FOLDS" in str(caught.value)


def test_the_folds_of_a_study_part_its_cases_and_leave_the_tables_alone(study):
    opened = Study.open(study)
    before = {path.name: path.read_bytes() for path in study.glob("*.csv")}
    tested = [case.id for i in (1, 2, 3) for case in opened.fold(f"{i}/3").split("test")]
    assert sorted(tested) == sorted(case.id for case in opened.cases)
    assert opened.fold(None) is opened
    folded = opened.fold("2/3")
    assert folded.fold("2/3").cases == folded.cases
    assert folded.folder == opened.folder
    assert str(folded.numbers("exact")) == str(opened.numbers("exact"))  # NaN differs from itself
    assert {path.name: path.read_bytes() for path in study.glob("*.csv")} == before


def test_a_run_on_a_fold_sees_that_fold_alone(study, tmp_path, monkeypatch):
    opened = Study.open(study)
    fold = opened.fold("2/3")
    seen = {}
    for name in ("training_loader", "held_out_loader"):
        original = getattr(fits, name)

        def noted(at, config, *closer, name=name, original=original):
            loader = original(at, config, *closer)
            if at.folder == opened.folder:  # not the study of close-ups
                seen[name] = {case.id for case in loader.dataset.cases}
            return loader

        monkeypatch.setattr(fits, name, noted)
    settings = (*TINY, "optim.epochs=1", "data.fold=2/3")
    run = train(study, marks="e8", out=tmp_path / "run", settings=settings).folder
    assert seen["training_loader"] == {case.id for case in fold.split("train")}
    assert seen["held_out_loader"] == {case.id for case in fold.split("select")}
    assert read_config(run.config_file).data.fold == "2/3"
    tested = set(evaluate(run.root).cases["id"])
    assert tested == {case.id for case in fold.split("test")}
    assert tested != {case.id for case in opened.split("test")}


def test_references_know_the_fold(study):
    opened = Study.open(study)
    config = resolve("paper", "small", marks="e8", settings=["data.fold=1/3"])
    ids = [reference.request.id for reference in study_references(opened, "test", config)]
    assert ids == [case.id for case in opened.fold("1/3").split("test")]
