"""Decoding an image file by its suffix, into an array that says what was stored.

Pictures go through pillow and tifffile, volumes through SimpleITK. Whatever a decoder raises becomes a
:class:`ReadError` with the path.
"""

from __future__ import annotations

from pathlib import Path

import PIL.Image

from tallymark.data.picture_files import ORIENTATION, PICTURES, read_picture, read_tiff
from tallymark.data.raster import Geometry, Raster
from tallymark.data.volume_files import VOLUMES, read_volume, simple_itk, volume_space
from tallymark.errors import ReadError

__all__ = ["PICTURES", "SUFFIXES", "VOLUMES", "Geometry", "Raster", "decode", "image_space", "simple_itk", "suffix_of"]

SUFFIXES: tuple[str, ...] = (*PICTURES, *VOLUMES)
"""Every suffix of an image file that can be read, in lower case."""


def suffix_of(path: Path | str) -> str:
    """The suffix that decides how a file is read, in lower case; ``.nii.gz`` counts as one.

    Example:
        >>> suffix_of("a/B.NII.gz"), suffix_of("c.PNG")
        ('.nii.gz', '.png')
    """
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def decode(path: Path | str) -> Raster:
    """Read what an image file stores.

    Args:
        path: a picture or a volume; its suffix must say what it is.

    Returns:
        The stored values, upright: where a picture carries the orientation tag of EXIF or TIFF, it is turned as the
        tag says, because that is how every viewer has shown it to whoever marked it.

    Raises:
        ReadError: missing, a folder, empty, truncated, damaged, of another kind than its suffix says, of a kind that
            is not known, several pages, more than three axes.

    Example:
        >>> import tempfile, numpy as np
        >>> path = Path(tempfile.mkdtemp()) / "a.png"
        >>> PIL.Image.fromarray(np.array([[0, 7]], np.uint8)).save(path)
        >>> decode(path).values[..., 0].tolist()
        [[0, 7]]
    """
    path = Path(path)
    suffix = _check_file(path)
    try:
        if suffix in VOLUMES:
            return read_volume(path, suffix)
        return read_tiff(path) if PICTURES[suffix] == "TIFF" else read_picture(path, PICTURES[suffix])
    except ReadError:
        raise
    except Exception as error:
        # Decoders raise whatever a damaged byte leads them to: OSError, SyntaxError, struct.error, zlib.error ...
        message = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ReadError(
            "this image cannot be decoded",
            where=path,
            found=message,
            expected=f"a whole {suffix} file",
            remedy="copy it again from where it came, or take it out of the folder",
        ) from error


def image_space(path: Path | str) -> tuple[int, ...]:
    """Rows and columns (planes first, if any) of an image, from its header where the format allows.

    Args:
        path: a picture or a volume.

    Returns:
        The shape that :func:`decode` gives, without the channel.

    Raises:
        ReadError: as :func:`decode`.

    Example:
        >>> import tempfile, numpy as np
        >>> path = Path(tempfile.mkdtemp()) / "a.png"
        >>> PIL.Image.fromarray(np.zeros((2, 5), np.uint8)).save(path)
        >>> image_space(path)
        (2, 5)
    """
    path = Path(path)
    suffix = _check_file(path)
    try:
        if suffix in VOLUMES:
            return volume_space(path, suffix)
        if PICTURES[suffix] != "TIFF":
            with PIL.Image.open(path, formats=[PICTURES[suffix]]) as picture:
                columns, rows = picture.size
                turned = picture.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
            return (columns, rows) if turned else (rows, columns)
    except Exception:
        pass  # decoding says what is wrong
    return decode(path).values.shape[:-1]


def _check_file(path: Path) -> str:
    """The known suffix of a file that is there and not empty."""
    suffix = suffix_of(path)
    if path.is_dir():
        raise ReadError("this is a folder", where=path, expected="an image file")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ReadError("cannot be read", where=path, found=error.strerror, expected="an image file") from error
    if suffix not in SUFFIXES:
        raise ReadError(
            "this kind of image is not known", where=path, found=suffix or "no suffix", expected=", ".join(SUFFIXES)
        )
    if size == 0:
        raise ReadError("the file is empty", where=path, remedy="copy it again from where it came")
    return suffix
