"""The page in a real browser, used as its readers use it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import Browser

from browsing import (
    LAPTOP,
    TABLET,
    Marker,
    Server,
    labels,
    marking,
    shown_case,
    visiting,
)
from marking_study import phantom_study, volume_study
from tallymark.data.annotations import Annotator
from tallymark.data.marks import EXCLUDED
from tallymark.data.study import Case, Study, StudySettings

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Study, Server, list[Any]]]:
    folder = tmp_path_factory.mktemp("deep")
    ramp = np.tile(np.arange(1000, 1016, dtype=np.uint16).repeat(10), (120, 1))
    ramp[0, 0], ramp[0, 1] = 0, 60_000
    PIL.Image.fromarray(ramp).save(folder / "deep.png")
    rng = np.random.default_rng(0)
    large = rng.integers(0, 255, (4000, 4000), np.uint8)
    PIL.Image.fromarray(large).save(folder / "large.png")
    cases = [Case(name, folder / f"{name}.png", split="train") for name in ("deep", "large")]
    study = Study.create(folder / "study", StudySettings(name="deep", structures=("lesion",)), cases)
    server = Server(study.folder, "--author", "reader")
    server.start()
    yield study, server, []
    server.kill()


@pytest.fixture
def study(served: tuple[Study, Server, list[Any]]) -> Study:
    return served[0]


class TestLoop:
    """One stroke, space, next."""

    def test_an_image_takes_one_stroke_and_a_key(self, study: Study, marker: Marker) -> None:
        seen = []
        for _ in range(3):
            seen.append(shown_case(study, marker))
            marker.draw((0, -0.1), (0.02, 0.0), (0, 0.1))
            inked = marker.inked
            marker.next()
            marker.wait_saved()
            mask = labels(study, seen[-1])["lesion"]
            assert int(mask.sum()) == inked > 100  # what was seen is what is stored
        assert len(set(seen)) == 3
        progress = Annotator(study.marks, "hand", "reader").progress()
        assert all(0 < progress[name].visits["reader"].seconds < 60 for name in seen)

    def test_the_next_image_is_fetched_and_drawn_before_it_is_asked_for(self, marker: Marker) -> None:
        """How many milliseconds that takes is for benchmarks/marking.py to measure, not for a test."""
        marker.page.wait_for_function("() => (document.body.dataset.ready ?? '').split(' ').length >= 2")
        following = marker.ready[0]
        asked: list[str] = []
        marker.page.on("request", lambda request: asked.append(request.url))
        marker.next()
        assert marker.shown == following
        marker.wait_saved()
        assert not any(following in address for address in asked)

    def test_every_tool_on_one_image(self, study: Study, marker: Marker) -> None:
        name = shown_case(study, marker)
        marker.draw((-0.2, -0.1), (-0.2, 0.1))
        marker.key("2")
        marker.draw((0, -0.1), (0, 0.1))
        marker.key("x")
        marker.draw((0.3, -0.1), (0.3, 0.1))
        marker.key("b", "e", "]")
        marker.draw((-0.2, 0.0), (-0.2, 0.15))
        marker.key("d")
        marker.draw((-0.4, -0.2), (0.4, 0.2))
        marker.wait_saved()
        found = labels(study, name)
        assert set(found) == {"lesion", "cyst", EXCLUDED}
        assert int(sum(mask.sum() for mask in found.values())) == marker.inked
        kinds = [entry.kind for entry in Annotator(study.marks, "hand", "reader").history(name)]
        assert kinds == ["stroke", "stroke", "stroke", "erase", "diameter"]

    def test_nothing_here_cannot_tell_and_skip(self, browser: Browser, own: tuple[Study, Server]) -> None:
        with visiting(browser, own[1]) as marker:
            self._go_through(own[0], marker)

    @staticmethod
    def _go_through(study: Study, marker: Marker) -> None:
        names = [shown_case(study, marker)]
        for keys in (("n",), ("t", "2"), ("s",)):
            before = marker.shown
            marker.key(*keys)
            marker.page.wait_for_selector(f'body:not([data-key="{before}"])')
            names.append(shown_case(study, marker))
        marker.wait_saved()
        assert labels(study, names[0])[EXCLUDED].all()
        progress = Annotator(study.marks, "hand", "reader").progress()
        visits = [progress[name].visits["reader"] for name in names[:3]]
        assert [visit.outcome for visit in visits] == ["done", "unsure", "skip"]
        assert visits[1].reason == "not fully in view"
        marker.draw((0, 0), (0, 0.1))
        marker.key("Space")
        marker.page.wait_for_selector("#end:not([hidden])")
        marker.page.get_by_role("button", name="Go through them").click()
        marker.page.wait_for_selector("#image:not([hidden])")
        assert shown_case(study, marker) == names[2]
        marker.painted()
        assert len(set(marker.samples())) > 10  # it is there, not a black page

    def test_the_grown_shape_follows_the_stroke(self, marker: Marker) -> None:
        marker.draw((0, -0.1), (0, -0.05))
        marker.page.wait_for_selector("#notes span:has-text('grown to lesion')")
        marker.key("]", "]", "]", "]", "]", "]", "]", "]", "]", "]")
        marker.draw((0, -0.2), (0, 0.2))
        marker.page.wait_for_selector("#notes .warning:has-text('times as much is marked')")


class TestUndo:
    """Undo and redo per stroke."""

    def test_they_survive_a_reload(self, study: Study, marker: Marker) -> None:
        name = shown_case(study, marker)
        marker.draw((-0.1, -0.1), (-0.1, 0.1))
        first = marker.inked
        marker.draw((0.1, -0.1), (0.1, 0.1))
        both = marker.inked
        marker.wait_saved()
        marker.page.reload()
        marker.page.wait_for_selector("body[data-next-ms]")
        assert marker.inked == both
        marker.key("Control+z")
        assert marker.inked == first
        marker.wait_saved()
        marker.page.reload()
        marker.page.wait_for_selector("body[data-next-ms]")
        assert shown_case(study, marker) == name
        assert marker.inked == first
        marker.key("Control+y")
        assert marker.inked == both
        marker.key("z", "z")
        assert marker.inked == 0
        marker.wait_saved()
        assert labels(study, name) == {}
        marker.draw((0.2, 0), (0.2, 0.1))
        marker.key("y")  # what was undone is gone once something else was drawn
        marker.wait_saved()
        assert int(labels(study, name)["lesion"].sum()) == marker.inked


class TestHands:
    """Mouse, pen, finger and keyboard."""

    def test_the_keyboard_is_enough(self, study: Study, marker: Marker) -> None:
        name = shown_case(study, marker)
        marker.key("ArrowUp", "Shift+ArrowLeft", "Enter", *["ArrowRight"] * 12, "Enter")
        marker.wait_saved()
        mask = labels(study, name)["lesion"]
        assert int(mask.sum()) == marker.inked
        columns = np.flatnonzero(mask.any(axis=0))
        assert columns[-1] - columns[0] >= 12
        marker.key("z")
        assert marker.inked == 0
        marker.next()
        for _ in range(30):  # every control is reached by Tab, and says what it is
            marker.key("Tab")
            script = "() => document.activeElement.ariaLabel || document.activeElement.tagName"
            assert marker.page.evaluate(script) not in ("", "BUTTON", "INPUT", "SELECT")

    def test_wheel_and_space_move_the_image(self, marker: Marker) -> None:
        before = marker.samples()
        marker.page.mouse.move(*marker.at(0, 0))
        marker.page.mouse.wheel(0, -600)
        marker.painted()
        zoomed = marker.samples()
        assert zoomed != before
        shown = marker.shown
        marker.page.keyboard.down("Space")
        marker.draw((0, 0), (0.1, 0.2))
        marker.page.keyboard.up("Space")
        marker.painted()
        assert marker.samples() != zoomed
        assert (marker.shown, marker.inked) == (shown, 0)  # it was a pan: neither a stroke nor the next image
        marker.key("f")
        marker.painted()
        marker.page.mouse.move(1, 1)
        assert np.abs(np.array(marker.samples()) - before).mean() < 1

    def test_a_finger_draws_until_a_pen_is_seen(self, marker: Marker) -> None:
        devtools = marker.page.context.new_cdp_session(marker.page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            places = [dict(zip(("x", "y"), marker.at(*point), strict=True), id=i) for i, point in enumerate(points)]
            devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

        def stroke(*points: tuple[float, float]) -> None:
            touch("touchStart", points[0])
            for point in points[1:]:
                touch("touchMove", point)
            touch("touchEnd")
            marker.painted()

        stroke((0, -0.1), (0, 0), (0, 0.1))
        drawn = marker.inked
        assert drawn > 0
        before = marker.samples()
        touch("touchStart", (0, -0.1), (0, 0.1))
        touch("touchMove", (0, -0.2), (0, 0.2))
        touch("touchEnd")
        marker.painted()
        assert marker.inked == drawn
        assert marker.samples() != before
        marker.key("f")
        for kind, place in (("mousePressed", (0.2, 0)), ("mouseMoved", (0.2, 0.1)), ("mouseReleased", (0.2, 0.1))):
            x, y = marker.at(*place)
            event = {
                "type": kind,
                "x": x,
                "y": y,
                "button": "left",
                "buttons": 1,
                "pointerType": "pen",
                "clickCount": 1,
            }
            devtools.send("Input.dispatchMouseEvent", event)
        marker.painted()
        with_pen = marker.inked
        assert with_pen > drawn
        stroke((-0.2, -0.1), (-0.2, 0.1))
        assert marker.inked == with_pen


class TestDepth:
    """Images of 16 bits, large images, volumes."""

    @pytest.fixture
    def study(self, deep: tuple[Study, Server, list[Any]]) -> Study:
        return deep[0]

    @pytest.fixture
    def marker(self, browser: Browser, deep: tuple[Study, Server, list[Any]]) -> Iterator[Marker]:
        yield from marking(browser, *deep)

    def test_a_window_shows_single_steps_of_sixteen_bits(self, marker: Marker) -> None:
        marker.page.select_option("#presets", "Full range")
        marker.painted()
        assert len(set(marker.samples()) - {0}) <= 2  # 16 of 60 000 steps are one shade of grey
        marker.page.select_option("#presets", "Auto")
        marker.page.mouse.move(1, 1)
        marker.painted()
        assert len(set(marker.samples())) >= 16
        before = marker.samples()
        marker.draw((0, 0), (0.1, 0.0), button="right")
        marker.page.mouse.move(1, 1)
        marker.painted()
        assert marker.samples() != before
        assert marker.inked == 0
        marker.page.select_option("#presets", "Auto")
        marker.key("i")
        marker.painted()
        middle = len(before) // 2
        assert marker.samples()[middle] == pytest.approx(255 - before[middle], abs=1)

    def test_a_large_image_keeps_every_pixel_of_a_stroke(self, study: Study, marker: Marker) -> None:
        marker.next()
        assert shown_case(study, marker) == "large"
        marker.draw((0, -0.1), (0, 0.1))
        marker.wait_saved()
        assert int(labels(study, "large")["lesion"].sum()) == marker.inked > 10_000


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Study, Server, list[Any]]]:
    study = phantom_study(tmp_path_factory.mktemp("phantoms"))
    server = Server(study.folder, "--author", "reader")
    server.start()
    yield study, server, []
    server.kill()


@pytest.mark.parametrize(("name", "size"), [("laptop", LAPTOP), ("tablet", TABLET)])
def test_it_fits_the_screen(
    browser: Browser, phantoms: tuple[Study, Server, list[Any]], tmp_path: Path, name: str, size: Any
) -> None:
    """All controls are on the screen; with TALLYMARK_PICTURES=docs/images this makes the documentation's pictures."""
    for marker in marking(browser, *phantoms, touch=name == "tablet"):
        study = phantoms[0]
        marker.page.set_viewport_size(size)
        marker.painted()
        case = study.case(shown_case(study, marker))
        middle = np.argwhere(study.truth.mask(case, "lesion")).mean(axis=0)
        box = marker.page.locator("#image").bounding_box()
        assert box is not None
        scale = min(box["width"], box["height"]) / 320
        down, across = ((middle - 160) * scale / (box["height"], box["width"])).tolist()
        reach = 14 * scale / box["width"]
        marker.draw((down, across - reach), (down + 0.01, across), (down, across + reach))
        marker.page.wait_for_selector("#notes span:has-text('grown to')")
        buttons = marker.page.locator("button:visible")
        for i in range(buttons.count()):
            place = buttons.nth(i).bounding_box()
            assert place is not None
            assert place["x"] >= 0
            assert place["y"] >= 0
            assert place["x"] + place["width"] <= size["width"]
            assert place["y"] + place["height"] <= size["height"]
        marker.painted()
        folder = Path(os.environ.get("TALLYMARK_PICTURES", tmp_path))
        marker.page.screenshot(path=folder / f"marking-{name}.png")


