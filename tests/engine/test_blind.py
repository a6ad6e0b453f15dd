"""What networks are worth without a mark or a number, told by images that have one and are not told it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tallymark.data.study import Case, Study
from tallymark.engine.blind import trust
from tallymark.engine.config import GrownTerm
from tallymark.engine.estimates import BLIND, UNSIZED
from tallymark.engine.evidence import Evidence
from tallymark.engine.recover import recover
from tiny import TINY

GROWN = GrownTerm(weight=1.0)


def evidence(*views: list[float], grew: bool = True, size: float = 2.0) -> Evidence:
    """Six pixels in a row: growth has the first two, and the first is marked."""
    order = np.array([[[0.5, 1.0, 1.5, 2.0, 2.5, 3.0]]], dtype=np.float32)
    return Evidence(
        Case("a", Path("a.png")),
        logits=np.array(views, dtype=np.float32)[:, None, None],
        order=order if grew else np.full_like(order, np.nan),
        marks=np.arange(6).reshape(1, 1, 6) < 1,
        excluded=np.zeros((1, 6), dtype=bool),
        least=np.array([size]),
        most=np.array([size]),
        shared=np.array([False]),
    )


SECOND = [-1.0, 2.0, 1.0, -2.0, -3.0, -4.0]  # one of two pixels is that of the growth: an overlap of a third
FIRST = [2.0, 1.0, -1.0, -2.0, -3.0, -4.0]


def test_networks_are_compared_with_growth_and_not_told_the_mark() -> None:
    assert trust([evidence(SECOND, SECOND)] * 4, 1, GROWN).unmarked == pytest.approx([1 / 3])
    assert trust([evidence(FIRST, FIRST)] * 4, 1, GROWN).unmarked == pytest.approx([1])
    # Views that disagree are unsteady by themselves: what they agree on is worth as much more.
    unsteady = evidence([2.0, 1.5, 1.0, -2.0, -3.0, -4.0], [-3.0, 1.5, 1.6, -2.0, -3.0, -4.0])
    assert trust([unsteady] * 4, 1, GROWN).unmarked == pytest.approx([1.0])


def test_few_images_and_those_without_growth_or_number_tell_nothing() -> None:
    assert trust([], 1, GROWN) == ([BLIND], [UNSIZED])
    told, not_grown, absent = evidence(SECOND, SECOND), evidence(SECOND, grew=False), evidence(SECOND, size=0.0)
    unknown = evidence(SECOND, SECOND, size=np.nan)
    assert trust([told] * 3 + [absent, unknown] * 4, 1, GROWN) == ([BLIND], [UNSIZED])
    assert trust([told] * 3 + [not_grown] * 4, 1, GROWN).unmarked == [BLIND]


def test_without_a_number_networks_are_worth_what_they_outline_of_it_by_themselves() -> None:
    # Of the two pixels that the number allows, both are in an outline of five.
    wide = [3.0, 2.5, 2.0, 1.5, 1.0, -4.0]
    assert trust([evidence(wide, wide)] * 4, 1, GROWN).unsized == pytest.approx([2 / 5])
    assert trust([evidence(wide, wide, grew=False)] * 4, 1, GROWN).unsized == pytest.approx([2 / 5])
    assert trust([evidence(FIRST, FIRST)] * 4, 1, GROWN).unsized == pytest.approx([1])


def test_unmarked_images_are_expected_to_be_as_good_as_marked_ones_show(study: Path, tmp_path: Path) -> None:
    opened = Study.open(study)
    there = [case.id for case in opened.cases if opened.marks.labels(case.id, "e8")]
    for id in there[:3]:
        opened.marks.clear("e8", id)
    settings = (*TINY, "optim.epochs=2", "losses.grown.cost=euclidean", "optim.ema_decay=0.5")
    rows = recover(opened, marks="e8", folds=2, out=tmp_path / "out", settings=settings).cases.set_index("id")
    unmarked = rows.loc[there[:3]]
    worth = (unmarked["expected_iou"] / unmarked["steadiness"]).to_numpy()
    assert worth == pytest.approx(worth[0], abs=0.01)
    assert abs(worth[0] - BLIND) > 0.02
    assert unmarked["reasons"].str.contains("no mark").all()
