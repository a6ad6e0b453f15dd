"""Nobody gets in who was not let in, and nothing is reached that is not the page or its interface."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Iterator

import pytest
from httpx2 import InvalidURL
from starlette.testclient import TestClient

from marking_study import ORIGIN, Visitor, stroke
from tallymark.marking.app import create_app
from tallymark.marking.desk import Desk
from tallymark.marking.gate import OneTimeToken, Rate


@pytest.fixture
def token() -> OneTimeToken:
    return OneTimeToken()


@pytest.fixture
def stranger(desk: Desk, token: OneTimeToken) -> TestClient:
    return TestClient(create_app(desk, token, (ORIGIN,)), base_url=ORIGIN, headers={"origin": ORIGIN})


def test_the_token_lets_one_browser_in(stranger: TestClient, token: OneTimeToken) -> None:
    assert stranger.get("/api/session").status_code == 401
    assert stranger.post("/api/enter", json={"token": "guess"}).status_code == 403
    answer = stranger.post("/api/enter", json={"token": token.value})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert stranger.get("/api/session").status_code == 200
    stranger.cookies.clear()
    assert stranger.post("/api/enter", json={"token": token.value}).status_code == 403  # stolen
    assert stranger.get("/api/session").status_code == 401


def test_guessing_is_slowed_down(stranger: TestClient) -> None:
    answers = [stranger.post("/api/enter", json={"token": str(number)}).status_code for number in range(12)]
    assert answers == [403] * 10 + [429] * 2


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:8701", "", "127.0.0.1:8700.evil.example"])
def test_another_host_is_refused(visitor: Visitor, host: str) -> None:
    assert visitor.client.get("/", headers={"host": host}).status_code == 421
    assert visitor.client.get("/api/session", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8701", "https://127.0.0.1:8700"])
def test_another_page_is_refused(visitor: Visitor, desk: Desk, key: str, origin: str) -> None:
    body = {"events": [stroke(key)]}
    assert visitor.client.post("/api/marks", json=body, headers={"origin": origin}).status_code == 403
    del visitor.client.headers["origin"]
    assert visitor.client.post("/api/marks", json=body).status_code == 403
    headers = {"sec-fetch-site": "cross-site"}
    assert visitor.client.get("/api/session", headers=headers).status_code == 403
    assert desk.store.sets() == {}


def test_a_change_needs_the_word_of_the_session(visitor: Visitor, desk: Desk, key: str) -> None:
    for word in (b"", b"guess", "ä".encode()):
        headers = {"x-tallymark-csrf": word}
        assert visitor.client.post("/api/marks", json={"events": [stroke(key)]}, headers=headers).status_code == 403
    assert desk.store.sets() == {}


def test_a_form_is_no_request(visitor: Visitor) -> None:
    assert visitor.client.post("/api/marks", data={"events": "x"}).status_code == 415
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert visitor.client.request(method, "/api/marks").status_code == 405


def test_a_flood_is_refused(visitor: Visitor) -> None:
    headers = {"content-type": "application/json"}
    assert visitor.client.post("/api/marks", content=b"[" * (5 << 20), headers=headers).status_code == 413

    def endless() -> Iterator[bytes]:  # of no announced length
        for _ in range(6):
            yield b" " * (1 << 20)

    assert visitor.client.post("/api/marks", content=endless(), headers=headers).status_code >= 400
    assert visitor.client.post("/api/marks", json={"events": [{}] * 201}).status_code == 422
    assert visitor.client.post("/api/marks", content=b"[" * 100_000, headers=headers).status_code >= 400


def test_too_many_requests_are_refused() -> None:
    now = 0.0
    rate = Rate(per_second=2, burst=3, clock=lambda: now)
    assert [rate.allows("a") for _ in range(4)] == [True, True, True, False]
    now = 1.0
    assert [rate.allows("a") for _ in range(3)] == [True, True, False]


def test_every_answer_carries_the_headers(visitor: Visitor) -> None:
    for path in ("/", "/api/session", "/nowhere"):
        headers = visitor.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


_ALPHABET = string.ascii_letters + string.digits + "/.%\\?#&=;'\"<>{}[]|^~`$ äø€\u202e\U0001f600-_"
_PARTS = [
    *(
        "..",
        "../..",
        "%2e%2e",
        "%2e%2e%2f",
        "..%5c",
        "....//",
        "/etc/passwd",
        "study.toml",
        "marks.sqlite",
        "cases.csv",
    ),
    *(
        "'; DROP TABLE mark; --",
        "1 OR 1=1",
        "%00",
        "Room 12 bed 0.png",
        "static",
        "app.py",
        "file:" + "//",
        "\\\\host\\share",
    ),
]
_PLACES = ["/", "/api/", "/api/cases/", "/api/cases/{}/planes/", "//", "/static/", "/api/cases/x/../../"]


def hostile_path(rng: random.Random, key: str) -> str:
    parts = [rng.choice(_PARTS) if rng.random() < 0.7 else "".join(rng.choices(_ALPHABET, k=6)) for _ in range(3)]
    return rng.choice(_PLACES).format(key) + rng.choice(("/", "", "%2f")).join(parts)


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.full)])
def test_no_path_reaches_a_file(visitor: Visitor, desk: Desk, key: str, count: int) -> None:
    rng = random.Random(count)
    page = visitor.client.get("/").content
    for _ in range(count):
        path = hostile_path(rng, key)
        try:
            answer = visitor.client.get(path)
        except InvalidURL:
            continue  # the client itself refuses some of them
        assert answer.status_code in (200, 404, 405, 421, 422, 429), path
        if answer.status_code == 200:
            assert answer.content == page or answer.headers["content-type"] == "application/json", path
        for secret in (b"root:", b"structures =", b"SQLite format", b"sha256"):
            assert secret not in answer.content, path
    assert desk.store.sets() == {}


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.full)])
def test_no_event_breaks_what_is_stored(visitor: Visitor, desk: Desk, key: str, count: int) -> None:
    rng = random.Random(count)
    values = [None, True, -1, 1e308, "", "'; DROP TABLE mark; --", "x" * 9999, [], {}, [[]], [[1, 2]] * 3, "ä\ud800"]
    good = 0
    for _ in range(count):
        event = stroke(key)
        for name in rng.sample([*event, "target", "outcome", "seconds", "reason", "__proto__"], k=rng.randint(1, 4)):
            event[name] = rng.choice(values)
        kept = stroke(key)
        body = json.dumps({"events": [event, kept]})
        headers = {"content-type": "application/json"}
        answer = visitor.client.post("/api/marks", content=body, headers=headers)
        assert answer.status_code == 200, event
        assert kept["id"] in answer.json()["saved"]
        good += len(answer.json()["saved"])
    assert desk.store.sets()["hand"].marks == good
    assert desk.store.labels("Room 12 bed 0", "hand")["lesion"].any()
