"""What a marking page is asked to do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

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
        overlap: share of the images that everybody of a team marks, so that agreement can be measured.
        public: the address under which people reach the page, ``https://mark.clinic.example``, where it is served
            beyond this machine.
        certificate: file of the TLS certificate.
        private_key: file of its key.
        behind_proxy: a proxy that speaks TLS stands before the page.
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
    overlap: float | int = 0.1
    public: str | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    behind_proxy: bool = False
    filled: bool = False

    def __post_init__(self) -> None:
        unknown = [split for split in self.splits if split not in SPLITS]
        if unknown or not self.splits:
            raise ConfigError(
                "unknown split",
                where="--split",
                found=", ".join(unknown) or "none",
                expected=", ".join((*SPLITS, "or all")),
            )
        for option, share in (("--blind", self.blind), ("--overlap", self.overlap)):
            if not 0 <= share <= 1:
                raise ConfigError("this is no share", where=option, found=share, expected="0 to 1")
        for option, name in (("--marks", self.mark_set), ("--author", self.author)):
            if not name.strip():
                raise ConfigError("a name is needed", where=option, found=repr(name))

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the page."""
        return self.host in LOOPBACK and not (self.public or self.certificate or self.behind_proxy)

    def origins(self, users: int) -> tuple[str, ...]:
        """The addresses under which the page may be reached, the first the one to tell people.

        Args:
            users: how many accounts there are.

        Raises:
            ConfigError: it would be served beyond this machine without accounts, without TLS, or under no name.
        """
        if self.on_loopback:
            hosts = dict.fromkeys((self.host, "localhost"))
            return tuple(f"http://{f'[{host}]' if ':' in host else host}:{self.port}" for host in hosts)
        where = f"--host {self.host}"
        if not users:
            raise ConfigError(
                "beyond this machine nobody marks without a name",
                where=where,
                remedy="make accounts first: tallymark team add STUDY NAME",
            )
        if not self.behind_proxy and (self.certificate is None or self.private_key is None):
            raise ConfigError(
                "beyond this machine nothing travels in the clear",
                where=where,
                expected="--certificate and --private-key, or --behind-proxy",
                remedy="give a TLS certificate, or put the page behind a proxy that speaks TLS and say so",
            )
        parts = urlsplit(self.public or "")
        if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
            raise ConfigError(
                "under which address do people reach the page?",
                where="--public",
                found=self.public or "nothing",
                expected="https://NAME or https://NAME:PORT",
            )
        return (f"https://{parts.netloc}",)


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
