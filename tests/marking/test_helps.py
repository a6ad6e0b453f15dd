"""Growth at once, the model's outline when it no longer leads, and which image is worth marking next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from skimage.draw import polygon2mask
from starlette.testclient import TestClient

from marking_study import ORIGIN, Visitor, stroke
from tallymark.data.study import Study
from tallymark.errors import ReadError
from tallymark.marking.app import create_app
from tallymark.marking.desk import Desk
from tallymark.marking.frames import Frame, coarse_space
from tallymark.marking.gate import OneTimeToken
from tallymark.marking.growing import grow_marks, outlines, shown
from tallymark.marking.predicted import blind
from tallymark.marking.settings import MarkingSettings, case_key


def disc(shape: tuple[int, ...], radius: float | int) -> np.ndarray:
    """A disc or a ball in the middle."""
    grid = np.ogrid[tuple(slice(0, length) for length in shape)]
    return np.asarray(sum((axis - length / 2) ** 2 for axis, length in zip(grid, shape, strict=True)) < radius**2)


def frame_with(mask: np.ndarray) -> Frame:
    samples = (60 + 120 * mask[..., None]).astype(np.uint8)
    return Frame(samples if mask.ndim == 3 else samples[None], (0.0, 255.0), (60.0, 180.0), None, mask.shape)


class TestGrowth:
    """What the mark leads to."""

    @pytest.mark.parametrize("shape", [(120, 160), (900, 1200), (40, 200, 200)])
    def test_a_dot_becomes_the_whole_structure(self, shape: tuple[int, ...]) -> None:
        structure = disc(shape, min(shape) * 0.35)
        dot = disc(shape, min(shape) * 0.07)
        size = float(structure.sum())
        masks, warnings = grow_marks(frame_with(structure), {"a": dot}, {"a": (size, size)}, ["a"])
        space = coarse_space(shape)
        assert masks["a"].shape == space
        assert masks["a"].mean() == pytest.approx(structure.mean(), rel=0.02)
        plane = shape[0] // 2 if len(shape) == 3 else 0
        (found,) = shown(masks, ["a"], shape, plane)
        drawn = np.logical_or.reduce([polygon2mask(shape[-2:], np.array(line)) for line in found["lines"]])
        wanted = structure[plane] if len(shape) == 3 else structure
        assert 2 * (drawn & wanted).sum() / (drawn.sum() + wanted.sum()) > 0.93
        assert warnings == []

    def test_more_marks_than_the_number_are_said(self) -> None:
        structure = disc((50, 50), 15)
        size = float(structure.sum()) / 2
        _, warnings = grow_marks(frame_with(structure), {"a": structure}, {"a": (size, size)}, ["a"])
        assert warnings == ["a: 2.0 times as much is marked as the number says"]

    def test_an_outline_goes_around_its_pixels(self) -> None:
        mask = np.zeros((6, 8), bool)
        mask[2:4, 3:6] = True
        (line,) = outlines(mask, (6, 8))
        assert np.array_equal(polygon2mask((6, 8), np.array(line)), mask)

    def test_unknown_numbers_grow_nothing(self) -> None:
        structure = disc((50, 50), 15)
        assert grow_marks(frame_with(structure), {"a": structure}, {}, ["a"]) == ({}, [])


def test_turning_slices_grows_nothing_anew(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, visitor = visit_of(study, MarkingSettings())
    key = case_key(desk.cases[0])
    calls = []

    def counted(*arguments: Any) -> tuple[dict[str, np.ndarray], list[str]]:
        calls.append(arguments)
        return grow_marks(*arguments)

    monkeypatch.setattr("tallymark.marking.desk.grow_marks", counted)
    first = stroke(key)
    visitor.send(first)
    found = [visitor.client.get(f"/api/cases/{key}/grown/{plane}").json() for plane in (0, 0, 0)]
    assert len(calls) == 1
    assert found[0] == found[2]
    assert found[0]["outlines"]
    visitor.send(stroke(key, [[50, 50], [70, 70]]))
    assert visitor.client.get(f"/api/cases/{key}/grown/0").json()["outlines"]
    assert len(calls) == 2
    desk.close()


def test_strokes_of_two_structures_that_cross_still_grow() -> None:
    whole = disc((40, 40), 12)
    one, other = np.zeros((2, 40, 40), dtype=bool)
    one[20, 12:22] = other[16:26, 21] = True
    masks, _ = grow_marks(
        frame_with(whole), {"a": one, "b": other}, {"a": (100.0, 100.0), "b": (90.0, 90.0)}, ["a", "b"]
    )
    assert (masks["a"].sum(), masks["b"].sum()) == (100, 90)
    assert not (masks["a"] & masks["b"]).any()


@pytest.fixture
def run(study: Study) -> Path:
    """What ``evaluate`` leaves behind: on one image the model's number is far off, one it did not see."""
    folder = study.folder / "runs" / "one" / "predictions" / "train"
    (folder / "masks").mkdir(parents=True)
    rows = []
    for number, share in enumerate((14.7, 30.0, 15.0)):
        rows.append({"id": f"Room 12 bed {number}", "statistic": "share", "value": share, "unit": "percent"})
        PIL.Image.fromarray(disc((120, 160), 10 + number)).save(folder / "masks" / f"Room 12 bed {number}_lesion.png")
    pd.DataFrame(rows).to_csv(folder / "numbers.csv", index=False)
    return study.folder / "runs" / "one"


