"""No tracked file names a package registry or a path of one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

import tracked


def test_tracked_files_are_free_of_addresses_and_machine_paths() -> None:
    files = tracked.tracked_files()
    assert tracked.ROOT / "pyproject.toml" in files
    assert list(tracked.findings(files)) == []


@pytest.mark.parametrize(
    "text",
    [
        "see https://" + "pypi" + ".org/simple",
        "pip install --index-url" + " https://example.org torch",
        "file:/" + "/wheels/here",
        f"open('{tracked.ROOT}/data.png')",
        "cd /" + "tmp/somewhere",
    ],
)
def test_a_planted_one_is_found(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.md"
    file.write_text(f"harmless\n{text}\n")
    (line,) = tracked.findings([file], tmp_path)
    assert line.startswith("a.md, line 2: ")


@pytest.mark.parametrize(
    "text", ["/homepage", "a/tmp/b", "/home/study", "https://arxiv.org/abs/2605.03059", "my-study/runs", "/tmp"]
)
def test_what_only_looks_like_one_is_not(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.md"
    file.write_text(text)
    assert list(tracked.findings([file], tmp_path)) == []
