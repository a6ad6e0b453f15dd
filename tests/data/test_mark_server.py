"""Marks on a database server: what was acknowledged stays, whoever dies, and nobody finds another study's marks."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from postgres import PASSWORD, Cluster
from tallymark.data import mark_server
from tallymark.data.annotations import Annotator
from tallymark.data.database_url import database_url
from tallymark.data.mark_server import MarkServer
from tallymark.data.marks import MarkStore
from tallymark.data.move_marks import move_marks
from tallymark.data.settings import MarksSettings
from tallymark.data.strokes import Stroke
from tallymark.data.study import Study, StudySettings
from tallymark.errors import ConfigError, ReadError, StorageError, StudyError

from .studies import write_images

ONE = np.array([[True, False, False]])


def store_at(url: str, study: str = "study") -> MarkStore:
    return MarkStore(MarkServer(database_url(url, "test"), study))


class TestAddress:
    """No secret in a file, and no riddle where a driver is missing."""

    def test_a_password_is_not_taken_from_an_address(self) -> None:
        with pytest.raises(ConfigError, match="others see it") as caught:
            database_url("postgresql+psycopg://me:secret@db/x", "--database")
        assert "secret" not in str(caught.value)
        with pytest.raises(ConfigError, match="travels with the images") as caught:
            MarksSettings(url="postgresql+psycopg://me:secret@db/x")
        assert "secret" not in str(caught.value)

    def test_it_comes_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TALLYMARK_DATABASE_PASSWORD", "secret")
        url = database_url("postgresql+psycopg://me@db/x", "--database")
        assert url.password == "secret"
        assert MarkServer(url, "study").place == "postgresql+psycopg://me:***@db/x"

    @pytest.mark.parametrize("url", ["nonsense", "", "C:/marks.sqlite"])
    def test_what_is_no_address_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigError, match="no address of a database"):
            database_url(url, "--database")
        with pytest.raises(ConfigError, match="no address of a database"):
            MarksSettings(url=url)

    def test_an_unknown_kind_or_a_missing_driver_is_said(self) -> None:
        for url in ("nosuchdatabase://me@db/x", "mysql+nosuchdriver://me@db/x"):
            with pytest.raises(ConfigError, match="no driver for this kind"):
                store_at(url)

    def test_a_server_that_does_not_answer_is_a_storage_error(self) -> None:
        with pytest.raises(StorageError, match="cannot be used"):
            store_at("postgresql+psycopg://me@127.0.0.1:1/x").sets()


class TestStudies:
    """A study whose settings name a database."""

    def test_they_survive_being_written(self, tmp_path: Path) -> None:
        settings = StudySettings(name="a", structures=("x",), marks=MarksSettings(url="postgresql://me@db/x"))
        (tmp_path / "study.toml").write_text(settings.to_toml())
        assert StudySettings.from_toml(tmp_path / "study.toml") == settings

    def test_an_sqlite_address_is_a_file_with_all_its_promises(self, tmp_path: Path) -> None:
        cases, _ = write_images(tmp_path)
        settings = StudySettings(name="a", structures=("x",), marks=MarksSettings(url="sqlite:///elsewhere.sqlite"))
        study = Study.create(tmp_path / "study", settings, cases)
        study.marks.add_raster("c0", "hand", "x", ONE)
        assert study.marks.place == str(study.folder / "elsewhere.sqlite")
        assert not (study.folder / "marks.sqlite").exists()

    def test_marks_move_with_authors_order_and_what_was_taken_back(
        self, tmp_path: Path, in_postgres: Callable[[], str]
    ) -> None:
        cases, _ = write_images(tmp_path)
        study = Study.create(tmp_path / "study", StudySettings(name="a", structures=("x",)), cases)
        one, other = (Annotator(study.marks, "hand", name) for name in ("one", "other"))
        one.draw("c0", "x", Stroke(np.array([[0.0, 1.0]]), 1, (24, 36)), "u1")
        other.draw("c0", "x", Stroke(np.array([[2.0, 1.0]]), 1, (24, 36)), "u2")
        one.draw("c0", None, Stroke(np.array([[0.0, 1.0], [2.0, 1.0]]), 1, (24, 36)), "u3")
        one.retract("c0", "u3", "u4")
        study.marks.add_raster("c1", "e8", "x", ONE, origin="simulated")
        before = [study.marks.fingerprint(name, ["c0", "c1"]) for name in ("hand", "e8")]
        assert move_marks(study, in_postgres()) == 5
        again = Study.open(study.folder)
        assert again.marks.place.startswith("postgresql+psycopg://tester:***@")
        assert [again.marks.fingerprint(name, ["c0", "c1"]) for name in ("hand", "e8")] == before
        assert list(again.marks.sets()) == ["hand", "e8"]
        Annotator(again.marks, "hand", "one").restore("c0", "u3", "u5")
        assert np.argwhere(again.marks.labels("c0", "hand")["x"]).tolist() == [[2, 1]]
        assert (study.folder / "marks-moved.sqlite").exists()
        with pytest.raises(StudyError, match="in a database already"):
            move_marks(again, in_postgres())
        (study.folder / "marks-moved.sqlite").rename(study.folder / "marks.sqlite")
        with pytest.raises(StudyError, match="two places"):
            _ = Study.open(study.folder).marks

    def test_another_study_or_version_is_refused(
        self, in_postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = in_postgres()
        store_at(url).add_raster("a", "hand", "x", ONE)
        for use in (lambda store: store.sets(), lambda store: store.add_raster("a", "hand", "x", ONE)):
            with pytest.raises(StudyError, match="marks of another study; found 'study'; expected 'other'"):
                use(store_at(url, "other"))
        monkeypatch.setattr(mark_server, "_VERSION", 4)
        with pytest.raises(ReadError, match="another format; found 3; expected 4"):
            store_at(url).sets()


_FOREVER = """
import sys
import numpy as np
from tallymark.data.database_url import database_url
from tallymark.data.mark_server import MarkServer
from tallymark.data.marks import MarkStore
store = MarkStore(MarkServer(database_url(sys.argv[1], "test"), "study"))
number = int(sys.argv[2])
while True:
    store.add_raster(f"c{number}", "first", "lesion", np.eye(50, dtype=bool), uuid=f"{number}")
    number += 1
    print(number, flush=True)
