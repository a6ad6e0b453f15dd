"""Rows that resume, each computed once."""

from __future__ import annotations

import pandas as pd
import pytest

from tallymark.data.study import Study
from tallymark.experiments import grid as grids
from tallymark.experiments.grid import Row, by_name, run_grid
from tiny import TINY

SHORT = (*TINY, "optim.epochs=1")


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
