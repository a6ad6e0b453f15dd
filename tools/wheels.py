"""Makes a folder with the few small wheels that a GPU machine without network lacks: ``make wheels [PYTHON=3.12]``.

Such a machine has torch and its usual companions (``[tool.tallymark.offline] given`` in pyproject.toml) and what those
require. The folder holds the rest of what training imports, each file checked against the hashes of requirements.lock,
and tallymark's own wheel. There: ``pip install --no-index --no-deps build/wheels/3.12/*.whl``.
"""

from __future__ import annotations

import argparse
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from locked import LOCK, ROOT, closure, environment_of, read_lock

THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MIB = 1024 * 1024


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def offline_settings() -> dict[str, Any]:
    """The table ``[tool.tallymark.offline]``."""
    settings: dict[str, Any] = pyproject()["tool"]["tallymark"]["offline"]
    return settings


def given(python: str | None = None) -> set[str]:
    """What the machine without network is taken to have."""
    settings = offline_settings()
    return set(closure(settings["given"], environment_of(python), stop_at=settings["not-given"]))


def missing(python: str | None = None) -> set[str]:
    """What training needs besides; tallymark itself not counted."""
    settings = offline_settings()
    needed = pyproject()["project"]["dependencies"]
    return set(closure(needed, environment_of(python), stop_at=settings["not-for-training"])) - given(python)


def platforms(name: str) -> list[str]:
    """A platform and the older ones that it also runs, as pip must be told one by one."""
    if found := re.fullmatch(r"manylinux_2_(\d+)_(\w+)", name):
        newest, machine = int(found[1]), found[2]
        old = [f"{alias}_{machine}" for alias in ("manylinux2014", "manylinux2010", "manylinux1")]
        return [f"manylinux_2_{minor}_{machine}" for minor in range(newest, 4, -1)] + old
    return [name]


def stamp(python: str, platform_name: str) -> str:
    """What a folder of downloaded wheels was made from."""
    names = sorted(missing(python))
    pins = [pin for pin in read_lock() if pin.name in names and pin.applies(environment_of(python))]
    return "\n".join([platform_name, *(pin.line() for pin in pins)]) + "\n"


def download(folder: Path, python: str, platform_name: str) -> None:
    """Fills the folder with the missing wheels, unless it holds just these."""
    wanted = stamp(python, platform_name)
    mark = folder / ".complete"
    if mark.is_file() and mark.read_text() == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    mark.unlink(missing_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        requirements = Path(scratch) / LOCK.name
        requirements.write_text("\n".join(wanted.splitlines()[1:]) + "\n")
        target = [f"--platform={name}" for name in platforms(platform_name)]
        pip("download", "--require-hashes", "--no-deps", "--only-binary=:all:", f"--python-version={python}",
            "--implementation=cp", *target, f"--dest={folder}", f"--requirement={requirements}")  # fmt: skip
    mark.write_text(wanted)


def build_own(folder: Path) -> None:
    """tallymark's own wheel, from the sources as they stand."""
    for old in folder.glob("tallymark-*.whl"):
        old.unlink()
    pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(ROOT))


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run([*command, *arguments[1:]], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}wheels: pip {arguments[0]} failed (above)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=THIS_PYTHON, help="Python of the machine without network, such as 3.12")
    parser.add_argument("--platform", default=f"manylinux_2_28_{platform.machine()}", help="its wheel platform")
    options = parser.parse_args()
    folder = ROOT / "build" / "wheels" / options.python
    download(folder, options.python, options.platform)
    build_own(folder)
    files = sorted(folder.glob("*.whl"))
    present = {canonicalize_name(file.name.split("-")[0]) for file in files}
    if lacking := (missing(options.python) | {"tallymark"}) - present:
        sys.exit(f"wheels: not made: {', '.join(sorted(lacking))}")
    size, limit = sum(file.stat().st_size for file in files) / MIB, offline_settings()["limit-mib"]
    if size > limit:
        sys.exit(f"wheels: {folder.relative_to(ROOT)} has {size:.1f} MiB, more than {limit} MiB")
    print(f"{folder.relative_to(ROOT)}: {len(files)} wheels, {size:.1f} MiB, for Python {options.python}")


if __name__ == "__main__":
    main()
