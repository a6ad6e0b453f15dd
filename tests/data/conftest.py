"""What the tests of files share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_NOBODY = 65534


@pytest.fixture
def bound_folder() -> Iterator[Path]:
    """A folder of a user whom permissions bind: the superuser, whom they do not, becomes nobody for the test."""
    folder = Path(tempfile.mkdtemp(prefix="tallymark-"))
    superuser = hasattr(os, "geteuid") and os.geteuid() == 0
    if superuser:
        os.chown(folder, _NOBODY, _NOBODY)
        os.seteuid(_NOBODY)
    try:
        yield folder
    finally:
        if superuser:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)
