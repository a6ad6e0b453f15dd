"""A team in real browsers: signing in, reviewing, TLS."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from playwright.sync_api import Browser

from browsing import (
    LAPTOP,
    PATIENCE_MS,
    TABLET,
    Marker,
    Server,
    free_port,
    labels,
    shown_case,
    sign_in,
    visiting,
)
from marking_study import PASSWORD, make_study, make_team, phantom_study
from tallymark.data.annotations import Annotator, Visit
from tallymark.data.strokes import Stroke
from tallymark.data.study import Case, Study, StudySettings
from tallymark.marking.settings import case_key
from tallymark.marking.team import Team

pytestmark = pytest.mark.browser


def test_a_team_signs_in(browser: Browser, tmp_path: Path, serving: Callable[..., Server]) -> None:
    study = make_study(tmp_path)
    make_team(study)
    server = serving(study, "--team", "--overlap", "1")
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
    assert len(set(seen)) == 2  # what nobody marked comes first
    assert [set(study.marks.case_ids("hand")), labels(study, seen[0], "eve")] == [set(seen), {}]
    assert marker.errors == []


@pytest.mark.parametrize(("size", "picture"), [(LAPTOP, "marking-review"), (TABLET, "marking-review-tablet")])
def test_a_reviewer_sees_every_layer_and_sends_one_back(
    browser: Browser, tmp_path: Path, serving: Callable[..., Server], size: Any, picture: str
) -> None:
    study = phantom_study(tmp_path)
    make_team(study)
    case = study.split("train")[0]
    row, column = np.argwhere(study.truth.mask(case, "lesion")).mean(axis=0)
    for name, down in (("ann", -14), ("bob", 16)):
        person = Annotator(study.marks, "hand", name)
        line = np.array([[row + down, column - 16], [row + down + 4, column], [row + down, column + 16]])
        person.draw(case.id, "lesion", Stroke(line, 7, (320, 320)), f"{name}1")
        person.visit(case.id, Visit("done", 2.1), f"{name}2")
    server = serving(study, "--team", "--overlap", "1")
    context = browser.new_context(viewport=size, has_touch=size is TABLET)
    context.set_default_timeout(PATIENCE_MS)
    marker = sign_in(Marker(context.new_page()), server.address, "eve")
    marker.page.get_by_role("button", name="Review").click()
    panel = marker.page.locator("#review")
    panel.get_by_text("ann", exact=True).wait_for()
    assert shown_case(study, marker) == case.id
    image, beside = marker.page.locator("#image").bounding_box(), panel.bounding_box()
    assert image is not None
    assert beside is not None  # what is read stands beside the image or below it, never on it
    assert image["x"] + image["width"] <= beside["x"] or image["y"] + image["height"] <= beside["y"]
    title = marker.page.locator("#case")
    assert title.evaluate("(element) => element.scrollWidth <= element.clientWidth")
    for button in marker.page.locator("button:visible").all():
        assert button.evaluate("(element) => element.scrollWidth <= element.clientWidth"), button
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
    marker.page.screenshot(path=folder / f"{picture}.png")
    panel.get_by_label("why bob's marks go back").fill("too low")
    panel.get_by_role("button", name="Accept the marks of ann").click()
    panel.get_by_label("show ann").uncheck()  # what was written stays there
    panel.get_by_role("button", name="Send the marks of bob back").click()
    marker.wait_saved()
    marker.page.get_by_role("button", name="Sign out").click()
    marker.page.get_by_label("Name").wait_for()
    sign_in(marker, server.address, "bob")
    assert shown_case(study, marker) == case.id
    assert marker.page.locator("#reason").inner_text() == "sent back by eve: too low"
    context.close()
    team = Team(study.folder / "team.sqlite")
    assert [line[1:] for line in team.audit() if line[2] in ("accepted", "returned")] == [
        ("eve", "accepted", f"ann: {case_key(case)}"),
        ("eve", "returned", f"bob: {case_key(case)}"),
    ]
    team.close()
    assert marker.errors == []


def test_an_admin_keeps_the_accounts(browser: Browser, tmp_path: Path, serving: Callable[..., Server]) -> None:
    study = make_study(tmp_path)
    make_team(study)
    team = Team(study.folder / "team.sqlite")
    team.add("chief", "admin", PASSWORD)
    server = serving(study, "--team", "--overlap", "1")
    contexts = [browser.new_context(viewport=LAPTOP, permissions=["clipboard-read", "clipboard-write"]) for _ in "ab"]
    markers = [Marker(context.new_page()) for context in contexts]
    for context in contexts:
        context.set_default_timeout(PATIENCE_MS)
    chief, ann = (sign_in(*each) for each in zip(markers, [server.address] * 2, ["chief", "ann"], strict=True))
    assert ann.page.get_by_role("button", name="Accounts").count() == 0
    page = chief.page
    page.get_by_role("button", name="Accounts").click()
    dialog = page.get_by_role("dialog", name="accounts")
    dialog.get_by_role("button", name="Block bob").wait_for()
    assert dialog.get_by_role("button", name="Block chief").count() == 0
    dialog.get_by_label("name of a new account").fill("ann")
    dialog.get_by_role("button", name="Add", exact=True).click()
    dialog.get_by_text("there is such an account already").wait_for()
    dialog.get_by_label("name of a new account").fill("zoe")
    dialog.get_by_label("role of a new account").select_option("reviewer")
    dialog.get_by_role("button", name="Add", exact=True).click()
    told = dialog.get_by_label("password of zoe")
    told.wait_for()
    password = told.input_value()
    dialog.get_by_role("button", name="Copy the password").click()
    dialog.get_by_text("Copied").wait_for()
    assert page.evaluate("() => navigator.clipboard.readText()") == password
    page.screenshot(path=Path(os.environ.get("TALLYMARK_PICTURES", tmp_path)) / "marking-accounts.png")
    dialog.get_by_role("button", name="Block ann", exact=True).click()
    dialog.get_by_role("button", name="Unblock ann").wait_for()
    assert told.count() == 0
    dialog.get_by_label("role of bob").select_option("reviewer")
    dialog.get_by_role("button", name="New password for bob").click()
    dialog.get_by_label("password of bob").wait_for()
    chief.key("Escape")
    assert dialog.get_by_label("password of bob").count() == 0
    assert team.users() | {"chief": None} == {
        "ann": ("annotator", False),
        "bob": ("reviewer", True),
        "chief": None,
        "eve": ("reviewer", True),
        "zoe": ("reviewer", True),
    }
    ann.draw((0, -0.1), (0, 0.1))
    ann.page.wait_for_selector("#notes .warning:has-text('you are signed out')")
    assert team.check("zoe", password) == "reviewer"
    team.close()
    for context in contexts:
        context.close()
    assert chief.errors == ann.errors == []


def test_who_was_signed_out_loses_no_stroke(browser: Browser, tmp_path: Path, serving: Callable[..., Server]) -> None:
    study = make_study(tmp_path)
    make_team(study)
    server = serving(study, "--team", "--overlap", "1")
    context = browser.new_context(viewport=LAPTOP)
    context.set_default_timeout(PATIENCE_MS)
    marker = sign_in(Marker(context.new_page()), server.address, "ann")
    name = shown_case(study, marker)
    context.clear_cookies()
    marker.draw((0, -0.1), (0, 0.1))
    marker.page.wait_for_selector("#notes .warning:has-text('load this page again and sign in')")
    sign_in(marker, server.address, "ann")
    marker.wait_saved()
    assert labels(study, name, "ann")["lesion"].any()
    context.close()
    assert marker.errors == []


def test_a_reviewer_of_a_volume_sees_each_mark_on_its_slice(
    browser: Browser, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((9, 40, 50), np.int16)), str(tmp_path / "a.nii.gz"))
    settings = StudySettings(name="volume", structures=("organ",), image={"dimension": 3})
    study = Study.create(tmp_path / "study", settings, [Case("a", tmp_path / "a.nii.gz", split="train")])
    make_team(study)
    ann = Annotator(study.marks, "hand", "ann")
    ann.draw("a", "organ", Stroke(np.array([[20.0, 10.0], [20.0, 40.0]]), 5, (9, 40, 50), plane=7), "u1")
    ann.visit("a", Visit("done", 4.0), "u2")
    context = browser.new_context(viewport=LAPTOP)
    context.set_default_timeout(PATIENCE_MS)
    marker = sign_in(Marker(context.new_page()), serving(study, "--team", "--overlap", "1").address, "eve")
    marker.page.get_by_role("button", name="Review").click()
    marker.page.wait_for_function("() => document.getElementById('slice-text').value === '8 / 9'")  # where ann marked
    assert marker.page.locator("#ticks").get_attribute("aria-label") == "marked slices: 8"
    marker.page.mouse.move(1, 1)
    marker.painted()
    assert np.ptp(marker.picture(), axis=(0, 1)).max() > 100
    marker.key("PageUp")
    marker.page.wait_for_function("() => document.getElementById('slice-text').value === '7 / 9'")
    marker.painted()
    assert np.ptp(marker.picture(), axis=(0, 1)).max() == 0
    context.close()
    assert marker.errors == []


def test_tls_of_its_own_and_coded_images_show_the_same_picture(
    browser: Browser, tmp_path: Path, serving: Callable[..., Server]
) -> None:
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
    server, plain = serving(study, *options, port=port), serving(study, "--author", "ann")
    assert server.address == f"https://localhost:{port}/"
    context = browser.new_context(viewport=LAPTOP, ignore_https_errors=True)
    context.set_default_timeout(PATIENCE_MS)
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
    assert marker.errors == []
