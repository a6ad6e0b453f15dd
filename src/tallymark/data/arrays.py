"""Arrays that are computed once, stored beside the study, and memory-mapped ever after.

An entry is a folder with ``array.npy`` and ``about.json``. It gets its name only when it is whole, and it is checked
against its SHA-256 whenever it is opened: what a kill, a full disk or a bad copy left behind is never used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from tallymark.data.atomic import storage_error, write_text
from tallymark.data.images import file_sha256
from tallymark.errors import ReadError

_ABOUT, _ARRAY = "about.json", "array.npy"
_ABANDONED_SECONDS = 24 * 3600

_log = logging.getLogger(__name__)


def content_key(kind: str, content: Mapping[str, Any]) -> str:
    """A name that stands for exactly this content.

    Args:
        kind: starts the name.
        content: what the array depends on; JSON values.

    Returns:
        A folder name.

    Example:
        >>> content_key("images", {"size": [2, 2]}) == content_key("images", {"size": [2, 3]})
        False
    """
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def stored_array(root: Path, key: str, build: Callable[[Path], Mapping[str, Any]]) -> tuple[np.ndarray, dict[str, Any]]:
    """The array with this key, built if it is not there or damaged.

    Args:
        root: the folder of all entries.
        key: of :func:`content_key`.
        build: writes the array to the path that it is given (see :func:`write_rows`) and returns what to remember.

    Returns:
        The array, memory-mapped and read-only, and what was remembered.

    Raises:
        StorageError: it cannot be written; nothing half-made is left.
        TallymarkError: whatever ``build`` raises.
    """
    entry = root / key
    found = _load(entry)
    if found is None:
        _build(root, entry, build)
        found = _load(entry)
    if found is None:
        raise ReadError("this cache is damaged as soon as it is written", where=entry, remedy="check the disk")
    return found


def write_rows(path: Path, rows: Iterable[np.ndarray], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    """Write an array row by row.

    Rows go through ordinary writes, not a memory map: a full disk is then an error and not a crash (SIGBUS).

    Args:
        path: the ``.npy`` file.
        rows: along the first axis; each is cast to ``dtype``.
        shape: of the whole.
        dtype: of the whole.

    Raises:
        OSError: it cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.npy"
        >>> write_rows(path, iter([np.array([1, 2]), np.array([3, 4])]), (2, 2), np.uint8)
        >>> np.load(path).tolist()
        [[1, 2], [3, 4]]
    """
    with path.open("wb") as stream:
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for row in rows:
            stream.write(np.ascontiguousarray(row, dtype).tobytes())
        stream.flush()
        os.fsync(stream.fileno())


def _load(entry: Path) -> tuple[np.ndarray, dict[str, Any]] | None:
    """The entry, or None if it is not there or not what was written; a damaged one is removed."""
    if not entry.exists():
        return None
    try:
        about = json.loads((entry / _ABOUT).read_text(encoding="utf-8"))
        if file_sha256(entry / _ARRAY) == about["sha256"]:
            return np.load(entry / _ARRAY, mmap_mode="r", allow_pickle=False), about["remembered"]
    except (OSError, ValueError, KeyError, TypeError, ReadError):
        pass
    _log.warning("%s is damaged and is built anew", entry)
    with suppress(OSError):  # another process may have removed it by now
        aside = entry.with_name(f".tmp-{secrets.token_hex(4)}")
        entry.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
    return None


def _build(root: Path, entry: Path, build: Callable[[Path], Mapping[str, Any]]) -> None:
    unfinished = root / f".tmp-{secrets.token_hex(4)}"
    try:
        unfinished.mkdir(parents=True)
        _remove_abandoned(root)
        remembered = build(unfinished / _ARRAY)
        about = {"sha256": file_sha256(unfinished / _ARRAY), "remembered": dict(remembered)}
        write_text(unfinished / _ABOUT, json.dumps(about))
        try:
            unfinished.rename(entry)
        except OSError:
            if not entry.exists():  # else another process was first; its content is the same
                raise
    except OSError as error:
        raise storage_error(entry, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _remove_abandoned(root: Path) -> None:
    """Remove what a killed process left unfinished; what is young may belong to one that is at work."""
    for folder in root.glob(".tmp-*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
