"""Writing a file so that it is either all there or as it was before.

A full disk, a kill or a power cut in the middle of a write must cost nothing that was there. The new content goes
into a temporary file beside the target, reaches the disk, and only then takes the target's name in one step.
"""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tallymark.errors import StorageError

_REMEDIES = {
    errno.ENOSPC: "free some space on this disk and run the command again",
    errno.EDQUOT: "free some of your quota on this disk and run the command again",
    errno.EFBIG: "this system limits the size of a file: raise the limit (ulimit -f) or choose another disk",
    errno.EACCES: "choose a folder that you may write to, or ask for permission to write here",
    errno.EPERM: "choose a folder that you may write to, or ask for permission to write here",
    errno.EROFS: "this disk is read-only: choose a folder on another one",
    errno.ENOTDIR: "a part of this path is a file, not a folder: choose another path",
    errno.EISDIR: "a folder has this name: choose another name or remove the folder",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def storage_error(path: Path | str, error: OSError) -> StorageError:
    """The error to raise when ``path`` cannot be written.

    Args:
        path: what was to be written.
        error: what the system answered.

    Returns:
        A :class:`StorageError` that says what the user can do.

    Example:
        >>> print(storage_error("a.csv", OSError(errno.EROFS, "Read-only file system")))
        a.csv: cannot be written; found Read-only file system; to mend it: this disk is read-only: choose a folder on \
another one
    """
    remedy = _REMEDIES.get(error.errno or 0, "check the disk and the path")
    return StorageError("cannot be written", where=path, found=error.strerror or error, remedy=remedy)


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Write to a temporary file that takes the place of ``path`` only when all went well.

    The temporary file lies in the same folder (a rename is one step only within a disk) and ends in the same name,
    so that writers that choose a format by the suffix choose the right one. Missing parent folders are made.

    Args:
        path: the file to write or replace.

    Yields:
        The path to write to.

    Raises:
        StorageError: the system refused (full disk, no permission, read-only folder). ``path`` is as it was before.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with replacing(folder / "a.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> [(entry.name, entry.read_text()) for entry in folder.iterdir()]
        [('a.txt', 'whole')]
    """
    path = Path(path)
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write ``data`` to ``path``, all or nothing.

    Args:
        path: the file to write or replace.
        data: its whole new content.

    Raises:
        StorageError: it cannot be written; the old file is intact.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.bin"
        >>> write_bytes(path, b"abc")
        >>> path.read_bytes()
        b'abc'
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    r"""Write ``text`` to ``path`` as UTF-8 with its line ends as they are, all or nothing.

    Args:
        path: the file to write or replace.
        text: its whole new content.

    Raises:
        StorageError: it cannot be written; the old file is intact.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> write_text(path, "µm")
        >>> path.read_bytes()
        b'\xc2\xb5m'
    """
    write_bytes(path, text.encode("utf-8"))


def _flush(path: Path) -> None:
    """Make the content of ``path`` reach the disk before its name does."""
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    """Make a rename in ``folder`` reach the disk, where the system offers that."""
    if sys.platform == "win32":
        return
    # Some network shares refuse to sync a folder; the rename itself has happened by now.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
