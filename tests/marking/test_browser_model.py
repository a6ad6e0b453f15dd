"""Full masks and a model's outline in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import Browser

from browsing import (
    Server,
    shown_case,
    visiting,
)
from marking_study import make_study
from tallymark.data.annotations import Annotator
from tallymark.data.study import Study

pytestmark = pytest.mark.browser


def predicted_study(folder: Path) -> tuple[Study, Path]:
    """A study, and the run of a model that saw a ring and another number on its first image."""
    study = make_study(folder, count=2)
    predictions = study.folder / "runs" / "one" / "predictions" / "train"
    (predictions / "masks").mkdir(parents=True)
    (predictions / "numbers.csv").write_text("id,statistic,value,unit\nRoom 12 bed 0,share,30,percent\n")
    PIL.Image.fromarray(ring()).save(predictions / "masks" / "Room 12 bed 0_lesion.png")
    return study, predictions.parents[1]


def test_the_models_outline_comes_after_the_stroke_and_is_judged(
    browser: Browser, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    study, run = predicted_study(tmp_path)
    server = serving(study, "--author", "reader", "--run", str(run), "--blind", "0")
    with visiting(browser, server) as marker:
        judge = marker.page.locator("#judge")
        assert shown_case(study, marker) == "Room 12 bed 0"
        assert judge.is_hidden()
        marker.key("m")
        assert judge.is_hidden()
        image = marker.page.locator("#image").bounding_box()
        marker.draw((0, -0.1), (0, -0.08))
        judge.wait_for()
        assert marker.page.locator("#image").bounding_box() == image  # the outline comes, and nothing moves
        marker.key("c", "r")
        marker.next()
        marker.wait_saved()
        visit = Annotator(study.marks, "hand", "reader").progress()["Room 12 bed 0"].visits["reader"]
        assert (visit.model, visit.judgement) == ("shown", "right")
        assert judge.is_hidden()


def test_a_blind_image_shows_no_outline_and_the_visit_says_so(
    browser: Browser, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    study, run = predicted_study(tmp_path)
    server = serving(study, "--author", "reader", "--run", str(run), "--blind", "1")
    with visiting(browser, server) as marker:
        marker.draw((0, -0.1), (0, -0.08))
        marker.page.wait_for_selector("#notes span:has-text('grown to lesion')")
        marker.key("m")
        assert marker.page.locator("#judge").is_hidden()
        marker.next()
        marker.wait_saved()
        assert Annotator(study.marks, "hand", "reader").progress()["Room 12 bed 0"].visits["reader"].model == "blind"


class TestFullMasks:
    """Outlines of whole structures, for an audit."""

    @pytest.fixture
    def audit(self, tmp_path: Path, serving: Callable[..., Server]) -> tuple[Study, Server]:
        study, run = predicted_study(tmp_path)
        options = ("--author", "reader", "--full", "--marks", "audit", "--run", str(run), "--blind", "0")
        return study, serving(study, *options)

    def test_a_line_around_a_structure_marks_all_of_it(self, browser: Browser, audit: tuple[Study, Server]) -> None:
        study, server = audit
        with visiting(browser, server) as marker:
            marker.draw((-0.2, -0.1), (-0.2, 0.1), (0.2, 0.1), (0.2, -0.1))
            marker.wait_saved()
            mask = Annotator(study.marks, "audit", "reader").labels(shown_case(study, marker))["lesion"]
            rows, columns = np.nonzero(mask)
            assert mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].mean() > 0.95
            assert int(mask.sum()) == marker.inked > 1000

    def test_fix_takes_the_models_outline_over_to_be_corrected(
        self, browser: Browser, audit: tuple[Study, Server]
    ) -> None:
        study, server = audit
        with visiting(browser, server) as marker:
            assert shown_case(study, marker) == "Room 12 bed 0"
            marker.draw((0, 0), (0, 0.001))
            marker.page.locator("#judge").wait_for()
            marker.page.get_by_role("button", name="I fix it").click()
            marker.page.wait_for_function(
                f"() => Number(document.getElementById('image').dataset.inked) >= {ring().sum()}"
            )
            reader = Annotator(study.marks, "audit", "reader")
            assert not (ring() & ~reader.labels("Room 12 bed 0")["lesion"]).any()  # its hole is a hole still
            assert int(reader.labels("Room 12 bed 0")["lesion"].sum()) == marker.inked < ring().sum() + 50
            marker.key("z")
            marker.wait_saved()
            assert int(reader.labels("Room 12 bed 0")["lesion"].sum()) == marker.inked < 50
            marker.next()
            marker.wait_saved()
            assert reader.progress()["Room 12 bed 0"].visits["reader"].judgement == "fix"


def ring() -> np.ndarray:
    rows, columns = np.ogrid[:120, :160]
    away = (rows - 60) ** 2 + (columns - 62) ** 2
    return np.asarray((away < 900) & (away >= 200))
