"""Pictures to files: a PNG is there whole or not at all."""

from __future__ import annotations

import io
import secrets
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tallymark.errors import StorageError


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """A picture as a PNG file in memory.

    Args:
        picture: (h, w, 3) or grey (h, w), 0..255.

    Example:
        >>> png_bytes(np.zeros((2, 3, 3), np.uint8))[1:4]
        b'PNG'
    """
    from PIL import Image

    buffer = io.BytesIO()
    # An evaluation writes hundreds of overlays: the best compression takes ten times as long for a tenth less.
    Image.fromarray(picture).save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def save_png(picture: NDArray[np.uint8], path: Path) -> Path:
    """Write a picture; folders on the way are made, an older file is replaced in one step.

    Args:
        picture: (h, w, 3) or grey (h, w), 0..255.
        path: the file.

    Raises:
        StorageError: the file cannot be written; what was there before is still there.
    """
    return write_whole(png_bytes(picture), path)


def write_whole(content: bytes, path: Path) -> Path:
    """Write bytes beside ``path`` and move them into place, so that no reader ever sees half a file.

    Raises:
        StorageError: no permission, a full disk or a folder in the way; what was there before is still there.
    """
    # The draft has a name of its own, so that two processes that write the same picture do not share one draft.
    draft = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        remedy = "free some space or choose a folder that you may write to"
        raise StorageError("cannot be written", where=path, found=error.strerror, remedy=remedy) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return path
