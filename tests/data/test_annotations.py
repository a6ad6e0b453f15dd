"""What a person does on the marking page is kept, taken back, brought back, and never forgotten."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import grid_points_in_poly

from postgres import opened_store
from tallymark.data.annotations import Annotator, Visit
from tallymark.data.marks import EXCLUDED, MarkStore
from tallymark.data.strokes import Stroke
from tallymark.errors import GeometryError, StudyError

SHAPE = (4, 6)

# The tables of version 1 as they were.
_BEFORE = """
CREATE TABLE mark_set (name TEXT PRIMARY KEY, origin TEXT NOT NULL CHECK (origin IN ('real', 'simulated')));
CREATE TABLE mark (number INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, time TEXT NOT NULL,
    author TEXT NOT NULL, mark_set TEXT NOT NULL REFERENCES mark_set (name),
    kind TEXT NOT NULL CHECK (kind IN ('raster', 'stroke', 'clear')), case_id TEXT, structure TEXT, payload BLOB);
CREATE INDEX mark_by_case ON mark (mark_set, case_id, number);
CREATE TRIGGER mark_is_never_changed BEFORE UPDATE ON mark BEGIN SELECT RAISE(ABORT, 'marks are append-only'); END;
CREATE TRIGGER mark_is_never_deleted BEFORE DELETE ON mark BEGIN SELECT RAISE(ABORT, 'marks are append-only'); END;
PRAGMA user_version = 1;
"""


@pytest.fixture(params=["file", "sqlite", "postgresql"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> MarkStore:
    return opened_store(request.param, tmp_path, request, structures=["lesion", "cyst"], case_ids=["a", "b"])


def dot(row: int, column: int) -> Stroke:
    return Stroke(np.array([[float(row), float(column)]]), 1, SHAPE)


def shown(store: MarkStore, author: str | None = None) -> dict[str, list[list[int]]]:
    return {name: np.argwhere(mask).tolist() for name, mask in store.labels("a", "hand", author).items()}


class TestLayers:
    """Each author has a layer."""

    def test_one_erases_the_own_layer_alone(self, store: MarkStore) -> None:
        one, other = Annotator(store, "hand", "one"), Annotator(store, "hand", "other")
        one.draw("a", "lesion", dot(0, 0), "u1")
        one.draw("a", EXCLUDED, dot(0, 0), "u2")
        other.draw("a", "lesion", dot(0, 0), "u3")
        other.draw("a", "lesion", dot(1, 1), "u4")
        one.draw("a", None, Stroke(np.array([[0.0, 0.0], [1.0, 1.0]]), 1, SHAPE), "u5")
        assert shown(store, "one") == {}
        assert shown(store) == shown(store, "other") == {"lesion": [[0, 0], [1, 1]]}
        one.draw("a", "cyst", dot(0, 0), "u6")
        assert shown(store)["cyst"] == [[0, 0]]

    def test_nothing_here_leaves_out_what_is_marked(self, store: MarkStore) -> None:
        one = Annotator(store, "hand", "one")
        one.nothing_here("a", SHAPE, "u1")
        one.draw("a", "lesion", dot(2, 3), "u2")
        labels = store.labels("a", "hand")
        assert labels["lesion"].sum() == 1
        assert np.array_equal(labels[EXCLUDED], ~labels["lesion"])
        one.retract("a", "u1", "u3")
        assert list(store.labels("a", "hand")) == ["lesion"]

    def test_a_diameter_and_a_visit_mark_nothing(self, store: MarkStore) -> None:
        one = Annotator(store, "hand", "one")
        one.measure("a", "lesion", Stroke(np.array([[0.0, 0.0], [3.0, 4.0]]), 1, SHAPE), "u1")
        one.visit("a", Visit("unsure", 2.5, reason="too dark"), "u2")
        assert shown(store) == {}
        assert [entry.kind for entry in one.history("a")] == ["diameter"]
        assert one.progress()["a"].visits == {"one": Visit("unsure", 2.5, reason="too dark")}
        assert store.sets()["hand"].marks == 0


class TestTakingBack:
    """Undo and redo are rows too."""

    def test_a_stroke_comes_and_goes(self, store: MarkStore) -> None:
        one = Annotator(store, "hand", "one")
        one.draw("a", "lesion", dot(0, 0), "u1")
        one.draw("a", "lesion", dot(1, 1), "u2")
        one.retract("a", "u1", "r1")
        one.retract("a", "u2", "r2")
        assert shown(store) == {}
        assert store.case_ids("hand") == ()
        one.restore("a", "u1", "r3")
        one.restore("a", "u1", "r3")  # sent twice
        assert shown(store) == {"lesion": [[0, 0]]}
        assert [(entry.uuid, entry.retracted > 0) for entry in one.history("a")] == [("u1", False), ("u2", True)]
        assert one.progress()["a"].marks == {"one": 1}
        assert store.tables.rows("SELECT COUNT(*) FROM mark") == [(5,)]

    def test_an_undone_erasure_brings_the_pixels_back(self, store: MarkStore) -> None:
        one = Annotator(store, "hand", "one")
        one.draw("a", "lesion", dot(0, 0), "u1")
        before = store.fingerprint("hand", ["a"])
        one.draw("a", None, dot(0, 0), "u2")
        assert shown(store) == {}
        one.retract("a", "u2", "u3")
        assert shown(store) == {"lesion": [[0, 0]]}
        assert store.fingerprint("hand", ["a"]) == before

    @pytest.mark.parametrize(
        ("author", "case", "target"), [("other", "a", "u1"), ("one", "b", "u1"), ("one", "a", "x")]
    )
    def test_only_the_own_marks_of_an_image_are_taken_back(
        self, store: MarkStore, author: str, case: str, target: str
    ) -> None:
        Annotator(store, "hand", "one").draw("a", "lesion", dot(0, 0), "u1")
        with pytest.raises(StudyError, match="no such mark"):
            Annotator(store, "hand", author).retract(case, target, "u2")
        assert shown(store) == {"lesion": [[0, 0]]}

    def test_a_clear_ends_the_history(self, store: MarkStore) -> None:
        one = Annotator(store, "hand", "one")
        one.draw("a", "lesion", dot(0, 0), "u1")
        store.clear("hand")
        assert one.history("a") == ()
        one.visit("a", Visit("done", 1.0), "u2")
        store.clear("hand", "a")
        assert one.progress() == {}

    @given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12))
    def test_a_slow_replay_gives_the_same(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool]]
    ) -> None:
        store = MarkStore(tmp_path_factory.mktemp("marks") / "marks.sqlite")
        one = Annotator(store, "hand", "one")
        there = {}
        with store.batch():
            for pixel in range(4):
                one.draw("a", "lesion", dot(0, pixel), f"u{pixel}")
                there[pixel] = True
            for number, (pixel, back) in enumerate(steps):
                (one.restore if back else one.retract)("a", f"u{pixel}", f"s{number}")
                there[pixel] = back
        expected = [[0, pixel] for pixel, is_there in there.items() if is_there]
        assert shown(store) == ({"lesion": expected} if expected else {})


class TestOlderFiles:
    """A study that was marked before goes on."""

    def test_a_file_of_the_first_version_is_read_and_then_brought_up(self, tmp_path: Path) -> None:
        path = tmp_path / "marks.sqlite"
        with sqlite3.connect(path) as connection:
            connection.executescript(_BEFORE)
            connection.execute("INSERT INTO mark_set VALUES ('hand', 'real')")
            row = ("old", "2026", "one", "hand", "stroke", "a", "lesion", dot(0, 0).encode())
            query = "INSERT INTO mark (uuid, time, author, mark_set, kind, case_id, structure, payload) VALUES"
            connection.execute(f"{query} (?, ?, ?, ?, ?, ?, ?, ?)", row)
        connection.close()
        store = MarkStore(path)
        before = store.fingerprint("hand", ["a"])
        assert shown(store) == {"lesion": [[0, 0]]}
        assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (1,)
        one = Annotator(store, "hand", "one")
        one.draw("a", "lesion", dot(1, 1), "new")
        assert shown(store) == {"lesion": [[0, 0], [1, 1]]}
        one.retract("a", "new", "back")
        assert store.fingerprint("hand", ["a"]) == before
        with pytest.raises(sqlite3.IntegrityError, match="append-only"), sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM mark")
        connection.close()


class TestOutline:
    """A closed line marks what it goes around."""

    @given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 49)), min_size=3, max_size=8))
    def test_another_library_fills_the_same(self, corners: list[tuple[int, int]]) -> None:
        points = np.array(corners) / 2 + 0.13  # between pixels: on an edge libraries differ
        filled = Stroke(points, 0.01, (21, 26), filled=True).raster()
        line = Stroke(np.concatenate([points, points[:1]]), 0.01, (21, 26)).raster()
        reference = grid_points_in_poly((21, 26), points)
        assert np.array_equal(filled & ~line, reference & ~line)

    def test_it_is_kept_as_drawn(self) -> None:
        stroke = Stroke(np.array([[0.0, 0], [0, 3], [3, 3], [3, 0]]), 1, (4, 4), filled=True)
        assert stroke.raster().all()
        assert Stroke.decode(stroke.encode()).filled
        assert b"filled" not in dot(0, 0).encode()

    def test_a_line_far_around_the_image_touches_it_when_filled(self) -> None:
        around = np.array([[-9.0, -9.0], [-9.0, 30.0], [30.0, 30.0], [30.0, -9.0]])
        assert Stroke(around, 1, SHAPE, filled=True).touches()
        assert not Stroke(around[:3], 1, SHAPE).touches()
        with pytest.raises(GeometryError):
            Stroke(around, 1, SHAPE, plane=1)