def visit_of(study: Study, settings: MarkingSettings) -> tuple[Desk, Visitor]:
    desk, token = Desk(study, settings), OneTimeToken()
    return desk, Visitor(TestClient(create_app(desk, token, (ORIGIN,)), base_url=ORIGIN), token.value)


class TestModel:
    """It helps without leading."""

    def test_it_is_hidden_until_the_first_stroke(self, study: Study, run: Path) -> None:
        desk, visitor = visit_of(study, MarkingSettings(run=run, blind=0))
        keys = [case_key(case) for case in desk.cases]
        abouts: list[dict[str, Any]] = [visitor.client.get(f"/api/cases/{key}").json() for key in keys]
        assert [about["model"] for about in abouts] == ["there", "there", "there", "none"]
        assert visitor.client.get(f"/api/cases/{keys[0]}/model/0").status_code == 404
        first = stroke(keys[0])
        visitor.send(first)
        answer = visitor.client.get(f"/api/cases/{keys[0]}/model/0").json()
        (line,) = answer["outlines"][0]["lines"]
        assert np.array_equal(polygon2mask((120, 160), np.array(line)), disc((120, 160), 10))
        assert visitor.client.get(f"/api/cases/{keys[3]}/model/0").status_code == 404
        desk.close()

    def test_on_a_share_of_the_images_it_stays_hidden(self, study: Study, run: Path) -> None:
        desk, visitor = visit_of(study, MarkingSettings(run=run, blind=1))
        key = case_key(desk.cases[0])
        visitor.send(stroke(key))
        assert visitor.client.get(f"/api/cases/{key}").json()["model"] == "blind"
        assert visitor.client.get(f"/api/cases/{key}/model/0").status_code == 404
        desk.close()
        hidden = [blind(f"{number:020x}", "reader", 0.2) for number in range(2000)]
        assert 0.16 < np.mean(hidden) < 0.24
        assert hidden != [blind(f"{number:020x}", "other", 0.2) for number in range(2000)]

    def test_the_image_whose_number_disagrees_comes_first(self, study: Study, run: Path) -> None:
        desk, visitor = visit_of(study, MarkingSettings(run=run))
        first = visitor.client.post("/api/next", json={}).json()["next"][0]
        assert first["key"] == case_key(desk.cases[1])
        assert first["reason"] == "number disagrees: the model finds 30 %, recorded is 14.6 %"
        desk.close()

    def test_a_run_without_predictions_is_refused(self, study: Study) -> None:
        with pytest.raises(ReadError, match="no predictions"):
            Desk(study, replace(MarkingSettings(), run=study.folder / "runs" / "none"))
