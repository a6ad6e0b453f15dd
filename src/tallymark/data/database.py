"""SQLite with the promises that marks need: what was acknowledged is on the disk, and damage is noticed.

Every transaction opens the file and closes it again. That costs a millisecond and leaves nothing behind: no lock while
nobody works, no connection that a thread or a forked process could misuse, one single file that can be copied.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path

from tallymark.data.atomic import storage_error
from tallymark.errors import ReadError, StorageError

_NETWORK = ("nfs", "cifs", "smb", "afs", "9p", "ceph", "gluster", "lustre", "gpfs", "beegfs", "glusterfs", "fuse.")

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


@contextmanager
def transaction(
    path: Path, schema: str, version: int, upgrades: Mapping[int, str] | None = None
) -> Iterator[sqlite3.Connection]:
    """A transaction that writes; committed to the disk when the block ends, rolled back on any error.

    Args:
        path: the database; made with ``schema`` if missing.
        schema: statements that make its tables.
        version: of the schema.
        upgrades: by older version, the statements that bring it to this one; they run in the same transaction.

    Yields:
        The connection, inside of the transaction.

    Raises:
        StorageError: it cannot be written.
        ReadError: it is damaged, or of another version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
    with _explained(path), closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {_journal(path.parent)}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            found = _version(connection, path, {version, *(upgrades or {})})
            if found != version:
                for statement in (schema if found is None else (upgrades or {})[found]).split(";\n\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@contextmanager
def reading(path: Path, versions: Collection[int]) -> Iterator[sqlite3.Connection | None]:
    """A connection that only reads; the folder may be read-only.

    Args:
        path: the database.
        versions: of the schemas that the caller can read.

    Yields:
        The connection; None if there is no database, or nothing was ever committed to it.

    Raises:
        ReadError: it is damaged, or of another version.
        StorageError: it cannot be opened.
    """
    if not path.exists():
        yield None
        return
    options = "mode=rw"
    if not _is_writable(path) or not _is_writable(path.parent):
        # SQLite wants to put helper files beside a database with a write-ahead log, unless told that nobody writes.
        options = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    address = f"{path.resolve().as_uri()}?{options}"
    with _explained(path), closing(sqlite3.connect(address, uri=True, timeout=30)) as connection:
        yield None if _version(connection, path, versions) is None else connection


def check_whole(path: Path, versions: Collection[int]) -> None:
    """Read all of a database.

    Raises:
        ReadError: it is damaged.
    """
    with reading(path, versions) as connection:
        found = "ok" if connection is None else connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise _damage(path, found)


def network_file_system(folder: Path, mounts: str | None = None) -> str | None:
    r"""The kind of the network share that a folder lies on.

    Args:
        folder: an existing folder.
        mounts: the system's table of mounts, as ``/proc/self/mounts`` writes it; None reads that file.

    Returns:
        The kind, or None for a local disk (or where the system does not tell).

    Example:
        >>> network_file_system(Path("/home/study"), "disk / ext4 rw 0 0\nserver:/home /home nfs4 rw 0 0")
        'nfs4'
    """
    resolved = folder.resolve()
    if sys.platform == "win32":
        return "network share" if str(resolved).startswith("\\\\") else None
    if mounts is None:
        table = Path("/proc/self/mounts")
        mounts = table.read_text(errors="replace") if table.exists() else ""
    found = (0, "")
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        mounted = Path(point.replace("\\040", " "))
        if resolved.is_relative_to(mounted):
            found = max(found, (len(mounted.parts), kind), key=lambda entry: entry[0])
    return found[1] if found[1].startswith(_NETWORK) else None


@lru_cache  # the table of mounts may be long, and a stroke waits for this
def _journal(folder: Path) -> str:
    """The write-ahead log needs memory that all users of the file share, which a network does not offer."""
    return "WAL" if network_file_system(folder) is None else "DELETE"


def _version(connection: sqlite3.Connection, path: Path, known: Collection[int]) -> int | None:
    """The version of the tables; None where a process that was killed early left a database without any."""
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not found and not connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
        return None
    if found not in known:
        raise ReadError(
            "this database has another format",
            where=path,
            found=found,
            expected=max(known),
            remedy="use the version of tallymark that made it",
        )
    return found


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _damage(path: Path, found: object) -> ReadError:
    return ReadError(
        "this database is damaged",
        where=path,
        found=found,
        remedy="put a copy back; keep the damaged file, most of it can often be recovered ('sqlite3 FILE .recover')",
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say in our words what SQLite could not do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the rest the detail
        if code in _DAMAGED:
            raise _damage(path, error) from error
        if isinstance(error, sqlite3.OperationalError):
            raise StorageError(
                "the database cannot be used",
                where=path,
                found=error,
                remedy="see that the disk has space, that you may write here, and that nobody else holds the file",
            ) from error
        raise
