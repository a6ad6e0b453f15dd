"""Several people, each with a name, a layer and images of their own; nothing beyond this machine without safety."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
import sqlalchemy
from starlette.testclient import TestClient
from typer.testing import CliRunner

from marking_study import ORIGIN, PASSWORD, make_study, stroke
from tallymark.cli.app import app
from tallymark.data.study import Study
from tallymark.errors import ConfigError, StorageError
from tallymark.marking.app import create_app
from tallymark.marking.desk import Desk
from tallymark.marking.gate import OneTimeToken
from tallymark.marking.settings import MarkingSettings, case_key
from tallymark.marking.team import LEASE_SECONDS, Team


@pytest.fixture(params=["file", "postgresql"])
def study(tmp_path: Path, request: pytest.FixtureRequest) -> Study:
    url = None if request.param == "file" else request.getfixturevalue("in_postgres")()
    return make_study(tmp_path, url=url)


@pytest.fixture
def team_desk(study: Study, team: Team) -> Iterator[Desk]:
    desk = Desk(study, MarkingSettings(overlap=0), team)
    yield desk
    desk.close()


class Member:
    """Someone who signed in."""

    def __init__(self, desk: Desk, name: str, password: str = PASSWORD, client: TestClient | None = None) -> None:
        served = create_app(desk, OneTimeToken(), (ORIGIN,))
        self.client = client or TestClient(served, base_url=ORIGIN, headers={"origin": ORIGIN})
        self.status = self.client.post("/api/login", json={"user": name, "password": password}).status_code
        if self.status == 200:
            self.session = self.client.get("/api/session").json()
            self.client.headers["x-tallymark-csrf"] = self.session["csrf"]

    def next(self, count: int = 20) -> list[str]:
        return [entry["key"] for entry in self.client.post("/api/next", json={"count": count}).json()["next"]]


class TestDoor:
    """Names and passwords."""

    def test_who_has_an_account_comes_in(self, team_desk: Desk, team: Team) -> None:
        assert Member(team_desk, "ann").session["user"] == "ann"
        assert Member(team_desk, "ann", "wrong password!").status == 403
        assert Member(team_desk, "mallory").status == 403
        assert Member(team_desk, "ann' OR '1'='1").status == 403
        team.disable("ann")
        assert Member(team_desk, "ann").status == 403
        actions = [(user, action) for _, user, action, _ in team.audit()]
        assert actions[3:6] == [("ann", "login"), ("ann", "refused"), ("mallory", "refused")]
        assert actions[-2:] == [("ann", "disabled"), ("ann", "refused")]

    def test_the_one_time_token_opens_nothing_here(self, team_desk: Desk) -> None:
        token = OneTimeToken()
        client = TestClient(create_app(team_desk, token, (ORIGIN,)), base_url=ORIGIN, headers={"origin": ORIGIN})
        assert client.post("/api/enter", json={"token": token.value}).status_code == 403
        answer = client.get("/api/session")
        assert (answer.status_code, answer.json()["door"]) == (401, "login")

    def test_a_restart_keeps_people_in_and_signing_out_does_not(self, study: Study, team: Team) -> None:
        desk = Desk(study, MarkingSettings(), team)
        ann = Member(desk, "ann")
        again = TestClient(create_app(desk, OneTimeToken(), (ORIGIN,)), base_url=ORIGIN, headers={"origin": ORIGIN})
        again.cookies.update(ann.client.cookies)
        assert again.get("/api/session").json()["csrf"] == ann.session["csrf"]
        again.headers["x-tallymark-csrf"] = ann.session["csrf"]
        kept = dict(again.cookies)
        assert again.post("/api/logout", json={}).status_code == 200
        again.cookies.update(kept)
        assert again.get("/api/session").status_code == 401
        desk.close()

    def test_guessing_is_slowed_down(self, team_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Team, "check", lambda *_: None)  # argon2 is slow by itself, above all on a busy machine
        client = Member(team_desk, "ann", "wrong").client
        statuses = [Member(team_desk, "ann", "wrong", client).status for _ in range(16)]
        assert statuses[-1] == 429

    def test_passwords_are_kept_as_argon2_alone(self, team: Team) -> None:
        engine = sqlalchemy.create_engine(team.url)
        with engine.connect() as connection:
            (stored,) = connection.execute(sqlalchemy.text("SELECT password FROM \"user\" WHERE name = 'ann'")).one()
        engine.dispose()
        assert stored.startswith("$argon2id$")
        assert PASSWORD not in stored

    def test_bad_accounts_are_refused(self, team: Team) -> None:
        for name, role, password in (("x", "king", PASSWORD), ("", "admin", PASSWORD), ("x", "admin", "short")):
            with pytest.raises(ConfigError):
                team.add(name, role, password)
        with pytest.raises(ConfigError):
            team.disable("nobody")
        for url in ("nosuchdatabase://user@host/x", "postgresql+psycopg://user:secret@host/x"):
            with pytest.raises(ConfigError) as caught:
                Team(url)
            assert "secret" not in str(caught.value)
        with pytest.raises(StorageError, match="cannot be opened"):
            Team("postgresql+psycopg://user@127.0.0.1:1/x")


class TestAccounts:
    """What an admin of the page does to accounts, and nobody else."""

    @pytest.fixture
    def chief(self, team_desk: Desk, team: Team) -> Member:
        team.add("chief", "admin", PASSWORD)
        return Member(team_desk, "chief")

    @pytest.fixture
    def ann(self, chief: Member, team_desk: Desk) -> Member:
        """Someone at the same server, which remembers the session."""
        client = TestClient(chief.client.app, base_url=ORIGIN, headers={"origin": ORIGIN})
        ann = Member(team_desk, "ann", client=client)
        assert ann.status == 200
        return ann

    @staticmethod
    def change(member: Member, name: str, act: str, **more: str) -> httpx2.Response:
        return member.client.post("/api/accounts/change", json={"name": name, "act": act, **more})

    @staticmethod
    def listed(member: Member) -> dict[str, tuple[str, bool]]:
        accounts = member.client.get("/api/accounts").json()["accounts"]
        return {account["name"]: (account["role"], account["active"]) for account in accounts}

    def test_only_admins_see_and_change_them(self, chief: Member, team_desk: Desk, team: Team) -> None:
        before = team.users()
        for member in (Member(team_desk, "ann"), Member(team_desk, "eve")):
            assert member.client.get("/api/accounts").status_code == 403
            made = member.client.post("/api/accounts", json={"name": "mallory", "role": "admin"})
            assert made.status_code == 403
            assert self.change(member, "ann", "role", role="admin").status_code == 403
        chief.client.headers["x-tallymark-csrf"] = "guess"
        assert self.change(chief, "ann", "block").status_code == 403
        assert team.users() == before == self.listed(chief)

    def test_a_new_account_comes_in_with_the_password_that_was_told(
        self, chief: Member, team_desk: Desk, team: Team
    ) -> None:
        made = chief.client.post("/api/accounts", json={"name": "zoe", "role": "reviewer"}).json()
        assert Member(team_desk, "zoe", made["password"]).session["role"] == "reviewer"
        assert self.listed(chief)["zoe"] == ("reviewer", True)
        for name, status in (("ann", 409), (" x", 409), ("a\nb", 409), ("", 422), ("x" * 101, 422)):
            refused = chief.client.post("/api/accounts", json={"name": name, "role": "admin"})
            assert refused.status_code == status, name
        assert chief.client.post("/api/accounts", json={"name": "yan", "role": "king"}).status_code == 422
        assert team.users() == {
            "ann": ("annotator", True),
            "bob": ("annotator", True),
            "chief": ("admin", True),
            "eve": ("reviewer", True),
            "zoe": ("reviewer", True),
        }
        assert team.check("ann", PASSWORD) == "annotator"

    def test_who_is_blocked_is_out_at_once_and_in_again_when_let(
        self, chief: Member, ann: Member, team_desk: Desk
    ) -> None:
        assert ann.client.get("/api/session").status_code == 200
        assert self.change(chief, "ann", "block").json() == {}
        assert ann.client.get("/api/session").status_code == 401
        assert self.listed(chief)["ann"] == ("annotator", False)
        assert Member(team_desk, "ann").status == 403
        assert self.change(chief, "ann", "unblock").json() == {}
        assert ann.client.get("/api/session").status_code == 401  # not by the session of before
        assert Member(team_desk, "ann").status == 200

    def test_a_new_password_ends_what_the_old_one_opened(self, chief: Member, ann: Member, team_desk: Desk) -> None:
        password = self.change(chief, "ann", "password").json()["password"]
        assert ann.client.get("/api/session").status_code == 401
        assert Member(team_desk, "ann").status == 403
        assert Member(team_desk, "ann", password).status == 200

    def test_another_role_counts_at_once(self, chief: Member, ann: Member) -> None:
        assert ann.client.get("/api/team").status_code == 403
        assert self.change(chief, "ann", "role", role="reviewer").status_code == 200
        assert ann.client.get("/api/team").status_code == 200

    def test_nobody_changes_the_own_account_and_all_that_is_done_is_recorded(self, chief: Member, team: Team) -> None:
        before = len(team.audit())
        for act in ("block", "role", "password"):
            refused = self.change(chief, "chief", act)
            assert (refused.status_code, "your own account" in refused.json()["error"]) == (409, True)
        assert self.change(chief, "nobody", "block").status_code == 409
        assert self.change(chief, "ann", "delete").status_code == 422
        assert team.users()["chief"] == ("admin", True)
        assert len(team.audit()) == before
        password = chief.client.post("/api/accounts", json={"name": "zoe", "role": "annotator"}).json()["password"]
        for act in ("password", "block", "unblock"):
            assert self.change(chief, "zoe", act).status_code == 200
        self.change(chief, "zoe", "role", role="admin")
        assert [line[1:] for line in team.audit()[before:]] == [
            ("chief", "account", "zoe: annotator"),
            ("chief", "password", "zoe"),
            ("chief", "disabled", "zoe"),
            ("chief", "enabled", "zoe"),
            ("chief", "role", "zoe: admin"),
        ]
        assert password not in str(team.audit())


class TestWork:
    """Who marks what."""

    def test_nobody_marks_what_another_has_before_them(self, team_desk: Desk, team: Team) -> None:
        ann, bob = Member(team_desk, "ann"), Member(team_desk, "bob")
        hers = ann.next(2)
        assert set(hers).isdisjoint(bob.next())
        assert len(bob.next()) == 2
        assert set(ann.next(2)) == set(hers)
        team.lease("hand", [], "ann")
        later = team.leased("hand", "bob", now=time.time() + LEASE_SECONDS + 5)
        assert later == set()  # who goes home gives the images back

    def test_what_one_finished_another_need_not_do(self, team_desk: Desk) -> None:
        ann, bob = Member(team_desk, "ann"), Member(team_desk, "bob")
        key = ann.next(1)[0]
        visit = {"id": str(uuid4()), "case": key, "kind": "visit", "outcome": "done", "seconds": 2}
        ann.client.post("/api/marks", json={"events": [stroke(key), visit]})
        assert key not in bob.next()

    def test_on_the_overlap_all_mark_in_layers_of_their_own_and_agreement_is_told(
        self, study: Study, team: Team
    ) -> None:
        desk = Desk(study, MarkingSettings(overlap=1), team)
        ann, bob, eve = (Member(desk, name) for name in ("ann", "bob", "eve"))
        assert ann.next() == bob.next()
        key = case_key(desk.cases[0])
        for member, row in ((ann, 55), (bob, 65)):
            member.client.post("/api/marks", json={"events": [stroke(key, [[row, 60]])]})
        layers = [study.marks.labels("Room 12 bed 0", "hand", name)["lesion"] for name in ("ann", "bob")]
        assert not (layers[0] & layers[1]).any()
        assert len(ann.client.get(f"/api/cases/{key}").json()["marks"]) == 1
        told = eve.client.get("/api/team").json()
        assert [person["name"] for person in told["people"]] == ["ann", "bob"]
        assert told["agreement"]["pairs"] == 1
        assert told["agreement"]["dice"] > 0.8  # both dots lead to the same disc
        assert ann.client.get("/api/team").status_code == 403
        desk.close()


class TestBeyondThisMachine:
    """It refuses to start where it would not be safe."""

    @pytest.mark.parametrize(
        ("settings", "users", "match"),
        [
            ({"host": "0.0.0.0"}, 0, "without a name"),
            ({"host": "0.0.0.0"}, 2, "in the clear"),
            ({"host": "192.0.2.7", "public": "https://a.example"}, 2, "in the clear"),
            ({"host": "0.0.0.0", "behind_proxy": True}, 2, "under which address"),
            ({"host": "0.0.0.0", "behind_proxy": True, "public": "http://a.example"}, 2, "under which address"),
            ({"behind_proxy": True, "public": "https://a.example"}, 0, "without a name"),
        ],
    )
    def test_it_is_refused(self, settings: dict[str, object], users: int, match: str) -> None:
        with pytest.raises(ConfigError, match=match):
            MarkingSettings(**settings).origins(users)  # type: ignore[arg-type]

    def test_with_users_and_tls_it_is_served(self) -> None:
        proxied = MarkingSettings(host="0.0.0.0", behind_proxy=True, public="https://mark.clinic.example/")
        assert proxied.origins(1) == ("https://mark.clinic.example",)
        own = {"certificate": Path("a.pem"), "private_key": Path("a.key"), "public": "https://mark.example:8700"}
        assert MarkingSettings(host="0.0.0.0", **own).origins(1) == ("https://mark.example:8700",)  # type: ignore[arg-type]
        assert MarkingSettings().origins(0) == ("http://127.0.0.1:8700", "http://localhost:8700")

    def test_the_command_refuses_in_one_line(self, tmp_path: Path) -> None:
        study = make_study(tmp_path)
        from tallymark.cli import main

        for words in (["--host", "0.0.0.0"], ["--team"], ["--port", "1", "--host", "203.0.113.1", "--team"]):
            with pytest.raises(SystemExit) as stopped:
                main(["mark", str(study.folder), "--no-browser", *words])
            assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("words", "splits"),
    [
        ([], ("train", "select", "calibrate")),
        (["--split", "test"], ["test"]),
        (["--split", "all"], ("train", "select", "calibrate", "test")),
    ],
)
def test_the_test_images_are_marked_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], splits: Sequence[str]
) -> None:
    study = make_study(tmp_path)
    asked: list[MarkingSettings] = []
    monkeypatch.setattr("tallymark.marking.server.serve", lambda _study, settings, *_: asked.append(settings))
    assert CliRunner().invoke(app, ["mark", str(study.folder), *words]).exit_code == 0
    assert asked[0].splits == splits
    refused = CliRunner().invoke(app, ["mark", str(study.folder), "--split", "all", "--split", "most"])
    assert "train, select, calibrate, test, or all" in str(refused.exception)


def test_accounts_from_the_command_line(study: Study, tmp_path: Path) -> None:
    runner = CliRunner()
    (tmp_path / "password").write_text(PASSWORD + "\n")
    folder = str(study.folder)
    made = json.loads(runner.invoke(app, ["team", "add", folder, "ann", "--json"]).output)
    assert len(made["password"]) >= 10
    words = ["team", "add", folder, "bob", "--role", "admin", "--password-file", str(tmp_path / "password")]
    assert runner.invoke(app, words).exit_code == 0
    assert runner.invoke(app, ["team", "disable", folder, "ann"]).exit_code == 0
    listed = json.loads(runner.invoke(app, ["team", "list", folder, "--json"]).output)["users"]
    assert listed == [
        {"name": "ann", "role": "annotator", "active": False},
        {"name": "bob", "role": "admin", "active": True},
    ]
    audit = json.loads(runner.invoke(app, ["team", "audit", folder, "--json"]).output)["audit"]
    assert [line["action"] for line in audit] == ["account", "account", "disabled"]
    team = Team(study.settings.marks.url or study.folder / "team.sqlite")
    assert team.check("bob", PASSWORD) == "admin"
    team.close()
