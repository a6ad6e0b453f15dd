"""Twenty annotators at once: how long a stroke takes from being sent to being on the disk.

Run ``python benchmarks/marking.py [--annotators 20] [--images 30]``. A server is started as a team starts it, on a
study of synthetic ultrasound-like images with their numbers. Each annotator is a connection of its own that does what
the page does: asks what comes next, fetches images ahead with all their samples, sends a stroke, waits until it is
saved, asks for the grown shape, sends the visit, and goes on after a pause, so that an image takes about two seconds.
Every acknowledged stroke is then looked for in the file. What the disk alone takes to keep 4 KB is measured in the same
run, before and after: no stroke is saved before the disk has it.

``--page`` measures instead, in Debian's Chromium, from the space bar to the next image on the screen, one person
marking an image in about two seconds; ``--large`` does so with images of 4000 x 4000 and 16 bits. ``--coding`` measures
how such an image gets smaller for a network, and how long that takes.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import PIL.Image
import scipy.ndimage
from playwright.sync_api import sync_playwright

from tallymark.data.study import Case, Study, StudySettings
from tallymark.datasets.pairs import import_pairs
from tallymark.datasets.phantom import write_phantoms
from tallymark.datasets.weaken import weaken
from tallymark.marking.coding import encode
from tallymark.marking.team import Team

PASSWORD = "correct horse battery"
PORT = 8690
AHEAD = 5


def make_study(folder: Path, images: int, side: int) -> Study:
    """Synthetic ultrasound-like images with their exact numbers."""
    write_phantoms(folder / "source", count=images, seed=0, size=side)
    import_pairs(folder / "source" / "images", folder / "source" / "masks", folder / "study")
    study = Study.open(folder / "study")
    weaken(study, marks="erosion:8%", mark_set="e8")
    return study


class Annotator(threading.Thread):
    """One connection that signs in, then marks."""

    def __init__(self, name: str, images: int, side: int, pause: float, ready: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self.user, self.images, self.side, self.pause, self.ready = name, images, side, pause, ready
        self.seconds: dict[str, list[float]] = {"saving a stroke": [], "an image": [], "its grown shape": []}
        self.saved: list[str] = []
        self.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        self.headers = {"content-type": "application/json", "origin": f"http://127.0.0.1:{PORT}"}
        self.headers["accept-encoding"] = "gzip"

    def ask(self, path: str, body: object | None = None) -> bytes:
        """The content of an answer."""
        method = "GET" if body is None else "POST"
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {content[:200]!r}")
        if cookie := answer.getheader("set-cookie"):
            self.headers["cookie"] = cookie.split(";")[0]
        return content

    def timed(self, what: str, path: str, body: object | None = None) -> bytes:
        """The same, with the time kept."""
        started = time.perf_counter()
        content = self.ask(path, body)
        self.seconds[what].append(time.perf_counter() - started)
        return content

    def run(self) -> None:
        """Sign in, wait for all others, mark."""
        self.ask("/api/login", {"user": self.user, "password": PASSWORD})
        self.headers["x-tallymark-csrf"] = str(json.loads(self.ask("/api/session"))["csrf"])
        rng = np.random.default_rng(abs(hash(self.user)) % 2**32)
        fetched: set[str] = set()
        self.ready.wait(timeout=60)
        for _ in range(self.images):
            keys = [each["key"] for each in json.loads(self.ask("/api/next", {"count": AHEAD}))["next"]]
            if not keys:
                break
            for key in keys:
                if key not in fetched:
                    fetched.add(key)
                    self.ask(f"/api/cases/{key}")
                    self.timed("an image", f"/api/cases/{key}/planes/0")
            time.sleep(self.pause * rng.uniform(0.5, 1.5))
            walk = np.cumsum(rng.normal(0, self.side / 170, (60, 2)), axis=0)
            event: dict[str, Any] = {"id": str(uuid4()), "case": keys[0], "kind": "stroke", "structure": 0}
            event |= {"points": (walk + self.side / 2).round(2).tolist(), "width": 9, "plane": None, "filled": False}
            saved = json.loads(self.timed("saving a stroke", "/api/marks", {"events": [event]}))["saved"]
            assert saved == [event["id"]]
            self.saved.append(str(event["id"]))
            self.timed("its grown shape", f"/api/cases/{keys[0]}/grown/0")
            visit = {"id": str(uuid4()), "case": keys[0], "kind": "visit", "outcome": "done", "seconds": 2}
            self.ask("/api/marks", {"events": [visit]})


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--annotators", type=int, default=20)
    parser.add_argument("--images", type=int, default=30, help="that each annotator marks")
    parser.add_argument("--side", type=int, default=512, help="rows and columns of an image")
    parser.add_argument("--pause", type=float, default=1.8, help="seconds before each stroke")
    parser.add_argument("--page", action="store_true", help="from the space bar to the next image")
    parser.add_argument("--large", action="store_true", help="the same with images of 4000 x 4000 and 16 bits")
    parser.add_argument("--coding", action="store_true", help="images made small for a network")
    options = parser.parse_args()
    if options.coding:
        measure_coding()
    elif options.page or options.large:
        measure_page(options.images, options.side, large=options.large)
    else:
        measure_load(options)


def disk_alone(folder: Path, times: int = 200) -> list[float]:
    """Seconds in which 4 KB at a time are on the disk, with nothing else to do."""
    seconds = []
    with (folder / "beside").open("wb", buffering=0) as file:
        for _ in range(times):
            started = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - started)
            time.sleep(0.02)
    return seconds


def measure_load(options: argparse.Namespace) -> None:
    """Twenty annotators at once."""
    with tempfile.TemporaryDirectory() as temporary:
        study = make_study(Path(temporary), 2 * options.annotators, options.side)
        disk = disk_alone(study.folder)
        team = Team(study.folder / "team.sqlite")
        names = [f"annotator{number}" for number in range(options.annotators)]
        for name in names:
            team.add(name, "annotator", PASSWORD)
        team.close()
        # All images go to all annotators, so that there is enough to do.
        words = ["mark", str(study.folder), "--team", "--overlap", "1", "--port", str(PORT), "--no-browser"]
        with subprocess.Popen([sys.executable, "-m", "tallymark", *words], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            server.stdout.readline()
            ready = threading.Barrier(options.annotators)
            people = [Annotator(name, options.images, options.side, options.pause, ready) for name in names]
            for person in people:
                person.start()
            for person in people:
                person.join()
            server.kill()
        disk += disk_alone(study.folder)
        rows = study.marks.tables.rows("SELECT uuid FROM mark WHERE kind = 'stroke'")
        lost = {uuid for person in people for uuid in person.saved} - {row[0] for row in rows}
        cores = len(os.sched_getaffinity(0))
        print(
            f"{options.annotators} annotators, {sum(len(each.saved) for each in people)} strokes, {len(lost)} lost,"
            f" {cores} cores"
        )
        measured = {what: [s for person in people for s in person.seconds[what]] for what in people[0].seconds}
        for what, seconds in (measured | {"the disk alone": disk}).items():
            ms = 1000 * np.array(seconds)
            middle, high, highest = np.percentile(ms, (50, 95, 100))
            print(f"{what}: median {middle:.1f} ms, 95 % below {high:.1f} ms, slowest {highest:.1f} ms")


def large_image(rng: np.random.Generator, side: int = 4000) -> np.ndarray:
    """Tissue of 12 bits with the noise of a detector, as a radiograph has it."""
    coarse = scipy.ndimage.gaussian_filter(rng.random((side // 8, side // 8)), 6)
    smooth = scipy.ndimage.zoom((coarse - coarse.min()) / np.ptp(coarse), 8, order=1)
    return np.asarray((300 + 3000 * smooth + rng.normal(0, 12, (side, side))).clip(0, 4095).astype(np.uint16))


def measure_coding() -> None:
    """Size and time of a large image on its way."""
    samples = large_image(np.random.default_rng(0))[..., None]
    started = time.perf_counter()
    coded = encode(samples)
    seconds, share = time.perf_counter() - started, len(coded) / samples.nbytes
    print(f"{samples.nbytes / 1e6:.0f} MB become {len(coded) / 1e6:.1f} MB ({share:.0%}) in {seconds:.2f} s, once")
    print(f"at 100 Mbit/s: {8 * samples.nbytes / 1e8:.1f} s become {8 * len(coded) / 1e8:.1f} s")


def measure_page(images: int, side: int, *, large: bool) -> None:
    """From the space bar to the next image."""
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as started:
        folder = Path(temporary)
        if large:
            rng, cases = np.random.default_rng(0), []
            for number in range(images + 1):
                PIL.Image.fromarray(large_image(rng)).save(folder / f"{number}.png")
                cases.append(Case(str(number), folder / f"{number}.png", split="train"))
            study = Study.create(folder / "study", StudySettings(name="large", structures=("lesion",)), cases)
        else:
            study = make_study(folder, 2 * images, side)
        words = ["mark", str(study.folder), "--port", str(PORT), "--no-browser"]
        with subprocess.Popen([sys.executable, "-m", "tallymark", *words], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            address = server.stdout.readline().split("mark here: ")[1].strip()
            arguments = ["--no-sandbox", "--disable-gpu"]
            browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            page.goto(address)
            page.wait_for_selector("body[data-next-ms]")
            ms = []
            for _ in range(images):
                page.wait_for_timeout(2000)
                before = page.locator("body").get_attribute("data-key")
                page.mouse.move(650, 380)
                page.mouse.down()
                page.mouse.move(700, 390, steps=5)
                page.mouse.up()
                page.keyboard.press("Space")
                page.wait_for_selector(f'body:not([data-key="{before}"])')
                page.wait_for_timeout(200)
                ms.append(float(page.locator("body").get_attribute("data-next-ms") or "inf"))
            browser.close()
            server.kill()
        middle, high, highest = np.percentile(ms, (50, 95, 100))
        print(f"{len(ms)} images: median {middle:.0f} ms, 95 % below {high:.0f} ms, slowest {highest:.0f} ms")


if __name__ == "__main__":
    main()
