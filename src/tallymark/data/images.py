"""Images, masks and labels in and out: data and geometry travel together."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from jaxtyping import Bool, Float, Integer, Shaped, UInt8

from tallymark.data.atomic import replacing
from tallymark.data.formats import SUFFIXES, VOLUMES, Geometry, Raster, decode, image_space, simple_itk, suffix_of
from tallymark.errors import ConfigError, GeometryError, ReadError, StorageError

__all__ = [
    "SUFFIXES",
    "Geometry",
    "Image",
    "file_sha256",
    "image_space",
    "normalise",
    "read_image",
    "read_labels",
    "read_mask",
    "robust_window",
    "write_label_image",
    "write_map",
    "write_mask",
]


@dataclass(frozen=True)
class Image:
    """Pixels with their geometry.

    Args:
        pixels: ``(*space, channel)`` in the type of the file; space is (plane,) row, column.
        spacing: mm per axis in the order of the array's axes; None = unknown. The dots per inch of a picture say how
            it is to be printed, not how large a pixel is, so that a picture's spacing is always unknown.
        geometry: of a volume, as SimpleITK stores it; None for a picture.
    """

    pixels: Shaped[np.ndarray, "*space channel"]
    spacing: tuple[float, ...] | None = None
    geometry: Geometry | None = None

    @property
    def space(self) -> tuple[int, ...]:
        """Shape without the channel."""
        return self.pixels.shape[:-1]


def read_image(path: Path | str) -> Image:
    """Read a picture (PNG, JPEG, TIFF, BMP) or a volume (NIfTI, NRRD, MHA).

    A palette becomes RGB; a 1-bit picture 0 and 255. An alpha channel is dropped where it is opaque throughout. The
    orientation tag of EXIF and TIFF is obeyed. The type is kept: 16 bits stay 16 bits.

    Args:
        path: the file; its suffix says what it is.

    Returns:
        Pixels ``(*space, channel)``, spacing and geometry.

    Raises:
        ReadError: the file cannot be decoded (see :func:`tallymark.data.formats.decode`), is partly transparent, or
            holds values that are not finite.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.png"
        >>> PIL.Image.fromarray(np.array([[0, 7]], np.uint8)).save(path)
        >>> image = read_image(path)
        >>> image.pixels[..., 0].tolist(), image.space, image.spacing
        ([[0, 7]], (1, 2), None)
    """
    raster = decode(path)
    if raster.alpha is not None and (raster.alpha != _opaque(raster.alpha)).any():
        raise ReadError(
            "this picture is partly transparent, and what lies under it is not known",
            where=path,
            remedy="flatten it onto its background and save it without transparency",
        )
    pixels = _colours(raster)
    if raster.bits < 8 and raster.palette is None:
        pixels = (pixels * (255 // (2**raster.bits - 1))).astype(np.uint8)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ReadError(
            "this image holds values that are not finite",
            where=path,
            found=f"{int((~np.isfinite(pixels)).sum())} of {pixels.size}",
            remedy="replace them by the value of the background and save the image again",
        )
    geometry = raster.geometry
    spacing = None if geometry is None else tuple(reversed(geometry.spacing))
    return Image(pixels, spacing, geometry)


def read_mask(
    path: Path | str, codes: Collection[int] | None = None, *, threshold: float | int | None = None
) -> Bool[np.ndarray, "*space"]:
    """Read a binary mask that was stored as 1-bit, grey, RGB, RGBA, palette or a volume.

    Two distinct values, one of them 0, or one value: what is not 0 is foreground (for colours: any channel is not 0).
    Alpha is ignored, unless the colour is the same everywhere and only the alpha channel holds two values.

    Args:
        path: the file.
        codes: the labels (of :func:`read_labels`) whose union is the foreground.
        threshold: values above it are the foreground, for masks that were blurred or stored as JPEG; of colours the
            largest channel counts.

    Returns:
        True in the foreground.

    Raises:
        ReadError: it cannot be read, or which values are foreground is not clear and has to be said.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.png"
        >>> PIL.Image.fromarray(np.array([[0, 255, 255]], np.uint8)).save(path)
        >>> read_mask(path).tolist()
        [[False, True, True]]
    """
    if codes is not None and threshold is not None:
        raise ConfigError("codes and threshold exclude each other", where=path, remedy="give one of them")
    if codes is not None:
        return np.isin(read_labels(path), list(codes))
    raster = decode(path)
    colours = _colours(raster)
    if threshold is not None:
        return np.asarray(colours.max(axis=-1) > threshold)
    mask = (colours != 0).any(axis=-1)
    if raster.alpha is not None and _constant(colours) and not _constant(raster.alpha):
        return np.asarray(raster.alpha != 0)
    kinds = _distinct(colours)
    if kinds > 2 or (kinds == 2 and mask.all()):
        found = f"{kinds} colours" if colours.shape[-1] > 1 else f"{kinds} values {_some(colours)}"
        raise ReadError(
            "this is not a binary mask",
            where=path,
            found=found,
            expected="0 and one other value",
            remedy="say which labels are foreground (codes=) or above which value it starts (threshold=)",
        )
    return np.asarray(mask)


def read_labels(path: Path | str) -> Integer[np.ndarray, "*space"]:
    """Read an image whose values are labels.

    Args:
        path: grey, a palette (its indices are the labels, not its colours), colours that are all grey, or a volume
            of whole numbers.

    Returns:
        The labels as stored.

    Raises:
        ReadError: it cannot be read, the colours are no labels, or values are not whole.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.png"
        >>> PIL.Image.fromarray(np.array([[0, 1, 2]], np.uint8)).save(path)
        >>> read_labels(path).tolist()
        [[0, 1, 2]]
    """
    values = decode(path).values
    if (values != values[..., :1]).any():
        raise ReadError(
            "these colours are not labels",
            where=path,
            expected="one channel whose values are the labels",
            remedy="export the labels as a grey or palette PNG",
        )
    labels = values[..., 0]
    if labels.dtype.kind not in "iu":
        whole = labels.astype(np.int64) if np.isfinite(labels).all() else labels
        if (whole != labels).any() or whole is labels:
            raise ReadError(
                "these values are not labels",
                where=path,
                found="values that are not whole",
                expected="whole numbers",
                remedy="export the labels without resampling",
            )
        labels = whole
    return np.asarray(labels)


def write_mask(path: Path | str, mask: Bool[np.ndarray, "*space"], like: Image) -> None:
    """Write a mask that lies on the image it belongs to, all or nothing.

    Args:
        path: ``.png`` (8 bits, 0 and 255) for a picture; ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha`` (0 and 1, the
            same geometry) for a volume.
        mask: True in the foreground; the shape of the image.
        like: the image; only its shape and geometry are used.

    Raises:
        GeometryError: the shape differs, a volume is to become a picture, or a picture a volume.
        ConfigError: a suffix that cannot hold a mask.
        StorageError: it cannot be written; the old file is intact.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.png"
        >>> write_mask(path, np.array([[False, True]]), like=Image(np.zeros((1, 2, 3), np.uint8)))
        >>> read_labels(path).tolist()
        [[0, 255]]
    """
    path = Path(path)
    suffix = suffix_of(path)
    if mask.shape != like.space:
        raise GeometryError("the mask does not fit its image", where=path, found=mask.shape, expected=like.space)
    if suffix != ".png" and suffix not in VOLUMES:
        raise ConfigError("masks are not written in this format", where=path, expected=", ".join([".png", *VOLUMES]))
    if (suffix == ".png") != (like.geometry is None):
        raise GeometryError(
            "the format does not fit the image",
            where=path,
            expected=".png for a picture" if like.geometry is None else f"{', '.join(VOLUMES)} for a volume",
        )
    with replacing(path) as temporary:
        if like.geometry is None:
            PIL.Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(temporary, format="PNG")
        else:
            _write_volume(temporary, mask.astype(np.uint8), like.geometry)


def write_map(path: Path | str, values: Float[np.ndarray, "*space"], like: Image) -> None:
    """Write a map of values in [0, 1] that lies on the image it belongs to, all or nothing.

    Args:
        path: ``.png`` for a picture: 16 bits, 0 to 65535 for 0 to 1. ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha`` for a
            volume: 32-bit floats, the same geometry.
        values: in [0, 1], of the shape of the image.
        like: the image; only its shape and geometry are used.

    Raises:
        GeometryError: the shape differs, a volume is to become a picture, or a picture a volume.
        StorageError: it cannot be written; the old file is intact.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.png"
        >>> write_map(path, np.array([[0.0, 0.5, 1.0]]), like=Image(np.zeros((1, 3, 1), np.uint8)))
        >>> read_image(path).pixels[..., 0].tolist()
        [[0, 32768, 65535]]
    """
    steps = np.rint(values.clip(0, 1) * 65535).astype(np.uint16)
    _write_on(Path(path), "the map", like, picture=steps, volume=values.astype(np.float32))


def write_label_image(path: Path | str, labels: UInt8[np.ndarray, "*space"], like: Image) -> None:
    """Write labels that lie on the image they belong to, all or nothing.

    Args:
        path: ``.tif`` or ``.png`` for a picture; ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha`` (the same geometry) for a
            volume.
        labels: of the shape of the image.
        like: the image; only its shape and geometry are used.

    Raises:
        GeometryError: the shape differs, a volume is to become a picture, or a picture a volume.
        StorageError: it cannot be written; the old file is intact.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.tif"
        >>> write_label_image(path, np.array([[0, 2]], np.uint8), like=Image(np.zeros((1, 2, 3), np.uint8)))
        >>> read_labels(path).tolist()
        [[0, 2]]
    """
    _write_on(Path(path), "the labels", like, picture=labels, volume=labels)


def _write_on(path: Path, what: str, like: Image, *, picture: np.ndarray, volume: np.ndarray) -> None:
    """Write what lies on an image: one array where that is a picture, the other where it is a volume."""
    if picture.shape != like.space:
        raise GeometryError(
            f"{what} and the image differ in shape", where=path, found=picture.shape, expected=like.space
        )
    if (suffix_of(path) in VOLUMES) != (like.geometry is not None):
        raise GeometryError("the format does not fit the image", where=path)
    with replacing(path) as temporary:
        if like.geometry is None:
            PIL.Image.fromarray(picture).save(temporary)
        else:
            _write_volume(temporary, volume, like.geometry)


def normalise(
    image: Image, channels: int, window: tuple[float | int, float | int] | None = None
) -> Float[np.ndarray, "*space {channels}"]:
    """Intensities in [0, 1] with the wanted number of channels.

    Args:
        image: any type.
        channels: 1 or 3. RGB becomes one channel by luminance (0.299 R + 0.587 G + 0.114 B, ITU-R BT.601); one
            channel is repeated three times.
        window: the values that become 0 and 1; what lies outside is clipped. None: 0 and 255 for 8-bit images,
            else :func:`robust_window` of this image.

    Returns:
        float32 ``(*space, channels)`` in [0, 1].

    Raises:
        ConfigError: a window whose ends are not in order, or channels other than 1 or 3.
        GeometryError: the image has neither 1 nor 3 channels.

    Example:
        >>> image = Image(np.array([[[0], [255]]], np.uint8))
        >>> normalise(image, 3).tolist()
        [[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]]
    """
    if channels not in (1, 3):
        raise ConfigError("this number of channels is not offered", found=channels, expected="1 or 3")
    stored = image.pixels.shape[-1]
    if stored not in (1, 3):
        raise GeometryError(
            "this image has neither 1 nor 3 channels",
            found=f"{stored} channels",
            remedy="save the channels to be used as a grey or RGB image",
        )
    if window is None:
        window = robust_window(image)
    elif not window[0] < window[1]:
        raise ConfigError("the window is not in order", where="image.window", found=window, expected="low < high")
    low, high = window
    pixels = image.pixels.astype(np.float32)
    if stored == 3 and channels == 1:
        pixels = pixels @ np.array([[0.299], [0.587], [0.114]], np.float32)
    scaled = np.zeros_like(pixels) if high == low else np.clip((pixels - low) / np.float32(high - low), 0, 1)
    return np.repeat(scaled, 3, axis=-1) if stored < channels else scaled


def robust_window(image: Image) -> tuple[float, float]:
    """The window that :func:`normalise` takes where none is given, so that it can be recorded.

    Args:
        image: any type.

    Returns:
        (0, 255) for an 8-bit image, else its 0.5 and 99.5 percentiles over all pixels and channels.

    Example:
        >>> robust_window(Image(np.arange(201, dtype=np.uint16).reshape(1, 201, 1)))
        (1.0, 199.0)
    """
    if image.pixels.dtype == np.uint8:
        return 0.0, 255.0
    low, high = np.percentile(image.pixels, (0.5, 99.5))
    return float(low), float(high)


def file_sha256(path: Path | str) -> str:
    """SHA-256 of a file's content.

    Args:
        path: the file.

    Returns:
        64 hexadecimal digits.

    Raises:
        ReadError: it cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "empty"
        >>> path.touch()
        >>> file_sha256(path)[:8]
        'e3b0c442'
    """
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ReadError("cannot be read", where=path, found=error.strerror) from error


def _colours(raster: Raster) -> np.ndarray:
    return raster.values if raster.palette is None else raster.palette[raster.values[..., 0]]


def _opaque(alpha: np.ndarray) -> int:
    return int(np.iinfo(alpha.dtype).max)


def _constant(values: np.ndarray) -> bool:
    flat = values.reshape(-1, values.shape[-1]) if values.ndim > 2 else values.reshape(-1, 1)
    return bool((flat == flat[0]).all())


def _distinct(colours: np.ndarray) -> int:
    """How many distinct colours; counting stops at three."""
    flat = colours.reshape(-1, colours.shape[-1])
    rest = flat
    for count in range(3):
        rest = rest[(rest != rest[0]).any(axis=-1)] if len(rest) else rest
        if not len(rest):
            return count + 1
    return len(np.unique(flat, axis=0))


def _some(values: np.ndarray) -> str:
    distinct = np.unique(values)
    return ", ".join(str(value) for value in distinct[:6]) + (" ..." if len(distinct) > 6 else "")


def _write_volume(path: Path, values: np.ndarray, geometry: Geometry) -> None:
    """Write and read back: ITK reports neither a full disk nor a short write for every format."""
    sitk = simple_itk()
    volume = sitk.GetImageFromArray(values)
    volume.SetSpacing(geometry.spacing)
    volume.SetOrigin(geometry.origin)
    volume.SetDirection(geometry.direction)
    try:
        sitk.WriteImage(volume, str(path), useCompression=True)
        whole = np.array_equal(decode(path).values[..., 0], values)
    except (RuntimeError, ReadError) as error:
        raise StorageError(
            "the volume could not be written whole", where=path.parent, remedy="check the disk"
        ) from error
    if not whole:
        raise StorageError("the volume could not be written whole", where=path.parent, remedy="check the disk")