"""


class TestKills:
    """A mark that was acknowledged is there after any death."""

    @pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.full)])
    @pytest.mark.parametrize("victim", ["client", "server"])
    def test_a_kill_in_the_middle_loses_no_acknowledged_mark(
        self, cluster: Cluster, in_postgres: Callable[[], str], kills: int, victim: str
    ) -> None:
        url, acknowledged = in_postgres(), 0
        for attempt in range(kills):
            command = [sys.executable, "-c", _FOREVER, url, str(acknowledged)]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
            with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
                first = process.stdout.readline()
                time.sleep(0.01 + 0.0013 * attempt)
                if victim == "server":
                    cluster.stop("immediate")
                process.send_signal(signal.SIGKILL)
                lines = (first + process.stdout.read()).split("\n")
            if victim == "server":
                cluster.start()
            acknowledged = max([acknowledged, *(int(line) for line in lines[:-1] if line)])
            fresh = store_at(url)
            marks = fresh.sets()["first"].marks
            assert acknowledged <= marks <= acknowledged + 1
            assert fresh.labels(f"c{marks - 1}", "first")["lesion"].sum() == 50
        assert acknowledged >= kills

    def test_a_store_goes_on_when_the_server_is_back(self, cluster: Cluster, in_postgres: Callable[[], str]) -> None:
        store = store_at(in_postgres())
        held = store.tables.hold()
        store.add_raster("a", "first", "lesion", ONE)
        cluster.stop("immediate")
        with pytest.raises(StorageError, match="cannot be used"):
            store.add_raster("b", "first", "lesion", ONE)
        cluster.start()
        store.add_raster("b", "first", "lesion", ONE)
        assert store.sets()["first"].marks == 2
        assert held is not None
        held.close()
        assert PASSWORD not in store.place
