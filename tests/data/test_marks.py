"""No mark is lost: append-only, idempotent, killed, damaged, on a full disk, read-only."""

from __future__ import annotations

import itertools
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.draw
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from postgres import opened_store
from tallymark.data import database
from tallymark.data.database import network_file_system
from tallymark.data.mark_file import MarkFile
from tallymark.data.marks import EXCLUDED, MarkStore
from tallymark.data.strokes import Stroke, decode_runs, encode_runs
from tallymark.errors import GeometryError, ReadError, StorageError, StudyError

ONE = np.array([[True, False, False]])
TWO = np.array([[False, False, True]])


@pytest.fixture
def store(tmp_path: Path) -> MarkStore:
    return MarkStore(tmp_path / "marks.sqlite")


def file_of(store: MarkStore) -> Path:
    assert isinstance(store.tables, MarkFile)
    return store.tables.path


class TestRuns:
    """Run lengths give back the mask."""

    @given(hnp.arrays(bool, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9)))
    def test_round_trip(self, mask: np.ndarray) -> None:
        back = decode_runs(encode_runs(mask))
        assert back.shape == mask.shape
        assert np.array_equal(back, mask)

    def test_a_disc_is_small(self) -> None:
        rows, columns = np.ogrid[:500, :600]
        assert len(encode_runs((rows - 250) ** 2 + (columns - 300) ** 2 < 900)) < 600

    @pytest.mark.parametrize("damage", [b"", b"\x01", b"\xff" * 40])
    def test_damage_is_noticed(self, damage: bytes) -> None:
        with pytest.raises(ReadError, match="damaged"):
            decode_runs(damage)

    def test_a_cut_payload_is_noticed(self) -> None:
        payload = encode_runs(ONE)
        for length in range(len(payload)):
            with pytest.raises(ReadError, match="damaged"):
                decode_runs(payload[:length])


class TestStroke:
    """A pen of a certain width."""

    def test_a_line_of_width_one_is_the_line(self) -> None:
        for end in ((3.0, 17.0), (17.0, 3.0), (9.0, 19.0), (0.0, 19.0)):
            stroke = Stroke(np.array([[5.0, 0.0], end]), 1, (20, 20)).raster()
            reference = np.zeros((20, 20), bool)
            reference[skimage.draw.line(5, 0, int(end[0]), int(end[1]))] = True
            near = np.pad(stroke, 1)
            touching = sum(near[1 + r : 21 + r, 1 + c : 21 + c] for r in (-1, 0, 1) for c in (-1, 0, 1)) > 0
            assert (touching | ~reference).all()
            assert stroke[5, 0]
            assert stroke[int(end[0]), int(end[1])]

    def test_the_pen_is_round(self) -> None:
        dot = Stroke(np.array([[10.0, 10.0]]), 9, (21, 21)).raster()
        rows, columns = np.ogrid[:21, :21]
        assert np.array_equal(dot, (rows - 10) ** 2 + (columns - 10) ** 2 <= 4.5**2)

    def test_a_slow_loop_gives_the_same(self) -> None:
        points = np.array([[2.3, 1.2], [9.1, 14.7], [16.0, 4.4]])
        drawn = Stroke(points, 3.4, (18, 18)).raster()
        for row, column in np.ndindex(18, 18):
            along = np.linspace(0, 1, 2001)[:, None]
            path = np.concatenate([a + along * (b - a) for a, b in itertools.pairwise(points)])
            nearest = np.hypot(*(path - (row, column)).T).min()
            if abs(nearest - 1.7) > 1e-2:
                assert drawn[row, column] == (nearest < 1.7)

    def test_a_dot_between_pixels_marks_one(self) -> None:
        assert Stroke(np.array([[1.5, 1.5]]), 0.1, (4, 4)).raster().sum() == 1

    def test_a_stroke_across_the_edge_is_clipped(self) -> None:
        drawn = Stroke(np.array([[-5.0, 2.0], [2.0, 2.0]]), 1, (4, 4)).raster()
        assert np.argwhere(drawn).tolist() == [[0, 2], [1, 2], [2, 2]]
        assert Stroke(np.array([[2.0, -9.0], [2.0, -5.0]]), 3, (4, 4)).raster().sum() == 0

    def test_a_stroke_on_a_volume_marks_its_plane(self) -> None:
        drawn = Stroke(np.array([[1, 0], [1, 2]]), 1, (3, 4, 5), plane=2).raster()
        assert np.argwhere(drawn).tolist() == [[2, 1, 0], [2, 1, 1], [2, 1, 2]]

    @pytest.mark.parametrize(
        ("points", "width", "shape", "plane"),
        [
            (np.empty((0, 2)), 1, (4, 4), None),
            (np.array([[np.nan, 0]]), 1, (4, 4), None),
            (np.array([[0.0, 0]]), 0, (4, 4), None),
            (np.array([[0.0, 0]]), float("inf"), (4, 4), None),
            (np.array([[0.0, 0]]), 1, (4, 4), 0),
            (np.array([[0.0, 0]]), 1, (4, 4, 4), None),
            (np.array([[0.0, 0]]), 1, (4, 4, 4), 4),
        ],
    )
    def test_what_is_no_stroke_is_refused(
        self, points: np.ndarray, width: float, shape: tuple[int, ...], plane: int | None
    ) -> None:
        with pytest.raises(GeometryError):
            Stroke(points, width, shape, plane)


