"""What is wrong with a study: a finding says where, what, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from tallymark.errors import TallymarkError

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Args:
        severity: ``"error"``: nothing can be trusted before it is mended; ``"warning"``: look at it.
        topic: settings, cases, numbers, images, marks, splits, duplicates or meaning.
        where: the file, row, column or case.
        what: is wrong.
        remedy: what to do about it.
        found: what stands there.
        expected: what should stand there.
    """

    severity: Severity
    topic: str
    where: str
    what: str
    remedy: str
    found: str = ""
    expected: str = ""

    @classmethod
    def of(cls, error: TallymarkError, topic: str, severity: Severity = "error") -> Finding:
        """The finding that an error is.

        Example:
            >>> print(Finding.of(TallymarkError("twice", where="row 4", found="'a'", remedy="rename one"), "cases"))
            error: row 4: twice; found 'a'; to mend it: rename one
        """
        remedy = error.remedy or (f"put {error.expected} there" if error.expected else "correct it")
        return cls(severity, topic, error.where or "", error.what, remedy, error.found or "", error.expected or "")

    def __str__(self) -> str:
        error = TallymarkError(
            self.what,
            where=self.where or None,
            found=self.found or None,
            expected=self.expected or None,
            remedy=self.remedy,
        )
        return f"{self.severity}: {error}"

    def document(self) -> dict[str, str]:
        """The finding for machines."""
        return asdict(self)


def some(names: Iterable[str]) -> str:
    """The first five names, and how many more there are.

    Example:
        >>> some("abcdefg")
        'a, b, c, d, e and 2 more'
    """
    listed = list(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")


def counted(count: int, noun: str) -> str:
    """A number of things.

    Example:
        >>> counted(0, "error"), counted(1, "image"), counted(2, "image")
        ('0 errors', '1 image', '2 images')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
