"""Training needs nothing but what a GPU machine without network has, and the folder of small wheels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections import defaultdict
from importlib import metadata
from pathlib import Path, PurePosixPath

import pytest
from packaging.utils import canonicalize_name

import wheels

FOLDER = wheels.ROOT / "build" / "wheels" / wheels.THIS_PYTHON
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def wheel_files() -> list[Path]:
    files = sorted(FOLDER.glob("*.whl"))
    if not (FOLDER / ".complete").is_file() or not files:
        message = f"{FOLDER.relative_to(wheels.ROOT)} is missing; to make it: make wheels"
        if os.environ.get("TALLYMARK_WHEELS") == "required" or os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return files


def link_distributions(names: set[str], site: Path) -> None:
    """A site folder that holds just these installed distributions, as symbolic links.

    A folder is linked whole where all that is in it belongs to them (torch); it is made and filled where others share
    it (site-packages itself, namespace packages).
    """
    owners: dict[PurePosixPath, set[str]] = defaultdict(set)
    files: list[tuple[PurePosixPath, Path]] = []
    for distribution in metadata.distributions():
        name = canonicalize_name(distribution.name)
        for entry in distribution.files or []:
            path = PurePosixPath(entry)
            if path.is_absolute() or ".." in path.parts:
                continue  # a script beside site-packages
            for place in (path, *path.parents):
                owners[place].add(name)
            if name in names:
                files.append((path, Path(str(distribution.locate_file("")))))
    linked: set[PurePosixPath] = set()
    for path, root in files:
        whole = next(place for place in (*reversed(path.parents), path) if owners[place] <= names)
        if whole not in linked:
            linked.add(whole)
            (site / whole).parent.mkdir(parents=True, exist_ok=True)
            (site / whole).symlink_to(root / whole)


def test_the_folder_is_small_and_complete(wheel_files: list[Path]) -> None:
    names = {canonicalize_name(file.name.split("-")[0]) for file in wheel_files}
    assert names == wheels.missing() | {"tallymark"}
    assert sum(file.stat().st_size for file in wheel_files) < wheels.offline_settings()["limit-mib"] * wheels.MIB


def test_clinical_readers_are_in_neither() -> None:
    there = wheels.missing() | wheels.given()
    assert there.isdisjoint({"simpleitk", "openpyxl", "pytest", "beartype"})
    assert {"torch", "numpy", "pandas"} <= wheels.given()
    assert {"pydantic", "pydantic-core", "jaxtyping"} <= wheels.missing()


def test_an_older_machine_runs_wheels_of_older_platforms() -> None:
    names = wheels.platforms("manylinux_2_17_x86_64")
    assert names[0] == "manylinux_2_17_x86_64"
    assert {"manylinux_2_5_x86_64", "manylinux2014_x86_64"} <= set(names)
    assert "manylinux_2_28_x86_64" not in names
    assert wheels.platforms("win_amd64") == ["win_amd64"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("offline") / "site"
    link_distributions({canonicalize_name(name) for name in wheels.given()}, folder)
    return folder


def run_offline(work: Path, *sites: Path) -> subprocess.CompletedProcess[str]:
    work.mkdir()
    command = [sys.executable, "-I", "-S", str(HERE / "offline_training.py"), str(work), *map(str, sites)]
    environment = {"PATH": "", "HOME": str(work), "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=240)


def test_training_in_an_environment_of_just_these(wheel_files: list[Path], site: Path, tmp_path: Path) -> None:
    unpacked = tmp_path / "wheels"
    for file in wheel_files:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(unpacked)
    for absent in ("SimpleITK", "openpyxl", "beartype"):
        assert not any((folder / absent).exists() for folder in (site, unpacked))
    done = run_offline(tmp_path / "work", site, unpacked)
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["foreign"] == []
    assert result["scores"]


def test_without_the_wheels_it_cannot_train(site: Path, tmp_path: Path) -> None:
    """Else the environment would not be as bare as the test above takes it to be."""
    done = run_offline(tmp_path / "work", site)
    assert done.returncode == 1
    assert "No module named 'tallymark'" in done.stderr
