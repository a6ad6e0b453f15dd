"""Checks that no tracked file names a package registry or a path of one machine: ``python tools/tracked.py``.

Packages come from wherever the machine that installs them is set to look, and what works on one machine only does not
belong in the repository.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Those of the machine that checks, whatever they are.
_HERE = "|".join(re.escape(str(place)) for place in (ROOT, Path.home()) if len(place.parts) > 1)

FORBIDDEN = {
    "the address of a package registry": re.compile(
        r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|registry\.npmjs\.org|conda\.anaconda\.org|pkg\.dev/"
        r"|file:/{2}|--(?:extra-)?index-url[ =]\S|--find-links[ =]\S"
    ),
    "a path of one machine": re.compile(rf"(?<![\w.~}}-])(?:/(?:work|root|tmp|opt)/[\w.-]|{_HERE}(?!\w))"),
}


def tracked_files(root: Path = ROOT) -> list[Path]:
    """The files that git tracks and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    return [root / name for name in listed.split("\0") if name and (root / name).is_file()]


def findings(files: Iterable[Path], root: Path = ROOT) -> Iterator[str]:
    """One line for each forbidden text; files that are not UTF-8 text are passed over."""
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            for what, pattern in FORBIDDEN.items():
                if found := pattern.search(line):
                    yield f"{file.relative_to(root)}, line {number}: {what}: {found[0]}"


def main() -> int:
    found = list(findings(tracked_files()))
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
