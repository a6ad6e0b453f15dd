"""The page: self-contained, escaped, complete, readable in light and dark."""

from __future__ import annotations

import base64
import dataclasses
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tallymark.errors import ReadError, StorageError
from tallymark.pictures import png_bytes
from tallymark.report import (
    Example,
    Fact,
    Floor,
    NumberPairs,
    ReportContent,
    RunSummary,
    Score,
    render,
    write_report,
)

DOT = png_bytes(np.zeros((1, 1, 3), np.uint8))
EMPTY = ("img", "meta", "br", "link", "input", "hr")


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, texts, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and "style" not in self._open:
            self.texts.append(" ".join(data.split()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def run(name: str = "first", **changes: object) -> RunSummary:
    numbers = (NumberPairs(np.array([0.1, 0.2]), np.array([0.1, 0.3])),)
    scores = (Score("IoU", 0.5, ".3f", "", "Overlap."), Score("Bias", 0.01, "+.2f"))
    examples = (Example("c1", DOT, "best, IoU 0.9"),)
    summary = RunSummary(name, "paper", 7, True, scores, curves_png=DOT, examples=examples, numbers=numbers)
    return dataclasses.replace(summary, **changes)  # type: ignore[arg-type]


def content(**changes: object) -> ReportContent:
    return dataclasses.replace(ReportContent("Title", "Lead.", (run(),)), **changes)  # type: ignore[arg-type]


def cells(html: str) -> list[list[str]]:
    """The table of scores, row by row."""
    table = re.search(r'<table class="scores">.*?</table>', html, re.DOTALL)
    assert table
    rows = re.findall(r"<tr.*?</tr>", table[0], re.DOTALL)
    strip = re.compile(r"<[^>]*>")
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[" ".join(strip.sub(" ", cell).split()) for cell in row] for row in found]


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = render(content())
    page = Page(html)
    assert not page.all("script")
    assert not page.all("link")
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?://|//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]*", "", html))
    (policy,) = [each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_pictures_are_embedded_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "curves.png").write_bytes(DOT)
    html = render(content(runs=(run(curves_png=tmp_path / "curves.png"),)))
    images = Page(html).all("img")
    assert all(image["alt"] for image in images)
    assert len(images) == 4, "an example, two plots of the numbers, the curves"
    assert html.count(base64.b64encode(DOT).decode()) == 2


def test_whatever_is_written_is_text() -> None:
    evil = "<script>alert('&\"')</script>"
    html = render(
        ReportContent(
            title=evil,
            lead=evil,
            runs=(
                run(
                    evil,
                    recipe=evil,
                    learned_from=evil,
                    scores=(Score(evil, 0.5, ".3f", evil, evil, evil),),
                    examples=(Example(evil, DOT, evil),),
                    settings={evil: {evil: evil}},
                    environment={evil: evil},
                ),
            ),
            facts=(Fact(evil, evil),),
            floors=(Floor(evil, (Score(evil, 0.1, ".3f", evil, evil, evil),), evil),),
            structures=(evil, evil),
            notes=(evil,),
            command=evil,
        )
    )
    page = Page(html)
    assert not page.all("script")
    assert all(attribute not in ("onerror", "onload") for _, attributes in page.elements for attribute in attributes)
    # Every field that was filled is shown: title twice, and each of the others at least once.
    assert sum(evil in text for text in page.texts) >= 18


def test_synthetic_images_are_called_synthetic_and_others_are_not() -> None:
    assert "Synthetic images." in Page(render(content(synthetic=True))).texts
    assert "synthetic" not in render(content(synthetic=False)).lower()


def test_the_table_has_a_line_a_run_and_a_floor() -> None:
    supervised = run("second", mask_free=False, scores=(Score("Bias", 0.02, "+.2f"), Score("Extra", None)))
    floor = Floor("Position map", (Score("IoU", 0.245),), "Never looks.")
    assert cells(render(content(runs=(run(learned_from="numbers"), supervised), floors=(floor,)))) == [
        ["Run", "IoU", "Bias"],
        ["first numbers", "0.500", "+0.01"],
        ["second full masks", "", "+0.02"],
        ["Position map never looks at the image", "0.245", ""],
    ]


def test_subjects_have_lines_of_their_own() -> None:
    scores = tuple(Score("IoU", value, subject=name) for name, value in (("fat", 0.5), ("muscle", 0.25)))
    html = render(content(runs=(run(scores=scores),), structures=("fat", "muscle")))
    assert cells(html) == [
        ["Run", "Of", "IoU"],
        ["first no full masks", "fat", "0.500"],
        ["muscle", "0.250"],
    ]
    assert 'rowspan="2"' in html
    texts = Page(html).texts
    assert "fat, predicted" in texts
    assert "muscle, predicted" in texts


def test_what_is_not_there_leaves_no_empty_section() -> None:
    bare = RunSummary("first", "paper", 0, True, ())
    texts = Page(render(content(runs=(bare,)))).texts
    assert not {"Examples", "Agreement of the numbers", "Training", "Notes", "What it learned from"} & set(texts)
    assert {"Examples", "Agreement of the numbers", "Training"} <= set(Page(render(content())).texts)


def test_numbers_without_a_pair_are_not_drawn() -> None:
    nothing = (NumberPairs(np.array([np.nan]), np.array([0.1])),)
    assert "Agreement of the numbers" not in Page(render(content(runs=(run(numbers=nothing),)))).texts


def test_runs_of_one_name_keep_their_own_plots() -> None:
    html = render(content(runs=(run(), run(numbers=()))))
    assert sum("Bland-Altman" in (image["alt"] or "") for image in Page(html).all("img")) == 1


def test_how_to_make_it_again_is_on_the_page() -> None:
    summary = run(settings={"optim": {"epochs": 40}}, environment={"versions": {"torch": "2.15.0"}, "gpu": None})
    texts = Page(render(content(runs=(summary,), command="tallymark demo --seed 7"))).texts
    for text in ("tallymark demo --seed 7", "optim.epochs", "40", "versions.torch", "2.15.0", "gpu", "none"):
        assert text in texts
    assert "recipe paper, seed 7" in texts


def test_one_content_gives_one_page() -> None:
    assert render(content()) == render(content())


def test_a_picture_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c1.png"
    with pytest.raises(ReadError, match="cannot be read") as caught:
        render(content(runs=(run(curves_png=path),)))
    assert caught.value.where == str(path)
    path.write_bytes(b"GIF89a")
    with pytest.raises(ReadError, match="not a PNG"):
        render(content(runs=(run(curves_png=path),)))


def test_a_page_that_cannot_be_made_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_report(content(), tmp_path / "new" / "report.html")
    before = path.read_text(encoding="utf-8")
    assert before == render(content())
    with pytest.raises(ReadError):
        write_report(content(runs=(run(curves_png=tmp_path / "nothing.png"),)), path)
    assert path.read_text(encoding="utf-8") == before
    with pytest.raises(StorageError):
        write_report(content(), path / "report.html")
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


@pytest.mark.browser
@pytest.mark.parametrize(("dark", "ground"), [(False, (255, 255, 255)), (True, (18, 22, 27))])
def test_a_browser_shows_it_in_light_and_dark(tmp_path: Path, dark: bool, ground: tuple[int, int, int]) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    red = png_bytes(np.broadcast_to(np.array([255, 0, 0], np.uint8), (40, 40, 3)).copy())
    page = write_report(content(runs=(run(examples=(Example("c1", red, "best"),)),)), tmp_path / "report.html")
    shot = tmp_path / "shot.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    options += ["--enable-logging=stderr", "--window-size=1000,2000", f"--screenshot={shot}", page.as_uri()]
    done = subprocess.run([browser, *options], capture_output=True, text=True, timeout=120, check=False)
    assert "Content Security Policy" not in done.stderr
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert tuple(pixels[2, 2]) == ground
    # The example fills a third of the width: the embedded picture was decoded and drawn.
    assert (pixels == (255, 0, 0)).all(axis=2).sum() > 200 * 200
