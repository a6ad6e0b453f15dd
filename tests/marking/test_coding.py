"""Samples survive the way over a network bit for bit, and are small."""

from __future__ import annotations

import gzip
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from starlette.testclient import TestClient

from marking_study import PASSWORD
from tallymark.data.study import Study
from tallymark.marking.app import create_app
from tallymark.marking.coding import CODING_HEADER, Kept, encode
from tallymark.marking.desk import Desk
from tallymark.marking.gate import OneTimeToken
from tallymark.marking.growing import loaded
from tallymark.marking.settings import MarkingSettings, case_key
from tallymark.marking.team import Team
from tallymark.marking.workers import Workers


def decoded(content: bytes, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """What the page does, as a slow loop."""
    planes = np.frombuffer(gzip.decompress(content), np.uint8).reshape(np.dtype(kind).itemsize, *shape)
    values = sum(plane.astype(np.uint64) << np.uint64(8 * k) for k, plane in enumerate(planes))
    whole = np.asarray(values)
    for column in range(1, shape[1]):
        whole[:, column] += whole[:, column - 1]
    size = np.dtype(kind).itemsize
    return (whole & np.uint64(2 ** (8 * size) - 1)).astype(f"<u{size}").view(kind)


@given(st.data(), st.sampled_from(["u1", "<u2", "<i2", "<f4"]), st.sampled_from([1, 3]))
def test_every_bit_comes_back(data: st.DataObject, kind: str, channels: int) -> None:
    rows, columns = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 6)))
    samples = data.draw(hnp.arrays(np.dtype(kind), (rows, columns, channels)))
    back = decoded(encode(samples), kind, samples.shape)
    assert back.tobytes() == samples.tobytes()


def test_a_picture_of_sixteen_bits_gets_smaller_than_by_gzip_alone() -> None:
    rows, columns = np.mgrid[:400, :400]
    noise = np.random.default_rng(0).normal(0, 12, (400, 400))
    smooth = (2000 + 3 * rows + 2 * columns + noise).astype("<u2")[..., None]
    assert len(encode(smooth)) < 0.6 * smooth.nbytes
    assert len(encode(smooth)) < 0.8 * len(gzip.compress(smooth.tobytes(), 1))


def test_beyond_this_machine_images_are_coded_and_kept_by_nobody(study: Study) -> None:
    public = "https://marking.clinic.example"
    team = Team(study.folder / "team.sqlite")
    team.add("ann", "annotator", PASSWORD)
    desk = Desk(study, MarkingSettings(behind_proxy=True, public=public), team)
    served = create_app(desk, OneTimeToken(), (public,), secure=True)
    client = TestClient(served, base_url=public, headers={"origin": public})
    assert client.post("/api/login", json={"user": "ann", "password": PASSWORD}).status_code == 200
    for case, kind in zip(desk.cases[:2], ("u1", "<u2"), strict=True):
        answer = client.get(f"/api/cases/{case_key(case)}/planes/0")
        assert (answer.headers["content-encoding"], answer.headers[CODING_HEADER]) == ("gzip", "differences")
        assert answer.headers["cache-control"] == "no-store"  # an image of a patient stays on no disk of a reader
        frame = desk.frames.get(case)
        back = decoded(gzip.compress(answer.content), kind, frame.samples[0].shape)  # the client undid the gzip
        assert back.tobytes() == frame.plane(0)
    desk.close()
    team.close()


def test_what_was_made_is_made_once_and_the_oldest_goes() -> None:
    made: list[str] = []

    def make(name: str) -> bytes:
        made.append(name)
        return bytes(4)

    kept = Kept(memory=8)
    for name in ("a", "b", "a", "c", "a", "b"):
        kept.get(name, lambda name=name: make(name))  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fail() -> None:
    raise ValueError("as asked")


def test_workers_answer_many_at_once_and_survive_a_killed_process() -> None:
    workers = Workers(2)
    workers.start(loaded)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda n: workers.run(pow, n, 2), range(20))) == [n * n for n in range(20)]
    with pytest.raises(ValueError, match="as asked"):
        workers.run(_fail)
    with pytest.raises(BrokenProcessPool):
        workers.run(_die)
    assert workers.run(pow, 3, 2) == 9
    workers.close()
