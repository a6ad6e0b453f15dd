"""``doctor`` sees what is wrong and says what to do."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torchvision

from tallymark.cli import doctor, main
from tallymark.cli.doctor import Check, run_checks


def _named(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_a_sound_machine_is_sound(tmp_path: Path) -> None:
    checks = run_checks(tmp_path)
    assert [check for check in checks if not check.ok] == []
    assert {"Python", "torch and torchvision", "GPU", "CPU cores", "free disk", "write access", "versions"} == {
        check.name for check in checks
    }


def test_a_folder_to_come_is_judged_by_its_parent(tmp_path: Path) -> None:
    assert _named(run_checks(tmp_path / "not" / "yet"), "write access").found == str(tmp_path)


def test_a_mismatched_pair_is_found_by_calling_an_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", broken)
    check = _named(run_checks(), "torch and torchvision")
    assert not check.ok
    assert "torchvision::nms" in check.found
    assert "torch torchvision" in check.remedy


def test_a_full_disk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - 10**9, 10**9))
    check = _named(run_checks(), "free disk")
    assert (check.ok, check.found) == (False, "1.0 GB")
    assert "2 GB" in check.remedy


def test_a_folder_that_cannot_be_written_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Permissions do not bind root, under whom tests often run.
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    check = _named(run_checks(tmp_path), "write access")
    assert not check.ok
    assert "Permission denied" in check.found
    assert check.remedy


def test_the_verb_prints_a_table_or_json_and_ends_with_a_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Check("free disk", False, "0.1 GB", "free some")
    monkeypatch.setattr(doctor, "run_checks", lambda _: [bad])
    with pytest.raises(SystemExit) as end:
        main(["doctor"])
    assert end.value.code == 1
    assert "MEND" in (text := capsys.readouterr().out)
    assert "free some" in text
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--json"])
    assert end.value.code == 1
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "ok": False,
        "checks": [{"name": "free disk", "ok": False, "found": "0.1 GB", "remedy": "free some"}],
    }
