"""The set-up script: it never takes an interrupted set-up for a complete one and does nothing twice.

Python and pip are played by a small script that writes down how it was called, so that nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tracked import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the set-up script is for make, which Windows lacks")

# Answers like a Python of the version in $AGE; "-m venv" copies itself into the environment; pip fails if told to.
_ACTOR = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
*version_info*) [ "$AGE" = new ] ;;
*--version*) echo "Python 3.11.9" ;;
"-m venv"*) [ "$VENV" = works ] && mkdir -p .venv/bin && cp "$ACTOR" .venv/bin/python ;;
"-m virtualenv"*) exit 1 ;;
*"pip install"*) case "$*" in *"$PIP_FAILS_ON"*) echo "no such package"; exit 1 ;; esac ;;
esac
"""

_PROGRAMS = (
    *("awk", "cat", "cksum", "cp", "date", "dirname", "env"),
    *("flock", "grep", "mkdir", "mv", "rm", "sh", "tail"),
)


class Checkout:
    """A checkout with only what set-up reads, and a path with only the programs of a bare machine."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        (self.root / "tools").mkdir(parents=True)
        shutil.copy(ROOT / "tools" / "setup.sh", self.root / "tools")
        self.lock = self.root / "requirements.lock"
        self.project = self.root / "pyproject.toml"
        self.lock.write_text("numpy==2.0.0\n")
        self.project.write_text("[project]\n")
        self.calls = folder / "calls"
        programs = folder / "bin"
        programs.mkdir()
        for name in _PROGRAMS:
            if found := shutil.which(name):
                (programs / name).symlink_to(found)
        # Set-up asks who it is before it touches the system's packages: here it is nobody.
        (programs / "id").write_text("#!/bin/sh\necho 1000\n")
        (programs / "id").chmod(0o755)
        actor = programs / "python3.11"
        actor.write_text(_ACTOR)
        actor.chmod(0o755)
        self.environment = {
            "PATH": str(programs),
            "CALLS": str(self.calls),
            "ACTOR": str(actor),
            "AGE": "new",
            "VENV": "works",
            "PIP_FAILS_ON": "nothing at all",
        }
        self.free(100)

    def free(self, gigabytes: int) -> None:
        """Plays the disk: what these tests see must not hang on how full the machine is that runs them."""
        df = Path(self.environment["PATH"]) / "df"
        df.write_text(f"#!/bin/sh\necho header\necho disk 0 0 {gigabytes * 1024**2} 0% /\n")
        df.chmod(0o755)

    def setup(self, **changes: str) -> subprocess.CompletedProcess[str]:
        self.calls.unlink(missing_ok=True)
        return subprocess.run(
            ["/bin/sh", "tools/setup.sh"],
            cwd=self.root,
            env=self.environment | changes,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def called(self) -> list[str]:
        """What was asked of Python, without the questions about its version."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [line for line in lines if "version" not in line.split("install")[0]]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def _is_lock_install(call: str) -> bool:
    return "--require-hashes" in call and "requirements.lock" in call


def test_the_first_makes_everything_and_the_second_nothing(checkout: Checkout) -> None:
    first = checkout.setup()
    assert first.returncode == 0, first.stderr
    assert "downloads several GB once" in first.stdout
    venv, locked, own = checkout.called()
    assert venv == "-m venv .venv"
    assert _is_lock_install(locked)
    assert own.endswith("--no-deps --no-build-isolation -e .")
    second = checkout.setup()
    assert (second.returncode, second.stdout, checkout.called()) == (0, "", [])


def test_a_changed_project_installs_only_itself_again(checkout: Checkout) -> None:
    checkout.setup()
    checkout.project.write_text("[project]\nname = 'other'\n")
    assert checkout.setup().returncode == 0
    (own,) = checkout.called()
    assert own.endswith("-e .")


def test_a_changed_lock_brings_the_environment_up_to_date(checkout: Checkout) -> None:
    checkout.setup()
    checkout.lock.write_text("numpy==2.0.1\n")
    assert checkout.setup().returncode == 0
    locked, own = checkout.called()
    assert _is_lock_install(locked)
    assert own.endswith("-e .")


@pytest.mark.parametrize("step", ["requirements.lock", "-e ."])
def test_what_was_interrupted_is_made_from_nothing(checkout: Checkout, step: str) -> None:
    failed = checkout.setup(PIP_FAILS_ON=step)
    assert failed.returncode == 1
    assert "no such package" in failed.stderr
    assert failed.stderr.splitlines()[-1].startswith("set-up failed: ")
    leftover = checkout.root / ".venv" / "half-written"
    leftover.touch()
    assert checkout.setup().returncode == 0
    assert len(checkout.called()) == 3
    assert not leftover.exists()


def test_an_update_that_fails_is_no_complete_environment(checkout: Checkout) -> None:
    checkout.setup()
    checkout.lock.write_text("numpy==2.0.1\n")
    assert checkout.setup(PIP_FAILS_ON="requirements.lock").returncode == 1
    assert checkout.setup().returncode == 0
    assert len(checkout.called()) == 3


def test_an_old_python_gets_one_clear_line(checkout: Checkout) -> None:
    done = checkout.setup(AGE="old")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "Python 3.11 or newer is needed" in line


def test_no_way_to_make_an_environment_gets_one_clear_line(checkout: Checkout) -> None:
    done = checkout.setup(VENV="fails")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "apt-get install python3-venv" in line
    assert not (checkout.root / ".venv").exists()


def test_a_full_disk_is_told_before_anything_is_downloaded(checkout: Checkout) -> None:
    checkout.free(3)
    done = checkout.setup()
    assert done.returncode == 1
    assert "3 GB free here" in done.stderr
    assert checkout.called() == []


def test_the_script_is_portable_shell() -> None:
    assert os.access(ROOT / "tools" / "setup.sh", os.X_OK)
    assert (ROOT / "tools" / "setup.sh").read_text().startswith("#!/bin/sh\n")
