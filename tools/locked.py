"""Reads requirements.lock and checks that it fits pyproject.toml: ``python tools/locked.py``.

The lock holds names, versions, hashes and universal markers, and no address: where packages come from is the affair of
the machine that installs them.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>[^\\]+?))?\s*$")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})$")


@dataclass(frozen=True)
class Pin:
    """One package of the lock: a name, one version, where it applies, and the hashes of its files."""

    name: str
    version: Version
    marker: Marker | None
    hashes: tuple[str, ...]

    def applies(self, environment: dict[str, str]) -> bool:
        return self.marker is None or self.marker.evaluate(environment)

    def line(self) -> str:
        """The pin as pip reads it, without its marker: whoever chose the pin has judged that."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={digest}" for digest in self.hashes)])


def read_lock(path: Path = LOCK) -> list[Pin]:
    """The pins of a lock file; a line that is neither a pin, a hash nor a comment is refused."""
    pins: list[Pin] = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").replace("\\\n", "\n").splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if found := _PIN.match(line):
            marker = found["marker"]
            pins.append(
                Pin(
                    name=canonicalize_name(found["name"]),
                    version=Version(found["version"]),
                    marker=Marker(marker) if marker else None,
                    hashes=(),
                )
            )
        elif (found := _HASH.match(line)) and pins:
            last = pins[-1]
            pins[-1] = Pin(last.name, last.version, last.marker, (*last.hashes, found[1]))
        else:
            raise ValueError(f"{path.name}, line {number}: neither a pin, a hash nor a comment: {line}")
    return pins


def project_requirements() -> list[Requirement]:
    """What pyproject.toml asks for, to use tallymark and to work on it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [Requirement(text) for text in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]]


def environment_of(python: str | None = None) -> dict[str, str]:
    """The marker environment of this machine, or of the same machine with another Python ("3.12")."""
    environment = {key: str(value) for key, value in default_environment().items()}
    if python is not None:
        environment |= {"python_version": python, "python_full_version": f"{python}.0"}
    return environment


def closure(
    names: Iterable[str], environment: dict[str, str] | None = None, stop_at: Iterable[str] = ()
) -> dict[str, str]:
    """The named distributions and all that they require, from the metadata of what is installed.

    Args:
        names: requirements such as ``"pandas"`` or ``"fsspec[http]"``.
        environment: judges the markers; this machine's by default.
        stop_at: distributions that are neither included nor followed.

    Returns:
        Canonical name to the requirement that first asked for it. A distribution that is not installed here (needed
        on another platform only) is included without what it requires.
    """
    environment = environment or environment_of()
    stopped = {canonicalize_name(name) for name in stop_at}
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(Requirement(name), "asked for") for name in names]
    while waiting:
        requirement, reason = waiting.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if name in stopped or key in seen:
            continue
        seen.add(key)
        found.setdefault(name, reason)
        try:
            texts = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for text in texts:
            child = Requirement(text)
            extras = ["", *requirement.extras]
            if child.marker is None or any(child.marker.evaluate({**environment, "extra": extra}) for extra in extras):
                waiting.append((child, name))
    return found


def problems() -> list[str]:
    """Everything in which the lock, pyproject.toml and this environment contradict each other."""
    environment = environment_of()
    pins = read_lock()
    wrong = [f"{pin.name}: no hash in the lock" for pin in pins if not pin.hashes]
    here = {pin.name: pin for pin in pins if pin.applies(environment)}
    for requirement in project_requirements():
        pin = here.get(canonicalize_name(requirement.name))
        if pin is None:
            wrong.append(f"{requirement.name}: in pyproject.toml, missing in the lock")
        elif not requirement.specifier.contains(pin.version):
            wrong.append(f"{requirement.name}: pyproject.toml asks {requirement.specifier}, the lock has {pin.version}")
    needed = closure(str(requirement) for requirement in project_requirements())
    wrong += [f"{name}: required by {why}, missing in the lock" for name, why in needed.items() if name not in here]
    wrong += [f"{name}: in the lock, required by nothing" for name in here if name not in needed]
    for name, pin in here.items():
        installed = metadata.version(name)
        if Version(installed) != pin.version:
            wrong.append(f"{name}: the lock has {pin.version}, installed is {installed}")
    return wrong


def main() -> int:
    wrong = problems()
    for line in wrong:
        print(f"requirements.lock: {line}")
    if wrong:
        print("to mend it: make lock")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
