"""What a marking page is asked to do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tallymark.data.cases import Case
from tallymark.data.study import SPLITS
from tallymark.errors import ConfigError

TO_MARK = ("train", "select", "calibrate")
"""Splits that are marked unless others are named: what is tested on is not."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")

_FIRST_PORT, _PORTS = 8700, 200


@dataclass(frozen=True)
class MarkingSettings:
    """How a study is marked.

    Args:
        mark_set: the set of real marks that the page adds to.
        author: whose marks they are where there are no accounts.
        host: the address to listen at.
        port: the port; see :func:`port_of`.
        splits: images of these splits are to be marked, the first split first.
        variant: of the numbers that growth goes by; None: the recorded ones, or the only ones there are.
        run: whose predictions are shown; None: none.
        blind: share of images on which the model's outline stays hidden, in [0, 1].
        filled: strokes are outlines of whole structures (full masks, for an audit).

    Raises:
        ConfigError: an unknown split, a share outside of 0 to 1, a name that is empty.
    """

    mark_set: str = "hand"
    author: str = "reader"
    host: str = "127.0.0.1"
    port: int = _FIRST_PORT
    splits: Sequence[str] = TO_MARK
    variant: str | None = None
    run: Path | None = None
    blind: float | int = 0.2
    filled: bool = False

    def __post_init__(self) -> None:
        unknown = [split for split in self.splits if split not in SPLITS]
        if unknown or not self.splits:
            raise ConfigError(
                "unknown split", where="--split", found=", ".join(unknown) or "none", expected=", ".join(SPLITS)
            )
        if not 0 <= self.blind <= 1:
            raise ConfigError("this is no share", where="--blind", found=self.blind, expected="0 to 1")
        for option, name in (("--marks", self.mark_set), ("--author", self.author)):
            if not name.strip():
                raise ConfigError("a name is needed", where=option, found=repr(name))

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the page."""
        return self.host in LOOPBACK


def port_of(folder: Path) -> int:
    """The port at which a study is always served: what a browser keeps of unsent strokes belongs to address and port.

    Example:
        >>> port_of(Path("study")) == port_of(Path("study"))
        True
    """
    digest = hashlib.sha256(str(folder.resolve()).encode()).digest()
    return _FIRST_PORT + int.from_bytes(digest[:4], "big") % _PORTS


def case_key(case: Case) -> str:
    """What addresses and logs call a case: ids are often file names, and those often name a person.

    The same in every session, so that a stroke that waited in a browser finds its image.

    Example:
        >>> case_key(Case("a", Path("a.png"), sha256="0" * 64))
        'a7811fc81bc0f423bbea'
    """
    return hashlib.sha256(f"{case.sha256}/{case.id}".encode()).hexdigest()[:20]
