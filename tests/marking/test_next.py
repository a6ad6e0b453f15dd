"""Which image comes next, and for which reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallymark.data.annotations import Annotator, Progress, Visit
from tallymark.data.marks import MarkStore
from tallymark.data.strokes import Stroke
from tallymark.data.study import Case, Study, StudySettings
from tallymark.errors import ReadError
from tallymark.marking.board import Board
from tallymark.marking.desk import Desk
from tallymark.marking.image_queue import ImageQueue
from tallymark.marking.likeness import Likeness, thumbnail_of
from tallymark.marking.next_image import take_turns
from tallymark.marking.settings import MarkingSettings, case_key
from tallymark.marking.workers import Here

GRID = np.mgrid[0:1:32j, 0:1:32j].astype(np.float32)
PICTURES = {
    "ramp": GRID[0],
    "ramp, flipped and paler": 0.5 - 0.4 * GRID[0][::-1],
    "ramp, brighter": 0.9 * GRID[0] + 0.1,
    "across": GRID[1],
    "waves": np.sin(20 * GRID[0]),
    "flat": np.full((32, 32), 0.5, np.float32),
}


def likeness(names: list[str]) -> Likeness:
    found = Likeness([Case(name, Path(name)) for name in names], lambda case: PICTURES[case.id].astype(np.float32))
    found.wait()
    return found


class TestFar:
    """Farthest first, by pictures whose likeness is known."""

    def test_the_picture_unlike_the_marked_ones_comes_first(self) -> None:
        near = likeness(list(PICTURES))
        others = [name for name in PICTURES if name != "ramp"]
        found = [name for name, _ in near.farthest(others, ["ramp"], 9)]
        assert set(found) == {"across", "waves", "flat"}  # the other ramps are the same picture
        assert near.farthest(others, ["ramp"], 1)[0][1] == "far from others: unlike all that is marked"
        assert near.farthest(["across"], ["ramp", "across"], 9) == []
        assert [name for name, _ in near.farthest(["across", "waves"], ["ramp", "across"], 9)] == ["waves"]

    def test_two_that_are_alike_are_not_both_far(self) -> None:
        near = likeness(["across", "ramp", "ramp, brighter"])
        found = [name for name, _ in near.farthest(["ramp", "ramp, brighter"], ["across"], 9)]
        assert found == ["ramp"]

    def test_marks_that_were_cleared_are_forgotten(self) -> None:
        near = likeness(["across", "ramp", "waves"])
        assert near.farthest(["across"], ["ramp", "across", "waves"], 9) == []
        assert [name for name, _ in near.farthest(["across", "waves"], ["ramp"], 9)]
        assert near.farthest(["across"], [], 9) == []

    def test_an_image_that_cannot_be_read_or_another_shape_stops_nothing(self) -> None:
        def make(case: Case) -> np.ndarray:
            if case.id == "broken":
                raise ReadError("damaged")
            return PICTURES[case.id].astype(np.float32)

        near = Likeness([Case(name, Path(name)) for name in ("broken", "ramp", "across")], make)
        near.wait()
        assert [name for name, _ in near.farthest(["broken", "across"], ["ramp"], 9)] == ["across"]
        mixed = Likeness([Case("a", Path("a")), Case("b", Path("b"))], lambda case: np.zeros((ord(case.id), 2), "f4"))
        mixed.wait()
        assert mixed.farthest(["a"], ["b"], 9) == []


class TestTurns:
    """Reasons of different kinds take turns."""

    def test_no_kind_fills_the_queue(self) -> None:
        odd = [(name, "number disagrees") for name in "abc"]
        unsure = [(name, "model unsure") for name in "bde"]
        far = [(name, "far from others") for name in "fa"]
        order = take_turns("abcdefgh", [odd, unsure, far])
        assert [name for name, _ in order] == list("abfcdegh")
        assert dict(order)["a"] == "number disagrees; far from others"
        assert dict(order)["b"] == "model unsure; number disagrees"
        assert dict(order)["h"] == "unmarked"

    def test_without_rankings_the_study_has_its_order(self) -> None:
        assert take_turns("cab", []) == [(name, "unmarked") for name in "cab"]


def make_study(folder: Path) -> Study:
    cases = []
    for name, picture in PICTURES.items():
        path = folder / f"{name}.png"
        values = 255 * (0.5 + 0.5 * np.kron(picture, np.ones((2, 2))))
        PIL.Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(path)
        cases.append(Case(name, path, split="train"))
    return Study.create(folder / "study", StudySettings(name="s", structures=("x",)), cases)


def test_the_page_is_told_all_four_reasons(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    predictions = study.folder / "runs" / "one" / "predictions" / "train"
    predictions.mkdir(parents=True)
    pd.DataFrame({"id": [], "statistic": [], "value": []}).to_csv(predictions / "numbers.csv", index=False)
    rows = [(name, "x", 0.95) for name in PICTURES] + [("ramp, brighter", "x", 0.55)]
    pd.DataFrame(rows, columns=["id", "structure", "expected_overlap"]).to_csv(
        predictions / "certainty.csv", index=False
    )
    desk = Desk(study, MarkingSettings(run=study.folder / "runs" / "one"))
    queue = ImageQueue(desk)
    queue.compare(Here()).wait()
    names = {case_key(case): case.id for case in desk.cases}

    def told() -> list[tuple[str, str]]:
        return [(names[entry["key"]], entry["reason"]) for entry in queue.to_mark("reader", 20, [])["next"]]

    assert told()[:2] == [("ramp, brighter", "model unsure: it expects 55 % overlap"), ("ramp", "unmarked")]
    reader = Annotator(study.marks, "hand", "reader")
    reader.draw("ramp", "x", Stroke(np.array([[5.0, 5.0]]), 3, (64, 64)), "u1")
    reader.visit("ramp", Visit("done", 2.0), "u2")
    after = told()
    assert after[0][0] == "ramp, brighter"
    assert after[1][1] == "far from others: unlike all that is marked"
    assert after[1][0] in ("across", "waves", "flat")
    assert after[-1] == ("ramp, flipped and paler", "unmarked")
    queue.close()
    desk.close()


def test_thumbnails_are_made_of_the_images(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    small = thumbnail_of(study.case("ramp"))
    assert small.shape == (32, 32)
    assert np.corrcoef(small.ravel(), PICTURES["ramp"].ravel())[0, 1] > 0.999


def test_progress_without_a_visit_is_unmarked() -> None:
    from tallymark.marking.next_image import unmarked

    cases = [Case(name, Path(name)) for name in "abcd"]
    progress = {
        "a": Progress({"other": 1}),
        "b": Progress({"other": 0}),
        "c": Progress(visits={"reader": Visit("skip", 1.0)}),
    }
    assert unmarked(cases, progress, "reader") == ["b", "d"]


STEPS = st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from(["draw", "visit", "back", "clear"]))


@given(st.lists(STEPS, max_size=10))
def test_what_is_kept_in_memory_is_what_the_disk_says(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, str]]
) -> None:
    store = MarkStore(tmp_path_factory.mktemp("board") / "marks.sqlite")
    board, drawn = Board(store, "hand"), dict[tuple[str, str], str]()
    assert board.progress() == {}
    for number, (case_id, author, what) in enumerate(steps):
        person, uuid = Annotator(store, "hand", author), f"u{number}"
        if what == "draw":
            person.draw(case_id, "lesion", Stroke(np.array([[1.0, 1.0]]), 1, (4, 4)), uuid)
            drawn[case_id, author] = uuid
        elif what == "visit":
            person.visit(case_id, Visit("done", float(number)), uuid)
        elif what == "back" and (case_id, author) in drawn:
            person.retract(case_id, drawn[case_id, author], uuid)
        elif what == "clear" and "hand" in store.sets():
            store.clear("hand", case_id)
            drawn = {key: value for key, value in drawn.items() if key[0] != case_id}
        assert board.progress() == person.progress()
