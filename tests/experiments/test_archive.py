"""The table of what an archive is worth: which rows, from what, at which price."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tallymark.cli.experiments import app
from tallymark.data.study import Study
from tallymark.engine.recipes import resolve
from tallymark.errors import ConfigError, EvaluationError
from tallymark.experiments import archive as archives
from tallymark.experiments import grid as grids
from tallymark.experiments.archive import KEPT, SECONDS, archive, kept_rows, supplies
from tallymark.pictures import Curve, score_against_seconds
from tiny import TINY

SHORT = (*TINY, "optim.epochs=1", "losses.grown.warmup=1")


def test_what_is_spent_on_a_row_is_what_its_images_cost():
    rows = supplies(310, 16, 40, shares=[0.1, 1.0], minutes=20.0, numbers="exact")
    config = {supply.row.name: resolve(supply.row.recipe, "small", settings=supply.row.settings) for supply in rows}
    price = {supply.row.name: supply.seconds for supply in rows}
    assert price["10 % clicks, all numbers"] == pytest.approx(31 * SECONDS["clicks"])
    assert price["100 % strokes, all numbers"] == pytest.approx(310 * SECONDS["strokes"])
    assert price["numbers alone"] == 0
    assert "20 minutes of clicks, all numbers" not in price  # they are enough for all images
    for kind in ("strokes", "masks"):  # as many images as 20 minutes allow, and not one more
        name = next(name for name in price if name.startswith(f"20 minutes of {kind}"))
        assert price[name] == math.floor(1200 / SECONDS[kind]) * SECONDS[kind] <= 1200
    tenth = config["10 % masks"]
    assert (tenth.recipe, tenth.data.masks) == ("full", 0.1)
    assert tenth.optim.epochs * (31 // 16) == 40 * (310 // 16)  # as many steps as on all images
    bare, numbered = config["10 % masks, bare images"].data, config["10 % masks, all numbers"].data
    assert (bare.masks, bare.marked, bare.numbered) == (0.1, 0, 0)
    assert (numbered.masks, numbered.marked, numbered.numbered) == (0.1, 0, 1)
    assert "100 % masks" not in config  # that is full supervision
    assert not any(one.reads_masks for name, one in config.items() if "masks" not in name)


def test_the_table_has_every_row_beside_full_and_resumes(study, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SECONDS", {kind: SECONDS[kind] for kind in ("strokes", "masks")})
    monkeypatch.setattr(archives, "KEPT", {"rounded to 5 points": "rounded:5%"})
    opened = Study.open(study)
    options = {"shares": (), "minutes": 4.0, "settings": SHORT}
    file = archive(opened, "small", 1, tmp_path, **options)
    assert file is not None
    frame = pd.read_csv(file.with_suffix(".csv")).set_index("row")
    assert {"full", "numbers alone", "4 minutes of strokes, all numbers", "4 minutes of masks, bare images"} <= set(
        frame.index
    )
    assert "strokes, numbers rounded to 5 points" in frame.index
    value = pd.read_csv(tmp_path / "value.csv").set_index("row")
    full = value.loc["full"]
    assert full["iou"] == pytest.approx(frame.loc["full", "iou_per_image"])
    assert full["seconds"] == SECONDS["masks"] * len(opened.split("train"))
    assert (tmp_path / "value.png").read_bytes()[1:4] == b"PNG"
    # A row that reads no number of its training images is not asked to beat the floor that knows the true sizes.
    bare, fixed = frame.loc["4 minutes of masks, bare images"], frame.loc["position map, fixed size"]
    assert bare["over_floor"] == pytest.approx(bare["iou_per_image"] - fixed["iou_per_image"])
    monkeypatch.setattr(grids, "train", lambda *_, **__: pytest.fail("computed again"))
    assert archive(Study.open(study), "small", 1, tmp_path, **options).read_text() == file.read_text()


def test_numbers_are_simulated_as_they_may_have_been_kept_once(study):
    opened = Study.open(study)
    rows = kept_rows(opened)
    assert [row.name for row in rows] == [f"strokes, numbers {words}" for words in KEPT]
    variants = Study.open(study).number_variants()
    assert {row.numbers for row in rows} <= set(variants)
    kept_rows(Study.open(study))
    assert Study.open(study).number_variants() == variants


@pytest.mark.parametrize("shares", ["", "0.1,x", "0", "1.5"])
def test_shares_that_are_none_are_refused(study, shares):
    result = CliRunner().invoke(app, ["archive", "--data", str(study), "--shares", shares])
    assert isinstance(result.exception, ConfigError)
    assert "--shares" in str(result.exception)


def test_a_figure_of_nothing_is_refused():
    with pytest.raises(EvaluationError, match="nothing to draw"):
        score_against_seconds([Curve("clicks", np.array([]), np.array([]))])


def test_a_time_that_buys_no_mask_is_refused(study, tmp_path):
    with pytest.raises(ConfigError, match=r"--minutes: .*buys no mask"):
        archive(Study.open(study), "small", 1, tmp_path, minutes=1.0)
