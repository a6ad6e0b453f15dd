"""Real BUSI, imported once for all tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallymark.datasets.busi import import_busi
from tallymark.datasets.pairs import ImportReport


@pytest.fixture(scope="session")
def busi(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ImportReport:
    """All of BUSI, the normal images included; ``busi.study`` is the folder of the study."""
    return import_busi(shared_data / "busi", tmp_path_factory.mktemp("busi") / "study", normals=True)
