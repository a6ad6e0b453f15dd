"""A real browser and a real server, each a process of its own that can be killed."""

from __future__ import annotations

import base64
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import Browser, Page, Playwright, TimeoutError, sync_playwright

from marking_study import PASSWORD
from tallymark.data.annotations import Annotator
from tallymark.data.study import Study
from tallymark.marking.settings import case_key

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# For a condition that comes true; a slow machine only takes longer.
PATIENCE_MS = 90_000
# After which the page has given up a request that nobody answers, and says so; then the key is pressed again.
_GIVEN_UP_MS = 65_000
LAPTOP, TABLET = {"width": 1366, "height": 768}, {"width": 820, "height": 1180}


def chromium() -> str:
    """Where the browser is; without one the test is skipped, and fails where that must not be."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )
    if not found:
        message = "no Chromium on this machine; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@contextmanager
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


def launched(started: Playwright) -> Browser:
    return started.chromium.launch(executable_path=chromium(), args=ARGUMENTS)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """``tallymark mark`` as a user starts it, always at the same port."""

    def __init__(self, study: Path, *options: str, port: int | None = None) -> None:
        self.study = study
        self.options = options
        self.port = port or free_port()
        self.process: subprocess.Popen[str] | None = None
        self.address = ""

    def start(self) -> str:
        words = ["mark", str(self.study), "--port", str(self.port), "--no-browser", *self.options]
        command = [sys.executable, "-m", "tallymark", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "mark here: " in line, line
        self.address = line.split("mark here: ")[1].strip()
        return self.address

    def kill(self) -> None:
        """As a power cut would: nothing is finished, nothing is said."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


class Marker:
    """What a person does on the page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, address: str) -> Marker:
        self.page.goto(address)
        self.page.wait_for_selector("#case:not(:empty)")
        self.page.wait_for_selector("body[data-next-ms]")
        return self

    def at(self, down: float, across: float) -> tuple[float, float]:
        """A point of the canvas, as shares of its height and width from the middle."""
        box = self.page.locator("#image").bounding_box()
        assert box is not None
        return box["x"] + box["width"] * (0.5 + across), box["y"] + box["height"] * (0.5 + down)

    def draw(self, *points: tuple[float, float], button: str = "left") -> None:
        mouse = self.page.mouse
        mouse.move(*self.at(*points[0]))
        mouse.down(button=button)  # type: ignore[arg-type]
        for point in points[1:]:
            mouse.move(*self.at(*point), steps=4)
        mouse.up(button=button)  # type: ignore[arg-type]

    def key(self, *names: str) -> None:
        for name in names:
            self.page.keyboard.press(name)

    def wait_saved(self) -> None:
        self.page.wait_for_selector("#light[data-light=saved]")

    def wait_stored(self) -> None:
        """Until the browser's own store has all that was drawn on the disk."""
        self.page.wait_for_selector("#light[data-storing='0']")

    def next(self) -> None:
        another = f'body:not([data-key="{self.shown}"])'
        self.key("Space")
        try:
            self.page.wait_for_selector(another, timeout=_GIVEN_UP_MS)
        except TimeoutError:
            self.key("Space")
            self.page.wait_for_selector(another)

    @property
    def shown(self) -> str:
        """The key of the image on the screen."""
        return str(self.page.locator("body").get_attribute("data-key"))

    @property
    def inked(self) -> int:
        return int(self.page.locator("#image").get_attribute("data-inked") or 0)

    @property
    def ready(self) -> list[str]:
        """Keys of the next images that are fetched and drawn already."""
        return (self.page.locator("body").get_attribute("data-ready") or "").split()

    def painted(self) -> None:
        """Wait until what was asked for is on the screen: the page paints once a frame."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def picture(self) -> np.ndarray:
        """All of the screen's image."""
        script = """() => {
            const c = document.getElementById("image");
            return c.toDataURL("image/png").split(",")[1];
        }"""
        return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(self.page.evaluate(script)))).convert("RGB"))

    def samples(self) -> list[int]:
        """Red values along the middle row of the screen's image."""
        script = """() => {
            const c = document.getElementById("image");
            const d = c.getContext("2d").getImageData(0, c.height >> 1, c.width, 1).data;
            return Array.from({length: c.width}, (_, i) => d[4 * i]);
        }"""
        values: list[int] = self.page.evaluate(script)
        return values


@contextmanager
def visiting(browser: Browser, server: Server, size: Any = LAPTOP, **options: Any) -> Iterator[Marker]:
    context = browser.new_context(viewport=size, **options)
    context.set_default_timeout(PATIENCE_MS)
    marker = Marker(context.new_page()).open(server.address)
    yield marker
    context.close()
    assert marker.errors == []


def marking(
    browser: Browser, study: Study, server: Server, cookies: list[Any], *, touch: bool = True
) -> Iterator[Marker]:
    """A page that begins with nothing marked; the first one is let in by the address, later ones by its cookie."""
    context = browser.new_context(viewport=LAPTOP, has_touch=touch)
    context.set_default_timeout(PATIENCE_MS)
    context.add_cookies(cookies)
    marker = Marker(context.new_page()).open(server.address)
    cookies[:] = context.cookies()
    yield marker
    marker.wait_saved()
    context.close()
    if "hand" in study.marks.sets():
        study.marks.clear("hand")
    assert marker.errors == []


def shown_case(study: Study, marker: Marker) -> str:
    return next(case.id for case in study.cases if case_key(case) == marker.shown)


def labels(study: Study, case_id: str, author: str = "reader") -> dict[str, np.ndarray]:
    return Annotator(study.marks, "hand", author).labels(case_id)


def sign_in(marker: Marker, address: str, name: str) -> Marker:
    marker.page.goto(address)
    marker.page.get_by_label("Name").fill(name)
    marker.page.get_by_label("Password").fill(PASSWORD)
    marker.page.keyboard.press("Enter")
    marker.page.wait_for_selector("#case:not(:empty)")
    marker.page.wait_for_selector("body[data-next-ms]")
    return marker
