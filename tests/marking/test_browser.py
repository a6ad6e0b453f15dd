"""The page in a real browser, used as its readers use it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import Browser, Playwright

from browsing import ARGUMENTS, LAPTOP, TABLET, Marker, Server, chromium, free_port, launched, playwright
from marking_study import make_study
from tallymark.data.annotations import Annotator, Visit
from tallymark.data.marks import EXCLUDED
from tallymark.data.strokes import Stroke
from tallymark.data.study import Case, Study, StudySettings
from tallymark.datasets.pairs import import_pairs
from tallymark.datasets.phantom import write_phantoms
from tallymark.datasets.weaken import weaken
from tallymark.marking.team import Team

pytestmark = pytest.mark.browser


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


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Study, Server, list[Any]]]:
    """A study and its server for all tests that kill nothing, and what a browser that was let in holds."""
    study = make_study(tmp_path_factory.mktemp("served"), count=8)
    server = Server(study.folder, "--author", "reader")
    server.start()
    yield study, server, []
    server.kill()


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
def marker(browser: Browser, served: tuple[Study, Server, list[Any]]) -> Iterator[Marker]:
    yield from marking(browser, *served)


def marking(
    browser: Browser, study: Study, server: Server, cookies: list[Any], *, touch: bool = True
) -> Iterator[Marker]:
    """A page that begins with nothing marked; the first one is let in by the address, later ones by its cookie."""
    context = browser.new_context(viewport=LAPTOP, has_touch=touch)
    context.set_default_timeout(15_000)
    context.add_cookies(cookies)
    marker = Marker(context.new_page()).open(server.address)
    cookies[:] = context.cookies()
    yield marker
    marker.wait_saved()
    context.close()
    if "hand" in study.marks.sets():
        study.marks.clear("hand")
    assert marker.errors == []


@pytest.fixture
def study(served: tuple[Study, Server, list[Any]]) -> Study:
    return served[0]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Study, Server]]:
    """A study and a server that a test may kill."""
    study = make_study(tmp_path)
    server = Server(study.folder, "--author", "reader")
    server.start()
    yield study, server
    server.kill()


@contextmanager
def visiting(browser: Browser, server: Server, size: Any = LAPTOP, **options: Any) -> Iterator[Marker]:
    context = browser.new_context(viewport=size, **options)
    context.set_default_timeout(15_000)
    marker = Marker(context.new_page()).open(server.address)
    yield marker
    context.close()
    assert marker.errors == []


def shown_case(study: Study, marker: Marker) -> str:
    from tallymark.marking.settings import case_key

    return next(case.id for case in study.cases if case_key(case) == marker.shown)


def labels(study: Study, case_id: str, author: str = "reader") -> dict[str, np.ndarray]:
    return Annotator(study.marks, "hand", author).labels(case_id)


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


class TestNeverLost:
    """Kill the server, close the browser."""

    @pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.full)])
    def test_a_killed_server_costs_no_stroke(self, browser: Browser, own: tuple[Study, Server], kills: int) -> None:
        with visiting(browser, own[1]) as marker:
            self._kill(*own, marker, kills)

    @staticmethod
    def _kill(study: Study, server: Server, marker: Marker, kills: int) -> None:
        name = shown_case(study, marker)
        drawn = 0
        for kill in range(kills):
            down = (kill % 20 - 10) / 25
            marker.draw((down, -0.1), (down, 0.1))  # may or may not reach the server
            server.kill()
            marker.draw((down + 0.01, -0.1), (down + 0.01, 0.1))
            marker.page.wait_for_selector("#light[data-light=unsaved]")
            drawn += 2
            marker.open(server.start())
            marker.page.wait_for_selector("#light[data-light=saved]")
            entries = Annotator(study.marks, "hand", "reader").history(name)
            assert len(entries) == drawn
            assert int(labels(study, name)["lesion"].sum()) == marker.inked

    @pytest.mark.parametrize("times", [1, pytest.param(50, marks=pytest.mark.full)])
    def test_a_closed_browser_costs_no_stroke(
        self, own: tuple[Study, Server], started: Playwright, tmp_path: Path, times: int
    ) -> None:
        study, server = own
        options = {"executable_path": chromium(), "args": ARGUMENTS, "viewport": LAPTOP}

        @contextmanager
        def opened() -> Iterator[Marker]:
            context = started.chromium.launch_persistent_context(tmp_path / "profile", **options)  # type: ignore[arg-type]
            try:
                yield Marker(context.new_page()).open(server.address)
            finally:
                context.close()  # at once: nothing waits for an answer

        name, drawn = "", 0
        for _ in range(times):
            for with_server in (True, False):
                with opened() as marker:
                    name = shown_case(study, marker)
                    marker.wait_saved()
                    assert len(Annotator(study.marks, "hand", "reader").history(name)) == drawn
                    if not with_server:
                        server.kill()
                    down = (drawn % 20 - 10) / 25
                    marker.draw((down, -0.1), (down, 0.1))
                    drawn += 1
                if server.process is None:
                    server.start()
        with opened() as marker:
            marker.wait_saved()
            assert len(Annotator(study.marks, "hand", "reader").history(name)) == drawn
            assert int(labels(study, name)["lesion"].sum()) == marker.inked

    def test_two_annotators_at_once(self, browser: Browser, own: tuple[Study, Server]) -> None:
        study, server = own
        second = Server(study.folder, "--author", "other")
        second.start()
        with visiting(browser, server) as one, visiting(browser, second, TABLET) as other:
            name = shown_case(study, one)
            assert shown_case(study, other) == name
            for step in range(4):
                one.draw((-0.2, -0.1 + step / 20), (-0.2, 0.1))
                other.draw((0.2, -0.1 + step / 20), (0.2, 0.1))
            for each, author in ((one, "reader"), (other, "other")):
                each.wait_saved()
                assert int(labels(study, name, author)["lesion"].sum()) == each.inked
            union = study.marks.labels(name, "hand")["lesion"]
            assert int(union.sum()) == one.inked + other.inked
        second.kill()


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


def phantom_study(root: Path) -> Study:
    """Synthetic ultrasound-like images with their exact numbers."""
    write_phantoms(root / "source", count=8, seed=7, size=320)
    import_pairs(root / "source" / "images", root / "source" / "masks", root / "study")
    study = Study.open(root / "study")
    weaken(study, marks="erosion:8%", mark_set="e8")
    return study


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


def test_the_models_outline_comes_after_the_stroke_and_is_judged(browser: Browser, tmp_path: Path) -> None:
    study = make_study(tmp_path, count=2)
    folder = study.folder / "runs" / "one" / "predictions" / "train"
    (folder / "masks").mkdir(parents=True)
    (folder / "numbers.csv").write_text("id,statistic,value,unit\nRoom 12 bed 0,share,30,percent\n")
    rows, columns = np.ogrid[:120, :160]
    PIL.Image.fromarray((rows - 60) ** 2 + (columns - 62) ** 2 < 900).save(
        folder / "masks" / "Room 12 bed 0_lesion.png"
    )
    server = Server(study.folder, "--author", "reader", "--run", str(folder.parents[1]), "--blind", "0")
    server.start()
    with visiting(browser, server) as marker:
        judge = marker.page.locator("#judge")
        assert shown_case(study, marker) == "Room 12 bed 0"
        assert judge.is_hidden()
        marker.key("m")
        assert judge.is_hidden()
        marker.draw((0, -0.1), (0, -0.08))
        judge.wait_for()
        marker.key("r")
        marker.next()
        marker.wait_saved()
        visit = Annotator(study.marks, "hand", "reader").progress()["Room 12 bed 0"].visits["reader"]
        assert (visit.model, visit.judgement) == ("shown", "right")
        assert judge.is_hidden()
    server.kill()


def test_a_team_signs_in(browser: Browser, tmp_path: Path) -> None:
    study = make_study(tmp_path)
    make_team(study)
    server = Server(study.folder, "--team", "--overlap", "1")
    server.start()
    context = browser.new_context(viewport=LAPTOP)
    marker = Marker(context.new_page())
    seen = []
    for name in ("ann", "eve"):
        sign_in(marker, server.address, name)
        seen.append(shown_case(study, marker))
        assert marker.inked == 0
        marker.draw((0, -0.1), (0, -0.08))
        marker.wait_saved()
        if name == "eve":
            marker.page.get_by_role("button", name="Team").click()
            marker.page.wait_for_selector("#team td:has-text('ann')")
            marker.key("Escape")
        marker.page.get_by_role("button", name="Sign out").click()
        marker.page.get_by_label("Name").wait_for()
    context.close()
    server.kill()
    assert len(set(seen)) == 2  # what nobody marked comes first
    assert [set(study.marks.case_ids("hand")), labels(study, seen[0], "eve")] == [set(seen), {}]
    assert marker.errors == []


class TestFullMasks:
    """Outlines of whole structures, for an audit."""

    @pytest.fixture
    def audit(self, tmp_path: Path) -> Iterator[tuple[Study, Server]]:
        study = make_study(tmp_path, count=2)
        folder = study.folder / "runs" / "one" / "predictions" / "train"
        (folder / "masks").mkdir(parents=True)
        (folder / "numbers.csv").write_text("id,statistic,value,unit\nRoom 12 bed 0,share,30,percent\n")
        PIL.Image.fromarray(ring()).save(folder / "masks" / "Room 12 bed 0_lesion.png")
        options = ("--author", "reader", "--full", "--marks", "audit", "--run", str(folder.parents[1]), "--blind", "0")
        server = Server(study.folder, *options)
        server.start()
        yield study, server
        server.kill()

    def test_a_line_around_a_structure_marks_all_of_it(self, browser: Browser, audit: tuple[Study, Server]) -> None:
        study, server = audit
        with visiting(browser, server) as marker:
            marker.draw((-0.2, -0.1), (-0.2, 0.1), (0.2, 0.1), (0.2, -0.1))
            marker.wait_saved()
            mask = Annotator(study.marks, "audit", "reader").labels(shown_case(study, marker))["lesion"]
            rows, columns = np.nonzero(mask)
            assert mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].mean() > 0.95
            assert int(mask.sum()) == marker.inked > 1000

    def test_fix_takes_the_models_outline_over_to_be_corrected(
        self, browser: Browser, audit: tuple[Study, Server]
    ) -> None:
        study, server = audit
        with visiting(browser, server) as marker:
            assert shown_case(study, marker) == "Room 12 bed 0"
            marker.draw((0, 0), (0, 0.001))
            marker.page.locator("#judge").wait_for()
            marker.page.get_by_role("button", name="I fix it").click()
            marker.page.wait_for_function(
                f"() => Number(document.getElementById('image').dataset.inked) >= {ring().sum()}"
            )
            reader = Annotator(study.marks, "audit", "reader")
            assert not (ring() & ~reader.labels("Room 12 bed 0")["lesion"]).any()  # its hole is a hole still
            assert int(reader.labels("Room 12 bed 0")["lesion"].sum()) == marker.inked < ring().sum() + 50
            marker.key("z")
            marker.wait_saved()
            assert int(reader.labels("Room 12 bed 0")["lesion"].sum()) == marker.inked < 50
            marker.next()
            marker.wait_saved()
            assert reader.progress()["Room 12 bed 0"].visits["reader"].judgement == "fix"


def ring() -> np.ndarray:
    rows, columns = np.ogrid[:120, :160]
    away = (rows - 60) ** 2 + (columns - 62) ** 2
    return np.asarray((away < 900) & (away >= 200))


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


def test_refused_strokes_are_kept_explained_and_offered_as_a_file(
    browser: Browser, own: tuple[Study, Server], tmp_path: Path
) -> None:
    study, server = own
    with visiting(browser, server) as marker:
        name = shown_case(study, marker)
        server.kill()
        marker.draw((0, -0.1), (0, 0.1))
        marker.page.wait_for_selector("#light[data-light=unsaved]")
        left = [case for case in study.cases if case.id != name]  # meanwhile someone takes the image out of the study
        Study.create(study.folder, study.settings, left, overwrite=True)
        marker.open(server.start())
        warning = marker.page.locator("#notes button.warning")
        warning.wait_for()
        assert "1 could not be stored: no such image" in warning.inner_text()
        marker.page.reload()
        marker.page.wait_for_selector("body[data-next-ms]")
        warning.click()
        with marker.page.expect_download() as download:
            marker.page.get_by_role("button", name="Save them as a file").click()
        download.value.save_as(tmp_path / "refused.json")
        kept = json.loads((tmp_path / "refused.json").read_text())
        (refusal,) = [entry for entry in kept["refused"] if entry["event"]["kind"] == "stroke"]
        assert refusal["reason"] == "no such image"
        assert len(refusal["event"]["points"]) > 3
        marker.page.get_by_role("button", name="Put them away").click()
        warning.wait_for(state="detached")
        marker.wait_saved()


def sign_in(marker: Marker, address: str, name: str) -> Marker:
    marker.page.goto(address)
    marker.page.get_by_label("Name").fill(name)
    marker.page.get_by_label("Password").fill("correct horse battery")
    marker.page.keyboard.press("Enter")
    marker.page.wait_for_selector("#case:not(:empty)")
    marker.page.wait_for_selector("body[data-next-ms]")
    return marker


def make_team(study: Study) -> None:
    team = Team(study.folder / "team.sqlite")
    for name, role in (("ann", "annotator"), ("bob", "annotator"), ("eve", "reviewer")):
        team.add(name, role, "correct horse battery")
    team.close()


def test_a_reviewer_sees_every_layer_and_sends_one_back(browser: Browser, tmp_path: Path) -> None:
    study = phantom_study(tmp_path)
    make_team(study)
    case = study.split("train")[0]
    row, column = np.argwhere(study.truth.mask(case, "lesion")).mean(axis=0)
    for name, down in (("ann", -14), ("bob", 16)):
        person = Annotator(study.marks, "hand", name)
        line = np.array([[row + down, column - 16], [row + down + 4, column], [row + down, column + 16]])
        person.draw(case.id, "lesion", Stroke(line, 7, (320, 320)), f"{name}1")
        person.visit(case.id, Visit("done", 2.1), f"{name}2")
    server = Server(study.folder, "--team", "--overlap", "1")
    server.start()
    context = browser.new_context(viewport=LAPTOP)
    context.set_default_timeout(15_000)
    marker = sign_in(Marker(context.new_page()), server.address, "eve")
    marker.page.get_by_role("button", name="Review").click()
    panel = marker.page.locator("#review")
    panel.get_by_text("ann", exact=True).wait_for()
    assert shown_case(study, marker) == case.id
    marker.page.mouse.move(1, 1)
    marker.painted()
    both = marker.picture()
    for name in ("ann", "bob"):
        panel.get_by_label(f"show {name}").uncheck()
    marker.painted()
    none = marker.picture()
    assert (both != none).any(axis=-1).sum() > 500
    panel.get_by_label("show bob").check()
    marker.painted()
    one = marker.picture()
    assert 200 < (one != none).any(axis=-1).sum() < (both != none).any(axis=-1).sum()
    folder = Path(os.environ.get("TALLYMARK_PICTURES", tmp_path))
    panel.get_by_label("show ann").check()
    marker.painted()
    marker.page.screenshot(path=folder / "marking-review.png")
    panel.get_by_role("button", name="Accept the marks of ann").click()
    panel.get_by_label("why bob's marks go back").fill("too low")
    panel.get_by_role("button", name="Send the marks of bob back").click()
    marker.wait_saved()
    marker.page.get_by_role("button", name="Sign out").click()
    marker.page.get_by_label("Name").wait_for()
    sign_in(marker, server.address, "bob")
    assert shown_case(study, marker) == case.id
    assert marker.page.locator("#reason").inner_text() == "sent back by eve: too low"
    context.close()
    server.kill()
    team = Team(study.folder / "team.sqlite")
    assert [line[1:] for line in team.audit() if line[2] in ("accepted", "returned")] == [
        ("eve", "accepted", f"ann: {case.id}"),
        ("eve", "returned", f"bob: {case.id}"),
    ]
    team.close()
    assert marker.errors == []


def test_tls_of_its_own_and_coded_images_show_the_same_picture(browser: Browser, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")]
    subprocess.run([openssl, *words, *files], check=True, capture_output=True)
    study = make_study(tmp_path, count=4)
    make_team(study)
    port = free_port()
    options = ["--team", "--public", f"https://localhost:{port}", "--overlap", "1"]
    options += ["--certificate", str(tmp_path / "certificate.pem"), "--private-key", str(tmp_path / "key.pem")]
    server, plain = Server(study.folder, *options, port=port), Server(study.folder, "--author", "ann")
    assert server.start() == f"https://localhost:{port}/"
    plain.start()
    context = browser.new_context(viewport=LAPTOP, ignore_https_errors=True)
    context.set_default_timeout(15_000)
    marker = sign_in(Marker(context.new_page()), server.address, "ann")
    cookie = context.cookies()[0]
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
    assert marker.page.title() == "tallymark"
    with visiting(browser, plain) as other:
        for _ in range(2):  # 8 bits, 16 bits
            assert marker.shown == other.shown
            for each in (marker, other):
                each.page.mouse.move(1, 1)
                each.painted()
            assert np.array_equal(marker.samples(), other.samples())
            for each in (marker, other):
                each.next()
    marker.draw((0, -0.1), (0, 0.1))
    marker.wait_saved()
    assert int(labels(study, shown_case(study, marker), "ann")["lesion"].sum()) == marker.inked > 0
    context.close()
    server.kill()
    plain.kill()
    assert marker.errors == []
