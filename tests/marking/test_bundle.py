"""The committed bundle is small, whole, and made from the committed sources."""

from __future__ import annotations

from pathlib import Path

import pytest

import web


def test_the_bundle_is_of_these_sources() -> None:
    assert web.problems() == []


def test_it_reaches_for_nothing_elsewhere() -> None:
    for path in web.BUNDLE.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
        assert "eval(" not in text


def test_a_changed_source_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.ts").write_text("1")
    before = web.digest(tmp_path)
    (tmp_path / "src" / "a.ts").write_text("2")
    assert web.digest(tmp_path) != before
    monkeypatch.setattr(web, "WEB", tmp_path)
    assert web.digest(tmp_path) not in (web.BUNDLE / web.DIGEST).read_text()