def test_a_diameter_is_kept_where_it_was_drawn(study: Study, marker: Marker) -> None:
    name = shown_case(study, marker)
    marker.key("d")
    marker.draw((-0.3, 0), (0.3, 0))
    marker.wait_saved()
    (line,) = Annotator(study.marks, "hand", "reader").history(name)
    box = marker.page.locator("#image").bounding_box()
    assert box is not None
    zoom = min(box["width"] / 160, box["height"] / 120)
    (top, left), (bottom, right) = line.mark.points  # type: ignore[union-attr]
    assert (line.kind, bottom - top) == ("diameter", pytest.approx(0.6 * box["height"] / zoom, abs=1))
    assert left == pytest.approx(right, abs=0.5)
    assert marker.inked == 0


def test_the_wheel_turns_the_slices_of_a_volume_and_each_is_marked_by_itself(
    browser: Browser, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    study = volume_study(tmp_path, slices=5)
    with visiting(browser, serving(study, "--author", "reader")) as marker:
        text = marker.page.locator("#slice-text")
        assert text.inner_text() == "3 / 5"
        marker.page.mouse.move(*marker.at(0, 0))
        for wheel, key, shown in ((100, "", "4 / 5"), (100, "", "5 / 5"), (0, "PageUp", "4 / 5")):
            if key:
                marker.key(key)
            else:
                marker.page.mouse.wheel(0, wheel)
            marker.page.wait_for_function(f"() => document.getElementById('slice-text').value === '{shown}'")
        marker.draw((0, -0.1), (0, 0.1))
        drawn = marker.inked
        marker.key("PageUp")
        marker.page.wait_for_function("() => document.getElementById('image').dataset.inked === '0'")
        marker.wait_saved()
        mask = labels(study, "a")["organ"]
        assert [int(plane.sum()) for plane in mask] == [0, 0, 0, drawn, 0]


def test_light_and_dark_are_readable_and_remembered(marker: Marker) -> None:
    for theme in ("dark", "light"):
        assert marker.page.evaluate("() => document.documentElement.dataset.theme") == theme
        for name in ("#case", "#progress", "#light", "#numbers", "#next", "#tools button[aria-pressed=true]"):
            assert contrast(marker, name) >= 4.5, (theme, name)  # WCAG 2.2, level AA, for text
        if theme == "dark":
            marker.page.get_by_role("button", name="Light or dark").click()
            marker.page.reload()
            marker.page.wait_for_selector("body[data-next-ms]")
    marker.page.get_by_role("button", name="Light or dark").click()


def contrast(marker: Marker, selector: str) -> float:
    """The contrast ratio of WCAG 2.2 between the text of an element and what is behind it."""
    script = """(element) => {
        let behind = element;
        const colour = (value) => value.match(/[\\d.]+/g).map(Number);
        while (colour(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
        return [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(colour);
    }"""
    values = marker.page.locator(selector).first.evaluate(script)
    linear = [
        [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(v[:3]) / 255] for v in values
    ]
    low, high = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in linear)
    return float((high + 0.05) / (low + 0.05))
