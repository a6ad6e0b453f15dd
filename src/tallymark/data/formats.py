"""Decoding image files, one format after the other, into arrays that say what was stored.

Pictures (PNG, JPEG, TIFF, BMP) go through pillow and tifffile, volumes (NIfTI, NRRD, MHA) through SimpleITK, which
carries their geometry end to end. Whatever a decoder raises becomes a :class:`ReadError` with the path.
"""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Shaped, UInt8

from tallymark.errors import ReadError

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
VOLUMES = {
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".mha": "MetaImageIO",
}
SUFFIXES: tuple[str, ...] = (*PICTURES, *VOLUMES)
"""Every suffix of an image file that can be read, in lower case."""

_ORIENTATION = 0x0112  # the tag of EXIF and TIFF that says how the stored array is to be shown


@dataclass(frozen=True)
class Geometry:
    """Where a volume lies in space, exactly as SimpleITK stores it (axes in the order x, y(, z)).

    Args:
        origin: mm, of the centre of the first pixel.
        direction: cosines, row by row.
        spacing: mm per axis as the file states it.
    """

    origin: tuple[float, ...]
    direction: tuple[float, ...]
    spacing: tuple[float, ...]


@dataclass(frozen=True)
class Raster:
    """What a file stores, before it is read as an image, a mask or labels.

    Args:
        values: as stored: the indices of a palette, 0 and 1 of a 1-bit picture; without the alpha channel.
        bits: stored bits per value.
        palette: colour of each index, or None.
        alpha: opacity of each pixel, 0 to the largest value of its type, or None.
        geometry: of a volume; None for a picture.
    """

    values: Shaped[np.ndarray, "*space channel"]
    bits: int
    palette: UInt8[np.ndarray, "index 3"] | None = None
    alpha: Shaped[np.ndarray, "*space"] | None = None
    geometry: Geometry | None = None


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
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.png"
        >>> PIL.Image.fromarray(np.array([[0, 7]], np.uint8)).save(path)
        >>> decode(path).values[..., 0].tolist()
        [[0, 7]]
    """
    path = Path(path)
    suffix = _check_file(path)
    try:
        if suffix in VOLUMES:
            return _volume(path, suffix)
        return _tiff(path) if PICTURES[suffix] == "TIFF" else _picture(path, PICTURES[suffix])
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
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.png"
        >>> PIL.Image.fromarray(np.zeros((2, 5), np.uint8)).save(path)
        >>> image_space(path)
        (2, 5)
    """
    path = Path(path)
    suffix = _check_file(path)
    if suffix in VOLUMES or PICTURES[suffix] == "TIFF":
        return decode(path).values.shape[:-1]
    try:
        with PIL.Image.open(path, formats=[PICTURES[suffix]]) as picture:
            columns, rows = picture.size
            turned = picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception:
        return decode(path).values.shape[:-1]  # says what is wrong, or finds the way round it
    return (columns, rows) if turned else (rows, columns)


def simple_itk() -> ModuleType:
    """SimpleITK, loaded on first use: it is heavy, and a study of pictures runs without it.

    Raises:
        ReadError: it is not installed.
    """
    try:
        import SimpleITK
    except ImportError as error:
        raise ReadError("volumes need SimpleITK", remedy="pip install SimpleITK") from error
    processes: Any = SimpleITK.ProcessObject
    processes.SetGlobalWarningDisplay(False)  # what matters is raised; the rest is noise for the user
    return SimpleITK


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


def _picture(path: Path, kind: str) -> Raster:
    """PNG, JPEG and BMP, and TIFF of compressions that tifffile leaves to others."""
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
        orientation = 1 if kind == "TIFF" else int(picture.getexif().get(_ORIENTATION, 1))
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
        orientation = int(picture.getexif().get(_ORIENTATION, 1))
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


def _tiff(path: Path) -> Raster:
    """TIFF, one page, with as many bits as it stores."""
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
        tag = page.tags.get(_ORIENTATION)
        photometric, samples, bits = int(page.photometric), page.samplesperpixel, page.bitspersample
        try:
            values = page.asarray()
        except ValueError as error:
            # LZW, JPEG and their kin: pillow's libtiff knows them, but cuts deep colour down to 8 bits.
            if "imagecodecs" not in str(error) or (bits > 8 and samples > 1):
                raise
            return _picture(path, "TIFF")
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


def _volume(path: Path, suffix: str) -> Raster:
    """NIfTI, NRRD and MHA, axes (plane,) row, column."""
    sitk = simple_itk()
    if VOLUMES[suffix] == "NiftiImageIO":
        _check_nifti(path)
    image = sitk.ReadImage(str(path), imageIO=VOLUMES[suffix])
    if image.GetDimension() not in (2, 3):
        raise ReadError(
            "this volume has too many axes",
            where=path,
            found=f"size {image.GetSize()}",
            expected="2 or 3 axes",
            remedy="save one volume per point in time",
        )
    values = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() == 1:
        values = values[..., None]
    geometry = Geometry(image.GetOrigin(), image.GetDirection(), image.GetSpacing())
    return Raster(values, values.dtype.itemsize * 8, geometry=geometry)


def _check_nifti(path: Path) -> None:
    """Refuse a truncated NIfTI file.

    ITK fills what is missing with whatever lay in memory and says nothing, so the bytes are counted here.
    """
    opener: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as stream:
        head = stream.read(348)
        size = len(head)
        while block := stream.read(1 << 20):  # to the end, so that gzip checks its checksum as well
            size += len(block)
    order = "<" if head[:4] == struct.pack("<i", 348) else ">"
    if len(head) < 348 or struct.unpack(f"{order}i", head[:4]) != (348,):
        raise ReadError("this is not a NIfTI file", where=path, expected="a NIfTI-1 header")
    dims = struct.unpack(f"{order}8h", head[40:56])
    (bits,) = struct.unpack(f"{order}h", head[72:74])
    (offset,) = struct.unpack(f"{order}f", head[108:112])
    expected = int(offset) + int(np.prod([max(length, 1) for length in dims[1 : dims[0] + 1]])) * bits // 8
    if size < expected:
        raise ReadError(
            "this volume is truncated",
            where=path,
            found=f"{size} bytes",
            expected=f"{expected}",
            remedy="copy it again from where it came",
        )
