"""What marks ask of the database that they are in: a file or a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Rows(Protocol):
    """What a statement found."""

    def fetchone(self) -> Any:
        """The next row, a tuple; None if there is none."""

    def fetchall(self) -> Sequence[Any]:
        """All rows that are left."""


@runtime_checkable
class Connection(Protocol):
    """Inside of a transaction."""

    def execute(self, statement: str, values: Mapping[str, object], /) -> Rows:
        """Run a statement of the SQL that all databases share; values are named ``:name`` in it."""


@runtime_checkable
class Held(Protocol):
    """Connections that are kept open."""

    def close(self) -> None:
        """Close them."""


@runtime_checkable
class MarkTables(Protocol):
    """The tables ``mark_set`` and ``mark``, which grow and never forget."""

    @property
    def place(self) -> str:
        """Where they are, in words for people: no secret is in it."""

    @property
    def about(self) -> str:
        """The condition that row ``r`` takes back, or brings back, the mark ``m``."""

    def writing(self) -> AbstractContextManager[Connection]:
        """The transaction that is under way in this thread, or one of its own; one at a time writes.

        Raises:
            StorageError: nothing of the transaction is stored.
            ReadError: the tables are damaged, or of another version.
        """

    def reading(self) -> AbstractContextManager[Connection | None]:
        """A connection that sees what the transaction under way in this thread has written; None: no marks yet.

        Raises:
            ReadError: the tables are damaged, or of another version.
            StorageError: the server does not answer.
        """

    def hold(self) -> Held | None:
        """Keep connections open, for whoever writes often; None where that is not possible yet."""

    def rows(self, query: str, **values: object) -> list[Any]:
        """All rows that a query finds; none if there are no marks yet."""
