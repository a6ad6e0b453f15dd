"""The lock fits pyproject.toml and what is installed, and holds no address."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import locked

DIGEST = "sha256:" + "0" * 64


def test_lock_project_and_environment_agree() -> None:
    assert locked.problems() == []


def test_every_file_of_the_lock_is_pinned_by_hash_and_nothing_else() -> None:
    text = locked.LOCK.read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    pins = locked.read_lock()
    assert len(pins) > 50
    assert all(pin.hashes for pin in pins)


def test_torch_and_torchvision_are_a_pair() -> None:
    versions = {pin.name: pin.version for pin in locked.read_lock()}
    (wanted,) = [need for text in metadata.requires("torchvision") or [] if (need := Requirement(text)).name == "torch"]
    assert wanted.specifier.contains(versions["torch"])


def test_a_pin_is_read(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text(f"# made\nNum_Py==2.0.1 ; python_full_version < '3.12' \\\n    --hash={DIGEST}\n    # via us\n")
    (pin,) = locked.read_lock(lock)
    assert (pin.name, pin.version, pin.hashes) == ("num-py", Version("2.0.1"), (DIGEST,))
    assert pin.applies(locked.environment_of("3.11"))
    assert not pin.applies(locked.environment_of("3.12"))


@pytest.mark.parametrize("line", ["--no-index", "numpy", "numpy>=2", "numpy @ file:numpy.whl"])
def test_anything_but_a_pin_is_refused(tmp_path: Path, line: str) -> None:
    lock = tmp_path / "lock"
    lock.write_text(f"{line}\n")
    with pytest.raises(ValueError, match="line 1"):
        locked.read_lock(lock)


def test_a_closure_follows_extras_and_stops_where_told() -> None:
    with_http = locked.closure(["fsspec[http]"])
    assert "aiohttp" in with_http
    assert "yarl" in with_http
    assert set(locked.closure(["fsspec"])) == {"fsspec"}
    assert "yarl" not in locked.closure(["fsspec[http]"], stop_at=["aiohttp"])