class TestStore:
    """What a set shows is derived from what was added, wherever it is kept."""

    @pytest.fixture(params=["file", "sqlite", "postgresql"])
    def store(self, tmp_path: Path, request: pytest.FixtureRequest) -> MarkStore:
        return opened_store(request.param, tmp_path, request)

    def test_marks_of_a_structure_are_united(self, store: MarkStore) -> None:
        store.add_raster("a", "first", "lesion", ONE)
        store.add_raster("a", "first", "lesion", TWO)
        store.add_raster("a", "first", EXCLUDED, ONE)
        store.add_raster("b", "first", "lesion", TWO)
        store.add_raster("a", "second", "lesion", TWO)
        labels = store.labels("a", "first")
        assert list(labels) == ["lesion", EXCLUDED]
        assert np.array_equal(labels["lesion"], ONE | TWO)
        assert np.array_equal(labels[EXCLUDED], ONE)
        assert store.case_ids("first") == ("a", "b")
        assert [(s.name, s.origin, s.marks, s.cases) for s in store.sets().values()] == [
            ("first", "real", 4, 2),
            ("second", "real", 1, 1),
        ]

    def test_strokes_and_rasters_meet(self, store: MarkStore) -> None:
        store.add_stroke("a", "first", "lesion", np.array([[0.0, 1.0]]), 1, (1, 3), author="reader")
        store.add_raster("a", "first", "lesion", TWO)
        assert store.labels("a", "first")["lesion"].tolist() == [[False, True, True]]

    def test_nothing_is_there_before_the_first_mark(self, store: MarkStore) -> None:
        assert store.sets() == {}
        with pytest.raises(StudyError, match="no mark set 'first'"):
            store.labels("a", "first")

    def test_clearing_hides_and_deletes_nothing(self, store: MarkStore) -> None:
        store.add_raster("a", "first", "lesion", ONE)
        store.add_raster("b", "first", "lesion", ONE)
        store.clear("first", "a")
        assert store.labels("a", "first") == {}
        assert store.case_ids("first") == ("b",)
        store.add_raster("a", "first", "lesion", TWO)
        assert np.array_equal(store.labels("a", "first")["lesion"], TWO)
        store.clear("first")
        assert store.case_ids("first") == ()
        assert store.tables.rows("SELECT COUNT(*) FROM mark") == [(5,)]

    @pytest.mark.parametrize("statement", ["UPDATE mark SET author = 'x'", "DELETE FROM mark"])
    @pytest.mark.parametrize("kind", ["file", "postgresql"])
    def test_the_tables_themselves_refuse_to_forget(
        self, kind: str, tmp_path: Path, request: pytest.FixtureRequest, statement: str
    ) -> None:
        store = opened_store(kind, tmp_path, request)
        store.add_raster("a", "first", "lesion", ONE)
        with pytest.raises((sqlite3.IntegrityError, StorageError), match="append-only"), store.tables.writing() as some:
            some.execute(statement, {})
        assert store.sets()["first"].marks == 1

    def test_the_same_mark_sent_twice_is_stored_once(self, store: MarkStore) -> None:
        for _ in range(2):
            assert store.add_raster("a", "first", "lesion", ONE, uuid="u1") == "u1"
        assert store.sets()["first"].marks == 1
        with pytest.raises(StudyError, match="another mark has this uuid"):
            store.add_raster("a", "first", "lesion", TWO, uuid="u1")
        assert np.array_equal(store.labels("a", "first")["lesion"], ONE)

    def test_a_set_is_real_or_simulated(self, store: MarkStore) -> None:
        store.add_raster("a", "people", "lesion", ONE)
        store.add_raster("a", "erosion", "lesion", ONE, origin="simulated")
        with pytest.raises(StudyError, match="'people' is real, these marks are simulated"):
            store.add_raster("a", "people", "lesion", TWO, origin="simulated")
        with pytest.raises(StudyError, match="'erosion' is simulated, these marks are real"):
            store.add_stroke("a", "erosion", "lesion", np.array([[0.0, 0.0]]), 1, (1, 3))
        assert np.array_equal(store.labels("a", "people")["lesion"], ONE)

    @pytest.mark.parametrize("kind", ["file", "postgresql"])
    def test_unknown_names_are_refused(self, kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
        store = opened_store(kind, tmp_path, request, structures=["lesion"], case_ids=["a"])
        store.add_raster("a", "first", EXCLUDED, ONE)
        with pytest.raises(StudyError, match="no such case; found 'b'"):
            store.add_raster("b", "first", "lesion", ONE)
        with pytest.raises(StudyError, match=r"unknown structure; found 'liver'; expected lesion, \(none of these\)"):
            store.add_raster("a", "first", "liver", ONE)
        with pytest.raises(StudyError, match="needs a name"):
            store.add_raster("a", " ", "lesion", ONE)
        with pytest.raises(StudyError, match="no mark set 'second'"):
            store.clear("second")

    def test_a_stroke_outside_of_the_image_is_refused(self, store: MarkStore) -> None:
        with pytest.raises(GeometryError, match="outside of the image"):
            store.add_stroke("a", "first", "lesion", np.array([[9.0, 9.0]]), 1, (3, 3))
        assert store.sets() == {}

    def test_marks_of_two_shapes_do_not_mix(self, store: MarkStore) -> None:
        store.add_raster("a", "first", "lesion", ONE)
        store.add_raster("a", "first", "other", ONE.T)
        with pytest.raises(GeometryError, match=r"found \(3, 1\); expected \(1, 3\)"):
            store.labels("a", "first")

    def test_a_batch_is_all_or_nothing(self, store: MarkStore) -> None:
        with store.batch():
            store.add_raster("a", "first", "lesion", ONE)
            store.add_raster("b", "first", "lesion", ONE)
            assert store.case_ids("first") == ("a", "b")

        def fail() -> None:
            with store.batch():
                store.clear("first")
                store.add_raster("c", "first", "lesion", ONE)
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert store.case_ids("first") == ("a", "b")
        store.add_raster("d", "first", "lesion", ONE)
        assert store.case_ids("first") == ("a", "b", "d")

    @pytest.mark.parametrize("kind", ["file", "postgresql"])
    def test_many_threads_lose_nothing(self, kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
        store = opened_store(kind, tmp_path, request)

        def work(name: str) -> None:
            for number in range(10):
                store.add_raster(f"{name}{number}", "first", "lesion", ONE)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.sets()["first"].marks == 40

    def test_the_fingerprint_follows_what_is_visible(self, store: MarkStore) -> None:
        store.add_raster("a", "first", "lesion", ONE)
        before = store.fingerprint("first", ["a"])
        store.add_raster("b", "first", "lesion", ONE)
        assert store.fingerprint("first", ["a"]) == before
        store.add_raster("a", "first", "lesion", TWO)
        assert store.fingerprint("first", ["a"]) != before
        store.clear("first", "a")
        store.add_raster("a", "first", "lesion", ONE)
        assert store.fingerprint("first", ["a"]) == before

    @given(
        st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y", "clear"]), st.integers(0, 5)), max_size=8)
    )
    def test_a_slow_replay_gives_the_same(
        self, tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, str, int]]
    ) -> None:
        store = MarkStore(tmp_path_factory.mktemp("marks") / "m.sqlite")
        store.add_raster("z", "s", "x", np.zeros((2, 3), bool))
        expected: dict[str, dict[str, set[int]]] = {"a": {}, "b": {}}
        with store.batch():
            for case_id, what, pixel in events:
                if what == "clear":
                    store.clear("s", case_id)
                    expected[case_id] = {}
                else:
                    mask = np.zeros((2, 3), bool)
                    mask.flat[pixel] = True
                    store.add_raster(case_id, "s", what, mask)
                    expected[case_id].setdefault(what, set()).add(pixel)
        for case_id, structures in expected.items():
            found = {name: set(np.flatnonzero(mask)) for name, mask in store.labels(case_id, "s").items()}
            assert found == structures


