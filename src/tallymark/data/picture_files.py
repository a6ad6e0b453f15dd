"""Decoding pictures: PNG, JPEG and BMP through pillow, TIFF through tifffile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Shaped

from tallymark.data.raster import Raster
from tallymark.data.volume_files import simple_itk
from tallymark.errors import ReadError

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
"""Kind of picture by suffix."""

ORIENTATION = 0x0112
"""The tag of EXIF and TIFF that says how the stored array is to be shown."""


def read_picture(path: Path, kind: str) -> Raster:
    """Decode PNG, JPEG or BMP, or TIFF of a compression that tifffile leaves to others.

    Args:
        path: the file.
        kind: as pillow calls it.

    Returns:
        The stored values, upright.

    Raises:
        ReadError: of another kind, of unknown colours, truncated at its end. What else is wrong raises what pillow
            raises.
    """
    depth, colour = _png_header(path) if kind == "PNG" else (8, -1)
    if depth == 16 and colour != 0:
        return _deep_png(path, colour)
    try:
        picture = PIL.Image.open(path, formats=[kind])
    except PIL.UnidentifiedImageError as error:
        raise ReadError(
            f"this is not a {kind} file",
            where=path,
            found=_real_kind(path),
            remedy="give the file the suffix of what it is, or export it again",
        ) from error
    with picture:
        picture.load()
        # pillow turns a TIFF while loading; the other kinds are turned here.
        orientation = 1 if kind == "TIFF" else int(picture.getexif().get(ORIENTATION, 1))
        values = np.array(picture)
        transparency = picture.info.get("transparency")
        mode = picture.mode
        palette = _pillow_palette(picture) if mode in ("P", "PA") else None
    if mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "F") and not mode.startswith("I"):
        raise ReadError(
            "the colours of this picture are not known",
            where=path,
            found=mode,
            expected="grey, RGB, RGBA or a palette",
            remedy="export it as RGB",
        )
    alpha = None
    if mode in ("LA", "PA", "RGBA"):
        values, alpha = values[..., :-1], values[..., -1]
    elif transparency is not None:
        alpha = _keyed_alpha(values, transparency)
    bits = 1 if mode == "1" else values.dtype.itemsize * 8
    if kind == "PNG" and colour == 0 and depth in (2, 4):
        bits, values = depth, values // np.uint8(255 // (2**depth - 1))  # pillow spreads them over 0..255
    return _upright(values.astype(np.uint8) if mode == "1" else values, orientation, bits, palette, alpha)


def _png_header(path: Path) -> tuple[int, int]:
    """Bits per value and colour type of a PNG file; (8, -1) if it is none."""
    data = path.read_bytes()
    if len(data) < 26 or not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return 8, -1
    if b"IEND\xaeB`\x82" not in data[-65536:]:  # pillow is content without the end if it has all pixels
        raise ReadError("this image is truncated", where=path, remedy="copy it again from where it came")
    return data[24], data[25]


def _deep_png(path: Path, colour: int) -> Raster:
    """16-bit colour: pillow would drop half of the bits without a word, SimpleITK keeps them."""
    sitk = simple_itk()
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="PNGImageIO"))
    alpha = None
    if colour in (4, 6):
        values, alpha = values[..., :-1], values[..., -1]
    with PIL.Image.open(path, formats=["PNG"]) as picture:
        picture.load()  # pillow notices the damage that SimpleITK passes over
        orientation = int(picture.getexif().get(ORIENTATION, 1))
    return _upright(values, orientation, 16, None, alpha)


def _real_kind(path: Path) -> str:
    try:
        with PIL.Image.open(path) as picture:
            return f"a {picture.format} file"
    except Exception:
        return "no image that is known"


def _pillow_palette(picture: PIL.Image.Image) -> np.ndarray:
    colours = np.zeros((256, 3), np.uint8)
    stored = np.asarray(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colours[: len(stored)] = stored
    return colours


def _keyed_alpha(values: np.ndarray, transparency: bytes | int | tuple[int, ...]) -> np.ndarray:
    """Opacity from PNG's transparency key: one per index of a palette, or one value that is see-through."""
    if isinstance(transparency, bytes):
        table = np.full(256, 255, np.uint8)
        table[: len(transparency)] = np.frombuffer(transparency, np.uint8)
        return np.asarray(table[values])
    hidden = values == np.asarray(transparency)
    return np.where(hidden.all(axis=-1) if values.ndim == 3 else hidden, 0, 255).astype(np.uint8)


def read_tiff(path: Path) -> Raster:
    """Decode a TIFF of one page, with as many bits as it stores.

    Args:
        path: the file.

    Returns:
        The stored values, upright.

    Raises:
        ReadError: several pages, or colours that are not known. What else is wrong raises what tifffile raises.
    """
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        pages = sum(not getattr(page, "is_reduced", False) for page in tiff.pages)
        if pages != 1:
            raise ReadError(
                "this TIFF holds several pages",
                where=path,
                found=f"{pages} pages",
                expected="one",
                remedy="save each page as a file of its own, or a volume as NRRD or NIfTI with its spacing",
            )
        page: Any = tiff.pages.first
        tag = page.tags.get(ORIENTATION)
        photometric, samples, bits = int(page.photometric), page.samplesperpixel, page.bitspersample
        try:
            values = page.asarray()
        except ValueError as error:
            # LZW, JPEG and their kin: pillow's libtiff knows them, but cuts deep colour down to 8 bits.
            if "imagecodecs" not in str(error) or (bits > 8 and samples > 1):
                raise
            return read_picture(path, "TIFF")
        axes, extra, colormap = page.axes, page.extrasamples, page.colormap
    if photometric not in (0, 1, 2, 3):
        raise ReadError(
            "the colours of this TIFF are not known",
            where=path,
            found=getattr(page.photometric, "name", photometric),
            expected="grey, RGB, RGBA or a palette",
            remedy="export it as RGB",
        )
    if axes.startswith("S"):  # one plane per colour
        values = np.moveaxis(values, 0, -1)
    values = values.astype(np.uint8) if values.dtype == bool else values
    if photometric == 0 and values.dtype.kind == "u":  # zero is white
        values = (2**bits - 1 - values).astype(values.dtype)
    palette = None if photometric != 3 else (np.asarray(colormap).T >> 8).astype(np.uint8)
    alpha = None
    if (photometric == 2 and samples == 4) or (photometric < 2 and samples == 2 and int(extra[0]) in (1, 2)):
        values, alpha = values[..., :-1], values[..., -1]
    return _upright(values, 1 if tag is None else int(tag.value), bits, palette, alpha)


def _upright(
    values: np.ndarray, orientation: int, bits: int, palette: np.ndarray | None, alpha: np.ndarray | None
) -> Raster:
    """A picture turned as its orientation tag says, channel last."""
    values = values if values.ndim == 3 else values[..., None]
    turned = turn(values, orientation)
    return Raster(turned, bits, palette, None if alpha is None else turn(alpha, orientation))


def turn(values: Shaped[np.ndarray, "row column ..."], orientation: int) -> Shaped[np.ndarray, "row2 column2 ..."]:
    """Turn a picture as the orientation tag of EXIF and TIFF says.

    Args:
        values: as stored.
        orientation: 1 (upright) to 8; anything else counts as 1, as in every viewer.

    Returns:
        The picture as it is to be shown.

    Source: TIFF 6.0 specification (1992), tag Orientation.

    Example:
        >>> turn(np.array([[1, 2], [3, 4]]), 6).tolist()
        [[3, 1], [4, 2]]
    """
    if orientation in (5, 6, 7, 8):  # rows and columns change places
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)
