"""Decoding volumes through SimpleITK, which carries their geometry end to end."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tallymark.data.raster import Geometry, Raster
from tallymark.errors import ReadError

VOLUMES = {".nii": "NiftiImageIO", ".nii.gz": "NiftiImageIO", ".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}
"""SimpleITK's reader by suffix."""


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


def read_volume(path: Path, suffix: str) -> Raster:
    """Decode NIfTI, NRRD or MHA.

    Args:
        path: the file.
        suffix: one of :data:`VOLUMES`.

    Returns:
        The stored values, axes (plane,) row, column, channel, and the geometry.

    Raises:
        ReadError: truncated, or of more than three axes. What else is wrong raises what SimpleITK raises.
    """
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


def volume_space(path: Path, suffix: str) -> tuple[int, ...]:
    """The shape that :func:`read_volume` gives, without the channel, from the header alone.

    Args:
        path: the file.
        suffix: one of :data:`VOLUMES`.

    Returns:
        (planes,) rows, columns.

    Raises:
        RuntimeError: what SimpleITK raises for a file that it cannot read.
    """
    reader = simple_itk().ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(VOLUMES[suffix])
    reader.ReadImageInformation()
    return tuple(reversed(reader.GetSize()))


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
