"""Images go out whole, marks come in and stay, whatever is sent."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import numpy as np
import pytest
import SimpleITK
from starlette.testclient import TestClient

from browsing import Server
from marking_study import ORIGIN, Visitor, make_study, stroke
from tallymark.data.images import read_image
from tallymark.data.marks import EXCLUDED
from tallymark.data.study import Case, Study, StudySettings
from tallymark.errors import ConfigError, StudyError
from tallymark.marking.app import create_app
from tallymark.marking.desk import Desk
from tallymark.marking.gate import OneTimeToken
from tallymark.marking.recording import Recorder
from tallymark.marking.settings import MarkingSettings, case_key


@pytest.fixture(params=["file", "postgresql"])
def study(tmp_path: Path, request: pytest.FixtureRequest) -> Study:
    url = None if request.param == "file" else request.getfixturevalue("in_postgres")()
    return make_study(tmp_path, url=url)


def samples(visitor: Visitor, key: str, plane: int = 0) -> tuple[dict[str, Any], np.ndarray]:
    about = visitor.client.get(f"/api/cases/{key}").json()
    answer = visitor.client.get(f"/api/cases/{key}/planes/{plane}")
    shape = about["rows"], about["columns"], about["channels"]
    return about, np.frombuffer(answer.content, about["type"]).reshape(shape)


class TestImages:
    """Samples at full depth."""

    def test_every_bit_of_an_image_arrives(self, visitor: Visitor, desk: Desk) -> None:
        for case, kind in zip(desk.cases, ("u1", "u2", "u1", "u2"), strict=True):
            about, found = samples(visitor, case_key(case))
            assert about["type"] == kind
            assert np.array_equal(found, read_image(case.image).pixels)

    def test_a_volume_goes_plane_by_plane_and_is_marked_so(self, tmp_path: Path) -> None:
        values = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5) - 30
        image = SimpleITK.GetImageFromArray(values)
        image.SetSpacing((0.5, 0.7, 2.0))
        SimpleITK.WriteImage(image, str(tmp_path / "a.nii.gz"))
        settings = StudySettings(name="v", structures=("organ",), image={"dimension": 3})
        case = Case("a", tmp_path / "a.nii.gz", split="train", spacing=(2.0, 0.7, 0.5))
        desk = Desk(Study.create(tmp_path / "study", settings, [case]), MarkingSettings())
        token = OneTimeToken()
        visitor = Visitor(TestClient(create_app(desk, token, (ORIGIN,)), base_url=ORIGIN), token.value)
        key = case_key(desk.cases[0])
        for plane in range(3):
            about, found = samples(visitor, key, plane)
            assert np.array_equal(found[..., 0], values[plane])
        assert about["spacing"] == [2.0, 0.7, 0.5]
        assert visitor.client.get(f"/api/cases/{key}/planes/3").status_code == 404
        assert visitor.send(stroke(key, [[1, 1]], plane=2, width=1))["refused"] == []
        assert len(visitor.send(stroke(key, [[1, 1]], width=1))["refused"]) == 1
        assert np.argwhere(desk.store.labels("a", "hand")["organ"]).tolist() == [[2, 1, 1]]
        desk.close()

    def test_no_address_names_a_person(self, visitor: Visitor) -> None:
        waiting = visitor.client.post("/api/next", json={"count": 9}).json()
        assert [len(entry["key"]) for entry in waiting["next"]] == [20] * 4
        assert visitor.client.get("/api/cases/Room 12 bed 0").status_code == 404


def test_no_log_names_a_person(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = make_study(tmp_path)
    (tmp_path / "Room 12 bed 1.png").write_bytes(b"no image")
    server = Server(study.folder, "--author", "reader")
    address, token = server.start().split("/#")
    origin = {"origin": address, "content-type": "application/json"}
    with httpx2.Client(base_url=address, headers=origin) as client:
        client.post("/api/enter", json={"token": token})
        client.headers["x-tallymark-csrf"] = client.get("/api/session").json()["csrf"]
        keys = [case_key(case) for case in study.cases]
        answers = [client.get(f"/api/cases/{key}").status_code for key in (*keys, "Room 12 bed 0")]
        answers.append(client.post("/api/marks", json={"events": [stroke(keys[0]), stroke(keys[1])]}).status_code)
        answers.append(client.post("/api/marks", content=b"{").status_code)
    assert answers == [200, 404, 200, 200, 404, 200, 422]
    assert server.process is not None
    server.process.kill()
    said, complained = server.process.communicate()[0], capfd.readouterr().err
    server.process = None
    assert "every stroke is kept" in said
    assert "Room 12" not in said + complained


class TestMarks:
    """What the server calls saved is on the disk."""

    def test_a_stroke_is_what_was_drawn(self, visitor: Visitor, desk: Desk, key: str) -> None:
        event = stroke(key, [[10, 10], [10, 30]], width=3)
        assert visitor.send(event) == {"saved": [event["id"]], "refused": []}
        labels = desk.store.labels("Room 12 bed 0", "hand", author="reader")
        assert labels["lesion"][9:12, 10:31].all()
        assert labels["lesion"].sum() == 3 * 21 + 6  # and the round ends
        (mark,) = visitor.client.get(f"/api/cases/{key}").json()["marks"]
        assert (mark["points"], mark["width"], mark["retracted"]) == ([[10, 10], [10, 30]], 3, 0)

    def test_sent_again_it_is_stored_once(self, visitor: Visitor, desk: Desk, key: str) -> None:
        event = stroke(key)
        for _ in range(3):
            assert visitor.send(event, event)["saved"] == [event["id"]] * 2
        assert desk.store.sets()["hand"].marks == 1
        assert visitor.send(event | {"width": 9})["refused"][0]["id"] == event["id"]

    def test_every_kind_of_event(self, visitor: Visitor, desk: Desk, key: str) -> None:
        first, second = stroke(key, [[5, 5]], width=1), stroke(key, [[7, 7]], width=1, structure=2)
        back = {"id": str(uuid4()), "case": key, "kind": "retract", "target": first["id"]}
        line = stroke(key, [[0, 0], [0, 9]], kind="diameter", structure=1)
        visit = {"id": str(uuid4()), "case": key, "kind": "visit", "outcome": "done", "seconds": 2.25}
        assert visitor.send(first, second, back, line, visit)["refused"] == []
        labels = desk.store.labels("Room 12 bed 0", "hand")
        assert {name: np.argwhere(mask).tolist() for name, mask in labels.items()} == {EXCLUDED: [[7, 7]]}
        nothing = {"id": str(uuid4()), "case": key, "kind": "nothing"}
        assert visitor.send(back | {"id": str(uuid4()), "kind": "restore"}, nothing)["refused"] == []
        labels = desk.store.labels("Room 12 bed 0", "hand")
        assert labels["lesion"].sum() == 1
        assert (labels[EXCLUDED] == ~labels["lesion"]).all()
        progress = visitor.client.post("/api/next", json={}).json()
        assert (progress["done"], progress["all"], progress["seconds"]) == (1, 4, 2.2)
        assert key not in [entry["key"] for entry in progress["next"]]

    @pytest.mark.parametrize(
        "changed",
        [
            {"points": []},
            {"points": [[0]]},
            {"points": [[0, "x"]]},
            {"points": [[1e9, 0]]},
            {"points": [[0, 0]] * 20_001},
            {"points": [[-50, -50]]},
            {"width": 0},
            {"width": -1},
            {"structure": 3},
            {"structure": -1},
            {"kind": "drop table"},
            {"id": "1; DROP TABLE mark"},
            {"case": "0" * 20},
            {"case": "../../../etc/passwd"},
            {"plane": -1},
            {"author": "someone else"},
        ],
    )
    def test_what_is_wrong_is_refused_and_holds_up_nothing(
        self, visitor: Visitor, desk: Desk, key: str, changed: dict[str, Any]
    ) -> None:
        good = stroke(key)
        answer = visitor.send(stroke(key) | changed, good)
        assert answer["saved"] == [good["id"]]
        assert len(answer["refused"]) == 1
        assert answer["refused"][0]["reason"]
        assert desk.store.sets()["hand"].marks == 1

    def test_numbers_that_are_none_are_refused(self, visitor: Visitor, key: str) -> None:
        for text in ("NaN", "Infinity", "1e999"):
            body = (
                f'{{"events": [{{"id": "{uuid4()}", "case": "{key}", "kind": "stroke", "structure": 0,'
                f' "points": [[{text}, 1]], "width": 3}}]}}'
            )
            headers = {"content-type": "application/json"}
            answer = visitor.client.post("/api/marks", content=body, headers=headers)
            assert answer.status_code == 422 or answer.json()["saved"] == []

    def test_names_are_no_statements(self, study: Study) -> None:
        author, mark_set = "x'); DROP TABLE mark; --", "a' OR '1'='1"
        desk, token = Desk(study, MarkingSettings(author=author, mark_set=mark_set)), OneTimeToken()
        visitor = Visitor(TestClient(create_app(desk, token, (ORIGIN,)), base_url=ORIGIN), token.value)
        key = case_key(desk.cases[0])
        assert visitor.send(stroke(key))["refused"] == []
        assert len(visitor.client.get(f"/api/cases/{key}").json()["marks"]) == 1
        assert visitor.client.post("/api/next", json={}).json()["next"][0]["reason"] == "begun, not finished"
        assert {name: found.marks for name, found in study.marks.sets().items()} == {mark_set: 1}
        assert study.marks.labels("Room 12 bed 0", mark_set, author)["lesion"].any()
        desk.close()

    def test_many_at_once_lose_nothing(self, visitor: Visitor, desk: Desk, key: str) -> None:
        saved: list[str] = []

        def work() -> None:
            for _ in range(10):
                saved.extend(Recorder(desk).store([stroke(key)], "reader", "annotator")["saved"])

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(saved)) == desk.store.sets()["hand"].marks == 80

    def test_a_full_disk_is_said_and_kept_for_later(
        self, visitor: Visitor, desk: Desk, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tallymark.errors import StorageError

        def full(*_: object) -> None:
            raise StorageError("the database cannot be used")

        with monkeypatch.context() as patch:
            patch.setattr(desk.store, "append", full)
            assert visitor.client.post("/api/marks", json={"events": [stroke(key)]}).status_code == 503
        assert visitor.send(stroke(key))["refused"] == []


class TestNext:
    """Which image comes next."""

    def test_begun_and_skipped_images_come_later(self, visitor: Visitor, desk: Desk) -> None:
        keys = [case_key(case) for case in desk.cases]
        visit = {"kind": "visit", "seconds": 1, "reason": "too dark"}
        visitor.send(
            stroke(keys[0]),
            visit | {"id": str(uuid4()), "case": keys[1], "outcome": "skip"},
            visit | {"id": str(uuid4()), "case": keys[2], "outcome": "unsure"},
        )
        answer = visitor.client.post("/api/next", json={"count": 9}).json()
        assert [(entry["key"], entry["reason"]) for entry in answer["next"]] == [
            (keys[0], "begun, not finished"),
            (keys[3], "unmarked"),
            (keys[1], "skipped before"),
        ]
        answer = visitor.client.post("/api/next", json={"count": 1, "without": [keys[0]]}).json()
        assert answer["next"][0]["key"] == keys[3]


class TestRefusals:
    """A study that cannot be marked so is refused at the start."""

    def test_simulated_marks_are_not_added_to(self, study: Study) -> None:
        study.marks.add_raster("Room 12 bed 0", "e8", "lesion", np.ones((120, 160), bool), origin="simulated")
        with pytest.raises(StudyError, match="simulated"):
            Desk(study, MarkingSettings(mark_set="e8"))

    def test_a_split_without_images(self, study: Study) -> None:
        with pytest.raises(StudyError, match="no image is to be marked"):
            Desk(study, MarkingSettings(splits=("test",)))

    def test_settings_that_cannot_be(self) -> None:
        for settings in ({"splits": ("training",)}, {"splits": ()}, {"blind": 1.5}, {"mark_set": " "}):
            with pytest.raises(ConfigError):
                MarkingSettings(**settings)
