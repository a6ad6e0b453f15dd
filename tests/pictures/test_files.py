"""A picture is there whole or not at all, and nothing heavy loads before one is drawn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tallymark.errors import StorageError
from tallymark.pictures import save_png

PICTURE = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


def test_a_picture_survives_the_file(tmp_path: Path) -> None:
    path = save_png(PICTURE, tmp_path / "a" / "b" / "picture.png")
    with Image.open(path) as image:
        assert (np.asarray(image) == PICTURE).all()
    assert [entry.name for entry in path.parent.iterdir()] == ["picture.png"]


def test_a_folder_in_the_way_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "picture.png").mkdir()
    with pytest.raises(StorageError) as caught:
        save_png(PICTURE, tmp_path / "picture.png")
    assert caught.value.where == str(tmp_path / "picture.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["picture.png"]


def test_a_file_in_place_of_a_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(StorageError):
        save_png(PICTURE, tmp_path / "folder" / "picture.png")


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on the size of a file is POSIX")
def test_a_disk_that_fills_up_costs_nothing_that_was_there(tmp_path: Path) -> None:
    path = save_png(PICTURE, tmp_path / "picture.png")
    before = path.read_bytes()
    program = (
        "import resource, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from tallymark.errors import StorageError\n"
        "from tallymark.pictures import save_png\n"
        "noise = np.random.default_rng(0).integers(0, 256, (99, 99, 3), dtype=np.uint8)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    save_png(noise, Path(sys.argv[1]))\n"
        "except StorageError:\n"
        "    sys.exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 7
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["picture.png"]


def test_importing_pictures_loads_nothing_heavy() -> None:
    program = (
        "import sys, tallymark.pictures\n"
        "heavy = {'torch', 'matplotlib', 'PIL', 'pandas', 'skimage', 'scipy'} & set(sys.modules)\n"
        "print(*sorted(heavy))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
