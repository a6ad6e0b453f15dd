"""What hands do beside plain strokes: palms, held keys, touchpads, turns in the middle of a stroke."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route

from browsing import LAPTOP, TABLET, Marker, Server, labels, marking, shown_case, visiting
from marking_study import make_study, volume_study
from tallymark.data.annotations import Annotator
from tallymark.data.study import Study

pytestmark = pytest.mark.browser


@pytest.fixture
def study(served: tuple[Study, Server, list[Any]]) -> Study:
    return served[0]


class Device:
    """Fingers and a pen, which Playwright has not."""

    def __init__(self, marker: Marker) -> None:
        self.marker = marker
        self.devtools = marker.page.context.new_cdp_session(marker.page)

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        places = [
            dict(zip(("x", "y"), self.marker.at(*point), strict=True), id=number) for number, point in enumerate(points)
        ]
        self.devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    def pen(self, kind: str, point: tuple[float, float]) -> None:
        x, y = self.marker.at(*point)
        event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "pointerType": "pen", "clickCount": 1}
        self.devtools.send("Input.dispatchMouseEvent", event)


class Holding:
    """Keeps requests without an answer until they are let go; interception stays, since ending it loses some."""

    def __init__(self, page: Page, pattern: str) -> None:
        self.held: list[Route] = []
        self.holds = True
        page.route(pattern, self._route)

    def _route(self, route: Route) -> None:
        self.held.append(route) if self.holds else route.continue_()

    def let_go(self) -> None:
        self.holds = False
        for route in self.held:
            route.continue_()


class TestTurns:
    """A stroke belongs to the image on which it was begun, and is there when the image comes again."""

    @pytest.mark.parametrize("key", ["s", "Backspace"])
    def test_a_stroke_that_is_being_drawn_stays_on_its_image(self, study: Study, marker: Marker, key: str) -> None:
        marker.next()
        name, before = shown_case(study, marker), marker.shown
        mouse = marker.page.mouse
        mouse.move(*marker.at(-0.1, -0.1))
        mouse.down()
        mouse.move(*marker.at(-0.1, 0.1), steps=4)
        marker.key(key)
        marker.page.wait_for_selector(f'body:not([data-key="{before}"])')
        mouse.move(*marker.at(0.2, 0.1), steps=4)
        mouse.up()
        marker.wait_saved()
        assert marker.inked == 0
        (stroke,) = Annotator(study.marks, "hand", "reader").history(name)
        assert stroke.mark.points[:, 0].max() < 60  # type: ignore[union-attr]
        assert study.marks.case_ids("hand") == (name,)

    def test_an_image_that_is_looked_at_again_shows_its_marks(self, study: Study, marker: Marker) -> None:
        marker.draw((0, -0.1), (0, 0.1))
        marker.next()
        second = marker.shown
        marker.draw((0.1, -0.1), (0.1, 0.1))
        inked = marker.inked
        marker.wait_saved()
        marker.key("Backspace")
        marker.page.wait_for_selector(f'body:not([data-key="{second}"])')
        assert marker.inked > 0
        marker.next()
        assert (marker.shown, marker.inked) == (second, inked)

    def test_after_a_reload_no_image_comes_twice(self, marker: Marker) -> None:
        first = marker.shown
        marker.draw((0, -0.1), (0, 0.1))
        marker.wait_saved()
        marker.page.reload()
        marker.page.wait_for_selector("body[data-next-ms]")
        assert marker.shown == first
        marker.next()
        assert marker.shown != first

    @pytest.mark.parametrize("key", ["n", "s", "t"])
    def test_a_key_that_is_held_leaves_one_image(self, marker: Marker, key: str) -> None:
        before = marker.shown
        marker.page.keyboard.down(key)
        if key != "t":
            marker.page.wait_for_selector(f'body:not([data-key="{before}"])')
        after = marker.shown
        for _ in range(3):
            marker.page.keyboard.down(key)  # the keyboard repeats it
            marker.painted()
        marker.page.keyboard.up(key)
        marker.painted()
        assert marker.shown == after
        marker.key("Escape")

    def test_an_image_that_cannot_be_read_is_passed_over_and_named(
        self, browser: Browser, tmp_path: Path, serving: Callable[..., Server]
    ) -> None:
        study = make_study(tmp_path)
        (tmp_path / "Room 12 bed 1.png").write_bytes(b"no image")
        with visiting(browser, serving(study, "--author", "reader")) as marker:
            turned = "(key) => document.body.dataset.key !== key || !document.getElementById('end').hidden"
            seen, warned = [], []
            for _ in range(3):
                seen.append(shown_case(study, marker))
                before = marker.shown
                marker.draw((0, -0.1), (0, 0.1))
                marker.key("Space")
                marker.page.wait_for_function(turned, arg=before)
                warned += marker.page.locator("#notes .warning").all_inner_texts()
            assert ["cannot be read" in text or "passed over" in text for text in warned] == [True]
            assert seen == ["Room 12 bed 0", "Room 12 bed 2", "Room 12 bed 3"]


class TestPen:
    """A pen goes before palms and fingers."""

    def test_a_palm_beside_the_pen_ends_no_stroke(self, study: Study, marker: Marker) -> None:
        hand = Device(marker)
        hand.pen("mousePressed", (0, -0.1))
        hand.pen("mouseMoved", (0, 0))
        hand.touch("touchStart", (0.3, 0.2), (0.35, 0.2))
        hand.pen("mouseMoved", (0, 0.1))
        hand.touch("touchEnd")
        hand.pen("mouseReleased", (0, 0.1))
        marker.wait_saved()
        (stroke,) = Annotator(study.marks, "hand", "reader").history(shown_case(study, marker))
        assert np.ptp(stroke.mark.points[:, 1]) > 20  # type: ignore[union-attr]

    def test_a_palm_that_lies_there_first_gives_way_to_the_pen(self, study: Study, marker: Marker) -> None:
        hand = Device(marker)
        hand.pen("mousePressed", (0.2, 0))
        hand.pen("mouseReleased", (0.2, 0))
        for palm in ([(0.3, 0.2)], [(0.3, 0.2), (0.35, 0.2)]):
            hand.touch("touchStart", *palm)
            hand.pen("mousePressed", (0, -0.1))
            hand.pen("mouseMoved", (0, 0.1))
            hand.pen("mouseReleased", (0, 0.1))
            hand.touch("touchEnd")
        marker.wait_saved()
        assert len(Annotator(study.marks, "hand", "reader").history(shown_case(study, marker))) == 3

    def test_after_a_pen_a_finger_pans_also_after_a_reload(self, marker: Marker) -> None:
        hand = Device(marker)
        hand.pen("mousePressed", (0.2, 0))
        hand.pen("mouseReleased", (0.2, 0))
        marker.wait_saved()
        marker.page.reload()
        marker.page.wait_for_selector("body[data-next-ms]")
        hand = Device(marker)
        marker.painted()
        inked, before = marker.inked, marker.picture()
        hand.touch("touchStart", (0, 0))
        hand.touch("touchMove", (0.1, 0.05))
        hand.touch("touchMove", (0.1, 0.1))
        hand.touch("touchEnd")
        marker.painted()
        box = marker.page.locator("#image").bounding_box()
        assert box is not None
        down, right = round(0.1 * box["height"]), round(0.1 * box["width"])
        moved = marker.picture()[down:, right:]
        assert marker.inked == inked
        assert np.abs(moved.astype(int) - before[: len(moved), : moved.shape[1]]).mean() < 3


class TestKeys:
    """Keyboards of other countries, and zoom without a pointer."""

    def test_brackets_may_be_typed_with_altgr(self, marker: Marker) -> None:
        size = marker.page.locator("#size")
        before = int(size.input_value())
        script = """(key) => document.body.dispatchEvent(new KeyboardEvent("keydown", {
            key, ctrlKey: true, altKey: true, modifierAltGraph: true, bubbles: true}))"""
        marker.page.evaluate(script, "]")
        assert int(size.input_value()) > before
        marker.page.evaluate(script, "[")
        assert int(size.input_value()) == before

    def test_zoom_follows_the_pen_of_the_keyboard(self, study: Study, marker: Marker) -> None:
        name, before = shown_case(study, marker), marker.picture()
        marker.key("ArrowUp", *["+"] * 12)
        marker.painted()
        assert (marker.picture() != before).mean() > 0.3
        marker.key(*["Shift+ArrowRight"] * 5, "Enter", "ArrowRight", "Enter")  # the page pans with the pen
        marker.wait_saved()
        (stroke,) = Annotator(study.marks, "hand", "reader").history(name)
        assert stroke.mark.points[-1].tolist() == [59, 131]  # type: ignore[union-attr]
        marker.key("z", *["-"] * 12, "f", "Escape")

    def test_arrows_turn_the_window(self, marker: Marker) -> None:
        marker.page.mouse.move(1, 1)
        marker.painted()
        means = [np.mean(marker.samples())]
        for keys in (("w", "Shift+ArrowUp"), ("Shift+ArrowDown", "Shift+ArrowDown")):
            marker.key(*keys)
            marker.painted()
            means.append(np.mean(marker.samples()))
        assert means[1] > means[0] > means[2]  # a lower level is brighter
        spread = np.std(marker.samples())
        marker.key(*["Shift+ArrowRight"] * 5)
        marker.painted()
        assert np.std(marker.samples()) < spread  # a wider window has less contrast
        assert marker.inked == 0

    def test_all_ink_is_hidden_until_the_next_stroke(self, marker: Marker) -> None:
        marker.page.mouse.move(1, 1)
        marker.painted()
        before = marker.picture()
        marker.draw((0.2, -0.1), (0.2, 0.1))
        marker.page.wait_for_selector("#notes span:has-text('grown to lesion')")
        marker.page.get_by_role("button", name="Hide all ink").click()
        marker.page.mouse.move(1, 1)
        marker.painted()
        assert np.array_equal(marker.picture(), before)
        marker.draw((0.2, -0.1), (0.2, 0.1))
        marker.painted()
        assert not np.array_equal(marker.picture(), before)


def test_a_stroke_beside_the_image_is_none(study: Study, marker: Marker) -> None:
    marker.draw((0, -0.48), (0.1, -0.47), (0.2, -0.48))
    marker.page.wait_for_timeout(100)
    marker.wait_saved()
    assert marker.page.locator("#notes .warning").count() == 0
    marker.draw((0, -0.48), (0, 0))  # from outside into it is one
    marker.wait_saved()
    assert len(Annotator(study.marks, "hand", "reader").history(shown_case(study, marker))) == 1


def test_more_than_the_server_takes_at_once_waits_and_is_saved(study: Study, marker: Marker) -> None:
    """Fifty outlines of 15 000 corners each are more than 4 MB."""
    marker.wait_saved()
    script = """async (key) => {
        const [{name}] = await indexedDB.databases();
        const open = indexedDB.open(name);
        const database = await new Promise((done) => (open.onsuccess = () => done(open.result)));
        const transaction = database.transaction("waiting", "readwrite");
        const points = Array.from({length: 15000}, (_, i) => [10.11 + (i % 97), 20.22 + (i % 89)]);
        for (let i = 0; i < 30; i++) transaction.objectStore("waiting").add({id: crypto.randomUUID(), case: key,
            kind: "stroke", structure: 0, points, width: 1, plane: null, filled: false});
        await new Promise((done) => (transaction.oncomplete = done));
        database.close();
    }"""
    marker.page.evaluate(script, marker.shown)
    marker.page.reload()
    marker.page.wait_for_selector("body[data-next-ms]")
    marker.wait_saved()
    assert len(Annotator(study.marks, "hand", "reader").history(shown_case(study, marker))) == 30


def test_a_touchpad_turns_a_slice_for_the_way_of_a_notch_and_marked_slices_are_shown(
    browser: Browser, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    study = volume_study(tmp_path, slices=9)
    with visiting(browser, serving(study, "--author", "reader")) as marker:
        ticks = marker.page.locator("#ticks")
        bar, stage = marker.page.locator("#slice").bounding_box(), marker.page.locator("main").bounding_box()
        assert bar is not None
        assert stage is not None
        assert stage["height"] > bar["height"] > 0.8 * stage["height"]
        assert stage["y"] + stage["height"] > bar["y"] + bar["height"]
        assert ticks.get_attribute("aria-label") == "no slice is marked"
        marker.page.mouse.move(*marker.at(0, 0))
        for _ in range(8):
            marker.page.mouse.wheel(0, 10)
        marker.page.wait_for_function("() => document.getElementById('slice-text').value === '7 / 9'")
        marker.draw((0, -0.1), (0, 0.1))
        assert ticks.get_attribute("aria-label") == "marked slices: 7"
        marker.wait_saved()
        marker.key("z")
        assert ticks.get_attribute("aria-label") == "no slice is marked"


@pytest.mark.parametrize("size", [LAPTOP, TABLET])
def test_the_help_names_every_key(browser: Browser, served: tuple[Study, Server, list[Any]], size: Any) -> None:
    for marker in marking(browser, *served, touch=size is TABLET):
        marker.page.set_viewport_size(size)
        marker.key("?")
        keys = marker.page.locator("dialog.help dt kbd")
        assert keys.count() > 20
        assert all(keys.nth(i).is_visible() for i in range(keys.count()))
        marker.key("Escape")


def test_the_next_image_does_not_wait_for_the_answer_of_what_comes_after(marker: Marker) -> None:
    holding = Holding(marker.page, "**/api/next")
    seen = [marker.shown]
    for _ in range(4):  # five were named at first, and more are asked for below three
        marker.next()
        seen.append(marker.shown)
    assert holding.held
    assert len(set(seen)) == len(seen)
    holding.let_go()
    marker.next()
    assert marker.shown not in seen


def test_a_connection_that_fell_silent_is_given_up_and_the_page_goes_on(study: Study, marker: Marker) -> None:
    page = marker.page
    page.wait_for_load_state("networkidle")
    page.clock.install()
    silent = Holding(page, "**/api/**")
    while page.locator("body").get_attribute("data-ready"):  # they are in memory, and need no server
        marker.next()
    left, name = marker.shown, shown_case(study, marker)
    marker.key("t", "2", "Space", "n")
    page.wait_for_selector(".said:has-text('the next image is still being loaded')")
    assert silent.held
    assert marker.shown == left
    page.clock.fast_forward(61_000)
    page.wait_for_selector("#notes .warning:has-text('the server does not answer')")
    assert page.locator("#notes", has_text="nothing here").count() == 0
    silent.let_go()
    marker.next()
    marker.wait_saved()
    # What was said when it was left still holds, however often the next one was asked for.
    visit = Annotator(study.marks, "hand", "reader").progress()[name].visits["reader"]
    assert (visit.outcome, visit.reason) == ("unsure", "not fully in view")


def test_a_preset_and_what_is_inverted_stay_for_the_next_images(marker: Marker) -> None:
    marker.next()  # of 16 bits, as every second one
    marker.page.select_option("#presets", "Full range")
    marker.key("i")
    for shown in (True, False, True):
        assert marker.page.locator("#presets").is_visible() == shown
        assert marker.page.get_by_role("button", name="Invert").get_attribute("aria-pressed") == "true"
        if shown:
            assert marker.page.locator("#presets").input_value() == "Full range"
        marker.next()


@pytest.mark.parametrize("size", [LAPTOP, TABLET])
def test_the_image_stays_where_it_is_when_the_server_goes(
    browser: Browser, own: tuple[Study, Server], size: Any
) -> None:
    server = own[1]
    with visiting(browser, server, size) as marker:
        marker.draw((0.1, -0.1), (0.1, 0.1))
        marker.next()
        image = marker.page.locator("#image").bounding_box()
        server.kill()
        marker.draw((0, -0.1), (0, 0.1))
        marker.page.wait_for_selector("#notes .warning:has-text('the server does not answer')")
        assert marker.page.locator("#light").inner_text().startswith("○ not saved yet (")
        assert marker.page.locator("#image").bounding_box() == image
        server.start()
        marker.page.wait_for_selector("#light[data-light=unsaved]")


@pytest.mark.parametrize("method", ["IDBFactory.prototype.open", "IDBObjectStore.prototype.add"])
def test_where_the_browser_keeps_nothing_the_server_has_it(
    browser: Browser, own: tuple[Study, Server], method: str
) -> None:
    study, server = own
    context = browser.new_context(viewport=LAPTOP)
    context.add_init_script(f"{method} = () => {{ throw new DOMException('full', 'QuotaExceededError'); }};")
    marker = Marker(context.new_page()).open(server.address)
    marker.draw((0, -0.1), (0, 0.1))
    marker.page.wait_for_selector("#notes .warning:has-text('this browser keeps nothing')")
    marker.wait_saved()
    assert int(labels(study, shown_case(study, marker))["lesion"].sum()) == marker.inked > 0
    context.close()
    assert marker.errors == []
