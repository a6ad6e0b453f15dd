"""A reviewer sees what others marked, accepts it or sends it back, and the audit log knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from marking_study import stroke
from tallymark.data.annotations import Annotator
from tallymark.data.study import Study
from tallymark.marking.desk import Desk
from tallymark.marking.settings import MarkingSettings, case_key
from tallymark.marking.team import Team

from .test_team import Member


@pytest.fixture
def team_desk(study: Study, team: Team) -> Iterator[Desk]:
    desk = Desk(study, MarkingSettings(overlap=1), team)
    yield desk
    desk.close()


def visit(key: str, outcome: str = "done") -> dict[str, Any]:
    return {"id": str(uuid4()), "case": key, "kind": "visit", "outcome": outcome, "seconds": 2}


def verdict(key: str, of: str, outcome: str, reason: str = "") -> dict[str, Any]:
    return {"id": str(uuid4()), "case": key, "kind": "verdict", "of": of, "outcome": outcome, "reason": reason}


def send(member: Member, *events: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = member.client.post("/api/marks", json={"events": list(events)}).json()
    return answer


def waiting(member: Member) -> list[tuple[str, str]]:
    answer = member.client.post("/api/next", json={"count": 20, "review": True}).json()["next"]
    return [(entry["key"], entry["reason"]) for entry in answer]


def test_what_is_sent_back_comes_first_and_what_is_accepted_is_done(study: Study, team_desk: Desk, team: Team) -> None:
    ann, bob, eve = (Member(team_desk, name) for name in ("ann", "bob", "eve"))
    key, other = (case_key(case) for case in team_desk.cases[:2])
    send(ann, stroke(key), visit(key))
    send(bob, stroke(key, [[50, 50]]), visit(key))
    send(bob, stroke(other, [[50, 50]]), visit(other, "skip"))
    assert waiting(eve) == [(key, "to be reviewed: ann, bob")]
    layers = eve.client.get(f"/api/cases/{key}/layers").json()["layers"]
    assert [(layer["author"], layer["outcome"], layer["verdict"]) for layer in layers] == [
        ("ann", "done", None),
        ("bob", "done", None),
    ]
    assert [layer["marks"][0]["points"] for layer in layers] == [[[60, 60]], [[50, 50]]]
    accepted, returned = verdict(key, "ann", "accepted"), verdict(key, "bob", "returned", "only half of it")
    for _ in range(2):  # a retry is no second verdict
        assert send(eve, accepted, returned)["refused"] == []
    assert waiting(eve) == []
    assert key not in ann.next()
    first = bob.client.post("/api/next", json={}).json()["next"][0]
    assert first == {"key": key, "reason": "sent back by eve: only half of it"}
    said = [(user, action, detail) for _, user, action, detail in team.audit()]
    assert said[-2:] == [("eve", "accepted", f"ann: {key}"), ("eve", "returned", f"bob: {key}")]
    send(bob, stroke(key, [[70, 70]]), visit(key))
    assert waiting(eve) == [(key, "to be reviewed: bob")]
    people = {person["name"]: person for person in eve.client.get("/api/team").json()["people"]}
    assert (people["ann"]["accepted"], people["bob"]["returned"]) == (1, 0)
    assert Annotator(study.marks, "hand", "eve").history("Room 12 bed 0") == ()  # a verdict marks nothing


def test_only_reviewers_judge_and_only_what_others_finished(study: Study, team_desk: Desk) -> None:
    ann, eve = Member(team_desk, "ann"), Member(team_desk, "eve")
    key = case_key(team_desk.cases[0])
    send(ann, stroke(key), visit(key))
    send(eve, stroke(key), visit(key))
    assert send(ann, verdict(key, "eve", "accepted"))["refused"][0]["reason"] == "this is for reviewers"
    assert ann.client.get(f"/api/cases/{key}/layers").status_code == 403
    assert [entry[0] for entry in waiting(ann)] != [key]  # asking for reviews, an annotator gets what is to be marked
    for of in ("eve", "nobody", "' OR 1=1 --"):
        assert "nothing of this person" in send(eve, verdict(key, of, "accepted"))["refused"][0]["reason"]
    assert Annotator(study.marks, "hand", "").progress()["Room 12 bed 0"].verdicts == {}
