"""Where volumes lie in the body: planes cut from them the right way up, and grids compared."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Integer, Shaped

from tallymark.data.atomic import replacing
from tallymark.data.formats import VOLUMES, Geometry, suffix_of
from tallymark.data.images import read_image, read_labels
from tallymark.errors import GeometryError, ReadError, StorageError


@dataclass(frozen=True)
class AxialStack:
    """A volume as a stack of axial planes, patient anterior up and patient left on the right of each.

    Args:
        values: (plane, row, column); planes are in the order of the file.
        spacing: mm, plane, row, column.
        file_axis: the axis of the file that the planes lie on, counted from 0 as NIfTI counts them.
    """

    values: Shaped[np.ndarray, "plane row column"]
    spacing: tuple[float, float, float]
    file_axis: int


def axial_stack(values: Shaped[np.ndarray, "c b a"], geometry: Geometry, where: Path | str) -> AxialStack:
    """See a volume as axial planes, whatever the order and direction of its axes; no value is copied or resampled.

    The axis nearest to the body's long axis becomes the planes. Rows run from anterior to posterior and columns from
    the patient's right to the left, as radiologists look at them.

    Args:
        values: as read: the axes of the file in reverse.
        geometry: of the volume, with directions in the system of DICOM (left, posterior, superior).
        where: what to call the volume in an error.

    Returns:
        The planes.

    Raises:
        GeometryError: fewer than three axes, or a volume so oblique that no axis is nearest.

    Source: DICOM PS3.3 C.7.6.2.1.1 (patient-based coordinates). KiTS stores slices on the first axis of the file.

    Example:
        >>> kits = Geometry((0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0), (5.0, 0.7, 0.8))
        >>> stack = axial_stack(np.zeros((4, 3, 2)), kits, "a.nii.gz")  # 2 slices of 3 rows and 4 columns
        >>> stack.values.shape, stack.spacing, stack.file_axis
        ((2, 3, 4), (5.0, 0.7, 0.8), 0)
    """
    if len(geometry.spacing) != 3:
        raise GeometryError("this is no volume", where=where, found=f"{len(geometry.spacing)} axes", expected="3 axes")
    direction = np.array(geometry.direction).reshape(3, 3)  # rows x, y, z of the body; columns axes of the file
    body_axis = np.abs(direction).argmax(axis=0)
    if sorted(body_axis.tolist()) != [0, 1, 2]:
        raise GeometryError(
            "this volume is too oblique to tell its axial planes",
            where=where,
            found=f"direction {tuple(round(cosine, 3) for cosine in geometry.direction)}",
            remedy="resample it to the axes of the body",
        )
    file_axis = {int(body): axis for axis, body in enumerate(body_axis)}
    x, y, z = (file_axis[body] for body in range(3))
    stack = values.transpose(2 - z, 2 - y, 2 - x)
    stack = stack[:, :: 1 if direction[1, y] > 0 else -1, :: 1 if direction[0, x] > 0 else -1]
    spacing = (geometry.spacing[z], geometry.spacing[y], geometry.spacing[x])
    return AxialStack(stack, spacing, z)


def require_orientation(path: Path) -> None:
    """Refuse a NIfTI file that says nothing of its orientation; other formats always do.

    Raises:
        GeometryError: neither sform nor qform is set.
        ReadError: the file cannot be read.

    Source: NIfTI-1 standard (nifti1.h), method 1: without either, the axes have no meaning in the body.
    """
    if VOLUMES.get(suffix_of(path)) != "NiftiImageIO":
        return
    opener: Any = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(path, "rb") as stream:
            head = stream.read(348)
    except (OSError, EOFError) as error:
        raise ReadError("cannot be read", where=path, found=error, remedy="copy it again") from error
    if len(head) == 348 and head[252:256] == b"\0\0\0\0":
        raise GeometryError(
            "this volume does not say how it lies in the body",
            where=path,
            found="neither sform nor qform",
            remedy="take the original file; conversion has lost its orientation",
        )


def same_grid(one: Geometry | None, other: Geometry | None) -> bool:
    """Whether two images lie on one grid, up to the rounding of headers; a picture lies on none.

    Example:
        >>> grid = Geometry((0.0, 0.0), (1.0, 0.0, 0.0, 1.0), (0.8, 0.8))
        >>> same_grid(grid, Geometry((0.0, 0.0), (1.0, 0.0, 0.0, 1.0), (0.80001, 0.8))), same_grid(grid, None)
        (True, False)
    """
    if one is None or other is None:
        return one is other
    return all(
        len(a) == len(b) and np.allclose(a, b, rtol=1e-4, atol=1e-3)
        for a, b in ((one.origin, other.origin), (one.direction, other.direction), (one.spacing, other.spacing))
    )


def require_grid(
    where: Path,
    shape: tuple[int, ...],
    geometry: Geometry | None,
    image: Path,
    image_shape: tuple[int, ...],
    image_geometry: Geometry | None,
) -> None:
    """Refuse labels that do not lie on their image, pixel by pixel.

    Raises:
        GeometryError: another shape, another origin, direction or spacing, or only one of the two is a volume.
    """
    if shape != image_shape:
        raise GeometryError(
            "the labels do not have the shape of their image",
            where=where,
            found=shape,
            expected=f"{image_shape} as {image}",
            remedy="export the labels at the size of the image",
        )
    if not same_grid(geometry, image_geometry):
        raise GeometryError(
            "the labels do not lie where their image lies",
            where=where,
            found=_described(geometry),
            expected=f"{_described(image_geometry)}, as {image}",
            remedy="export the labels on the grid of the image, of a picture as PNG or TIFF",
        )


def read_label_grid(path: Path) -> tuple[Integer[np.ndarray, "*space"], Geometry | None]:
    """Read labels with the geometry they lie on.

    Args:
        path: a picture or a volume.

    Returns:
        The labels, and their geometry (None for a picture).

    Raises:
        ReadError: it cannot be read, or its values are no labels.
    """
    if suffix_of(path) not in VOLUMES:
        return read_labels(path), None
    volume = read_image(path)
    whole = volume.pixels.dtype.kind in "iu" and volume.pixels.shape[-1] == 1
    return (volume.pixels[..., 0] if whole else read_labels(path)), volume.geometry


def write_plane(path: Path, values: Shaped[np.ndarray, "row column"]) -> None:
    """Write a plane of a volume as a picture that keeps its values: TIFF, in the type of the array.

    TIFF, because it holds signed 16-bit numbers (Hounsfield units as they are) and is read wherever pictures are.

    Raises:
        StorageError: it cannot be written.
    """
    import tifffile

    with replacing(path) as temporary:
        try:
            tifffile.imwrite(
                temporary, np.ascontiguousarray(values), photometric="minisblack", compression="zlib", metadata=None
            )
        except ValueError as error:
            raise StorageError("cannot be written", where=path, found=error) from error


def write_labels(path: Path, labels: Integer[np.ndarray, "row column"]) -> None:
    """Write labels of 0 to 255 as a grey PNG.

    Raises:
        StorageError: it cannot be written.
    """
    with replacing(path) as temporary:
        PIL.Image.fromarray(np.ascontiguousarray(labels, dtype=np.uint8)).save(temporary, format="PNG")


def _described(geometry: Geometry | None) -> str:
    if geometry is None:
        return "a picture"
    numbers = (
        f"{name} {' '.join(f'{value:.4g}' for value in values)}"
        for name, values in (
            ("origin", geometry.origin),
            ("direction", geometry.direction),
            ("spacing", geometry.spacing),
        )
    )
    return ", ".join(numbers)
