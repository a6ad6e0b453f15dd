"""Twenty annotators at once: how long a stroke takes from being sent to being on the disk.

Run ``python benchmarks/marking.py [--annotators 20] [--strokes 60]``. A server is started as its users start it, on a
study of synthetic images; each annotator is a connection of its own that sends a stroke, waits for the answer, and
after the pause of a quick reader sends the next. Every acknowledged stroke is then looked for in the file.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from uuid import uuid4

import numpy as np
import PIL.Image

from tallymark.data.study import Case, Study, StudySettings
from tallymark.marking.settings import case_key
from tallymark.marking.team import Team

PASSWORD = "correct horse battery"
PORT = 8690


def make_study(folder: Path, images: int) -> Study:
    """Noise; what is on an image does not matter here."""
    rng = np.random.default_rng(0)
    cases = []
    for number in range(images):
        PIL.Image.fromarray(rng.integers(0, 256, (512, 512), np.uint8)).save(folder / f"{number}.png")
        cases.append(Case(str(number), folder / f"{number}.png", split="train"))
    return Study.create(folder / "study", StudySettings(name="load", structures=("lesion",)), cases)


class Annotator(threading.Thread):
    """One connection that signs in, then sends strokes."""

    def __init__(self, name: str, keys: list[str], strokes: int, pause: float, ready: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self.user, self.keys, self.strokes, self.pause, self.ready = name, keys, strokes, pause, ready
        self.seconds: list[float] = []
        self.saved: list[str] = []

    def run(self) -> None:
        """Sign in, wait for all others, send."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        headers = {"content-type": "application/json", "origin": f"http://127.0.0.1:{PORT}"}

        def ask(path: str, body: object | None = None) -> dict[str, object]:
            method = "GET" if body is None else "POST"
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status} {content[:200]!r}")
            if cookie := answer.getheader("set-cookie"):
                headers["cookie"] = cookie.split(";")[0]
            document: dict[str, object] = json.loads(content)
            return document

        ask("/api/login", {"user": self.user, "password": PASSWORD})
        headers["x-tallymark-csrf"] = str(ask("/api/session")["csrf"])
        rng = np.random.default_rng(abs(hash(self.user)) % 2**32)
        self.ready.wait(timeout=60)
        for number in range(self.strokes):
            points = (rng.random(2) * 400 + 50 + np.cumsum(rng.normal(0, 3, (60, 2)), axis=0)).round(2).tolist()
            event = {"id": str(uuid4()), "case": self.keys[number % len(self.keys)], "kind": "stroke", "structure": 0}
            event |= {"points": points, "width": 9, "plane": None, "filled": False}
            ask(f"/api/cases/{event['case']}")  # the image is on the screen before it is marked
            started = time.perf_counter()
            saved = ask("/api/marks", {"events": [event]})["saved"]
            self.seconds.append(time.perf_counter() - started)
            assert saved == [event["id"]]
            self.saved.append(str(event["id"]))
            time.sleep(self.pause * rng.uniform(0.5, 1.5))


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotators", type=int, default=20)
    parser.add_argument("--strokes", type=int, default=60)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between the strokes of one annotator")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        study = make_study(Path(temporary), images=40)
        team = Team(study.folder / "team.sqlite")
        names = [f"annotator{number}" for number in range(options.annotators)]
        for name in names:
            team.add(name, "annotator", PASSWORD)
        team.close()
        words = ["mark", str(study.folder), "--team", "--port", str(PORT), "--no-browser"]
        with subprocess.Popen([sys.executable, "-m", "tallymark", *words], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            server.stdout.readline()
            keys = [case_key(case) for case in study.cases]
            ready = threading.Barrier(options.annotators)
            people = [Annotator(name, keys, options.strokes, options.pause, ready) for name in names]
            for person in people:
                person.start()
            for person in people:
                person.join()
            server.kill()
        seconds = np.array([second for person in people for second in person.seconds]) * 1000
        rows = study.marks.file.rows("SELECT uuid FROM mark WHERE kind = 'stroke'")
        lost = {uuid for person in people for uuid in person.saved} - {row[0] for row in rows}
        middle, high, highest = np.percentile(seconds, (50, 95, 100))
        print(
            f"{options.annotators} annotators, {len(seconds)} strokes: median {middle:.1f} ms,"
            f" 95 % below {high:.1f} ms, slowest {highest:.1f} ms, {len(lost)} lost"
        )


if __name__ == "__main__":
    main()
