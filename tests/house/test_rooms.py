"""What the import contracts of pyproject.toml say holds at run time too, for every room there is."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "tallymark"
WITHOUT_TORCH = ("errors", "measure", "pictures", "grow", "data", "datasets", "marking")


def _modules(room: str) -> list[str]:
    folder = PACKAGE / room
    if not folder.is_dir():
        return [f"tallymark.{room}"] if (PACKAGE / f"{room}.py").is_file() else []
    inside = pkgutil.walk_packages([str(folder)], prefix=f"tallymark.{room}.")
    return [f"tallymark.{room}", *(module.name for module in inside)]


@pytest.mark.parametrize("room", [room for room in WITHOUT_TORCH if _modules(room)])
def test_a_room_without_torch_never_loads_it(room: str) -> None:
    imports = "; ".join(f"import {name}" for name in _modules(room))
    script = f"import sys; {imports}; print(sorted({{'torch', 'torchvision', 'lightning'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = "import sys, tallymark; print(sorted({'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_every_public_name_can_be_had() -> None:
    import tallymark

    for name in tallymark.__all__:
        assert getattr(tallymark, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = tallymark.nonsense
