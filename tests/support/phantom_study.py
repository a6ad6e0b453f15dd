"""A small study of synthetic images, made once a test process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tallymark.data.study import Study
from tallymark.datasets.pairs import import_pairs
from tallymark.datasets.phantom import write_phantoms
from tallymark.datasets.weaken import weaken


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once; tests that write work on a copy (``study``)."""
    root = tmp_path_factory.mktemp("phantoms")
    write_phantoms(root / "source", count=24, seed=0, size=48)
    folder = root / "study"
    import_pairs(root / "source" / "images", root / "source" / "masks", folder, groups=root / "source" / "groups.csv")
    weaken(Study.open(folder), marks="erosion:8%", mark_set="e8")
    return folder


@pytest.fixture
def study(finished_study: Path, tmp_path: Path) -> Path:
    """A copy of the study and its images that a test may damage."""
    shutil.copytree(finished_study.parent, tmp_path / "phantoms")
    return tmp_path / "phantoms" / "study"
