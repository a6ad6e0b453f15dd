"""A study to mark, and a way in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from marking_study import ORIGIN, Visitor, make_study
from tallymark.data.study import Study
from tallymark.marking.app import create_app
from tallymark.marking.desk import Desk
from tallymark.marking.gate import OneTimeToken
from tallymark.marking.settings import MarkingSettings, case_key


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


@pytest.fixture
def desk(study: Study) -> Iterator[Desk]:
    desk = Desk(study, MarkingSettings(author="reader"))
    yield desk
    desk.close()


@pytest.fixture
def visitor(desk: Desk) -> Visitor:
    token = OneTimeToken()
    return Visitor(TestClient(create_app(desk, token, (ORIGIN,)), base_url=ORIGIN), token.value)


@pytest.fixture
def key(desk: Desk) -> str:
    return case_key(desk.cases[0])
