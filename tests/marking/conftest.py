"""A study to mark, and a way in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright
from starlette.testclient import TestClient

from browsing import Marker, Server, chromium, launched, marking, playwright
from marking_study import ORIGIN, PASSWORD, Visitor, make_study
from tallymark.data.study import Study
from tallymark.marking.app import create_app
from tallymark.marking.desk import Desk
from tallymark.marking.gate import OneTimeToken
from tallymark.marking.settings import MarkingSettings, case_key
from tallymark.marking.team import Team


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


@pytest.fixture
def desk(study: Study) -> Iterator[Desk]:
    desk = Desk(study, MarkingSettings(author="reader"))
    yield desk
    desk.close()


@pytest.fixture
def team(study: Study) -> Iterator[Team]:
    team = Team(study.settings.marks.url or study.folder / "team.sqlite")
    for name, role in (("ann", "annotator"), ("bob", "annotator"), ("eve", "reviewer")):
        team.add(name, role, PASSWORD)
    yield team
    team.close()


@pytest.fixture
def visitor(desk: Desk) -> Visitor:
    token = OneTimeToken()
    return Visitor(TestClient(create_app(desk, token, (ORIGIN,)), base_url=ORIGIN), token.value)


@pytest.fixture
def key(desk: Desk) -> str:
    return case_key(desk.cases[0])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Study, Server, list[Any]]]:
    """A study and its server for all tests that kill nothing, and what a browser that was let in holds."""
    study = make_study(tmp_path_factory.mktemp("served"), count=8)
    server = Server(study.folder, "--author", "reader")
    server.start()
    yield study, server, []
    server.kill()


@pytest.fixture
def marker(browser: Browser, served: tuple[Study, Server, list[Any]]) -> Iterator[Marker]:
    yield from marking(browser, *served)


@pytest.fixture(scope="module")
def started() -> Iterator[Playwright]:
    chromium()
    with playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(started: Playwright) -> Iterator[Browser]:
    browser = launched(started)
    yield browser
    browser.close()


@pytest.fixture
def serving() -> Iterator[Callable[..., Server]]:
    """Starts servers, and ends them whatever becomes of the test."""
    servers: list[Server] = []

    def start(study: Study, *options: str, port: int | None = None) -> Server:
        servers.append(Server(study.folder, *options, port=port))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def own(tmp_path: Path, serving: Callable[..., Server]) -> tuple[Study, Server]:
    """A study and a server that a test may kill."""
    study = make_study(tmp_path)
    return study, serving(study, "--author", "reader")