class TestFile:
    """Local disks and shares, read-only folders, damage, full disks, kills."""

    def test_nothing_is_left_beside_the_file(self, store: MarkStore) -> None:
        store.add_raster("a", "first", "lesion", ONE)
        assert [entry.name for entry in file_of(store).parent.iterdir()] == ["marks.sqlite"]

    @pytest.mark.parametrize(("kind", "mode"), [(None, "wal"), ("nfs4", "delete")])
    def test_a_share_gets_a_rollback_journal(
        self, store: MarkStore, monkeypatch: pytest.MonkeyPatch, kind: str | None, mode: str
    ) -> None:
        monkeypatch.setattr(database, "network_file_system", lambda folder: kind)
        store.add_raster("a", "first", "lesion", ONE)
        connection = sqlite3.connect(file_of(store))
        assert connection.execute("PRAGMA journal_mode").fetchone() == (mode,)
        connection.close()
        assert np.array_equal(store.labels("a", "first")["lesion"], ONE)

    @pytest.mark.parametrize(
        ("folder", "kind"),
        [
            ("/", None),
            ("/mnt/share/study", "cifs"),
            ("/mnt/my share", "fuse.sshfs"),
            ("/mnt/shares", None),
            ("/mnt/share/disk/x", None),
        ],
    )
    def test_shares_are_told_by_the_table_of_mounts(self, folder: str, kind: str | None) -> None:
        mounts = (
            "/dev/sda1 / ext4 rw 0 0\n//server/x /mnt/share cifs rw 0 0\n"
            "x /mnt/my\\040share fuse.sshfs rw 0 0\n/dev/sdb /mnt/share/disk xfs rw 0 0\n"
        )
        assert network_file_system(Path(folder), mounts) == kind

    @pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
    def test_a_read_only_folder_can_be_read(self, bound_folder: Path) -> None:
        store = MarkStore(bound_folder / "marks.sqlite")
        store.add_raster("a", "first", "lesion", ONE)
        file_of(store).chmod(0o444)
        bound_folder.chmod(0o555)
        again = MarkStore(file_of(store))
        assert np.array_equal(again.labels("a", "first")["lesion"], ONE)
        with pytest.raises(StorageError, match="may write here"):
            again.add_raster("a", "first", "lesion", TWO)
        with pytest.raises(StorageError):
            MarkStore(bound_folder / "other.sqlite").add_raster("a", "first", "lesion", TWO)
        assert np.array_equal(again.labels("a", "first")["lesion"], ONE)

    @pytest.mark.parametrize("damage", ["text", "cut", "zeroed"])
    def test_a_damaged_file_is_a_read_error(self, store: MarkStore, damage: str) -> None:
        with store.batch():
            for number in range(200):
                store.add_raster(f"c{number}", "first", "lesion", np.eye(40, dtype=bool))
        data = file_of(store).read_bytes()
        middle = len(data) // 2
        file_of(store).write_bytes(
            {
                "text": b"these are no marks" * 100,
                "cut": data[:middle],
                "zeroed": data[: middle - 5000] + bytes(10_000) + data[middle + 5000 :],
            }[damage]
        )
        for use in (
            lambda: MarkStore(file_of(store)).sets(),
            lambda: MarkStore(file_of(store)).labels("c1", "first"),
            lambda: MarkStore(file_of(store)).add_raster("a", "first", "lesion", ONE),
        ):
            with pytest.raises(ReadError, match="damaged") as caught:
                use()
            assert str(file_of(store)) in str(caught.value)

    def test_a_foreign_database_is_not_touched(self, tmp_path: Path) -> None:
        path = tmp_path / "marks.sqlite"
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE other (x)")
        connection.close()
        before = path.read_bytes()
        with pytest.raises(ReadError, match="another format; found 0; expected 3"):
            MarkStore(path).add_raster("a", "first", "lesion", ONE)
        assert path.read_bytes() == before

    def test_an_empty_file_is_a_store_without_marks(self, store: MarkStore) -> None:
        """A process that is killed right after opening a new database leaves one."""
        file_of(store).touch()
        assert store.sets() == {}
        store.add_raster("a", "first", "lesion", ONE)
        assert store.sets()["first"].marks == 1

    _LIMITED = """
import resource, sys
import numpy as np
from tallymark.data.marks import MarkStore
from tallymark.errors import StorageError
store = MarkStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
rng = np.random.default_rng(0)
kept = 0
try:
    while True:
        store.add_raster(f"c{kept}", "first", "lesion", rng.random((60, 60)) < 0.5)
        kept += 1
except StorageError as error:
    print(kept, error)
"""

    @pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
    def test_a_full_disk_keeps_every_mark_that_was_acknowledged(self, store: MarkStore) -> None:
        done = subprocess.run(
            [sys.executable, "-c", self._LIMITED, file_of(store)], capture_output=True, text=True, check=True
        )
        kept, says = done.stdout.split(" ", 1)
        assert int(kept) > 5
        assert "the disk has space" in says
        assert store.sets()["first"].marks == int(kept)
        store.add_raster("after", "first", "lesion", ONE)
        assert store.sets()["first"].marks == int(kept) + 1

    _FOREVER = """
import sys
import numpy as np
from tallymark.data.marks import MarkStore
store = MarkStore(sys.argv[1])
number = int(sys.argv[2])
while True:
    store.add_raster(f"c{number}", "first", "lesion", np.eye(50, dtype=bool), uuid=f"{number}")
    number += 1
    print(number, flush=True)
"""

    @pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
    @pytest.mark.parametrize("kills", [5, pytest.param(40, marks=pytest.mark.full)])
    @pytest.mark.parametrize("kind", [None, "nfs"])
    def test_a_kill_in_the_middle_loses_no_acknowledged_mark(
        self, store: MarkStore, kills: int, kind: str | None
    ) -> None:
        script = self._FOREVER
        if kind:  # the rollback journal of a share
            script = f"from tallymark.data import database\ndatabase.network_file_system = lambda _: '{kind}'\n{script}"
        acknowledged = 0
        for attempt in range(kills):
            command = [sys.executable, "-c", script, str(file_of(store)), str(acknowledged)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                first = process.stdout.readline()
                time.sleep(0.01 + 0.0013 * attempt)
                process.send_signal(signal.SIGKILL)
                lines = (first + process.stdout.read()).split("\n")
            acknowledged = max([acknowledged, *(int(line) for line in lines[:-1] if line)])
            fresh = MarkStore(file_of(store))
            marks = fresh.sets()["first"].marks
            assert acknowledged <= marks <= acknowledged + 1
            assert fresh.labels(f"c{marks - 1}", "first")["lesion"].sum() == 50
        assert acknowledged >= kills

    def test_the_file_can_be_copied_while_nobody_writes(self, store: MarkStore, tmp_path: Path) -> None:
        store.add_raster("a", "first", "lesion", ONE)
        shutil.copy(file_of(store), tmp_path / "copy.sqlite")
        assert np.array_equal(MarkStore(tmp_path / "copy.sqlite").labels("a", "first")["lesion"], ONE)
