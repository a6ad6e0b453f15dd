"""What a decoder hands back: the stored values, and what is needed to read them rightly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped, UInt8


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
