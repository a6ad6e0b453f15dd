"""Synthetic hearts in magnetic resonance and their left atrium: irregular, faint and with thin parts.

Blood is bright. The atrium is blood with two to four veins and an appendage, which are a few pixels wide; other
chambers and the aorta are just as bright, lie against it behind a wall of a pixel or two, and belong to no mask; nor
does the rest of each vein, which a person cuts where the atrium is thought to end. Noise is Rician, as that of the
magnitude of a complex signal is: Gudbjartsson & Patz 1995, doi:10.1002/mrm.1910340618.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter

from tallymark.datasets.phantom_folder import Phantom, require_sides, write_patients
from tallymark.datasets.scanner import ellipse, field, step
from tallymark.datasets.seeds import named_rng

_SMALLEST_SIDE = 32
# Share of the image that the atrium without veins covers, and how much brighter blood is than the wall of the heart.
_BODY, _CONTRAST = (0.02, 0.08), (0.12, 0.28)

Map = Float[np.ndarray, "h w"]


def draw_atrium(seed: object, size: int = 128) -> Phantom:
    """One synthetic slice through a heart.

    Args:
        seed: names the phantom.
        size: side in pixels, at least 32.

    Returns:
        Grey values and the mask ``atrium``, in one piece.

    Raises:
        ConfigError: a side below 32 pixels.

    Example:
        >>> phantom = draw_atrium(3, 64)
        >>> bool(0.02 < phantom.masks["atrium"].mean() < 0.2)
        True
    """
    require_sides((size, size), _SMALLEST_SIDE)
    rng = named_rng("atrium", seed)
    row, column = np.meshgrid(*[(np.arange(size) + 0.5) / size] * 2, indexing="ij")
    middle = rng.uniform(0.42, 0.56, 2)
    radius = np.sqrt(rng.uniform(*_BODY) / np.pi)
    atrium = _bent(rng, row - middle[0], column - middle[1], radius)
    beyond = np.full(row.shape, -np.inf)  # the rest of the veins
    first = rng.uniform(0, 2 * np.pi)
    veins = int(rng.integers(2, 5))
    for number in range(veins):
        inside, outside = _vein(rng, row, column, middle, first + 2 * np.pi * number / veins, radius)
        atrium, beyond = np.maximum(atrium, inside), np.maximum(beyond, outside)
    wall = rng.uniform(0.008, 0.02)
    heart = ellipse(row, column, 0.5, 0.5, rng.uniform(0.34, 0.42), rng.uniform(0.34, 0.42), 0.0)
    others = np.minimum(_others(rng, row, column, middle, radius), 0.4 * (1 - heart))
    blood = np.maximum(atrium, np.maximum(beyond, np.minimum(others, -atrium - wall)))
    return Phantom(_acquired(rng, row, column, heart, blood), {"atrium": atrium > 0})


def write_atria(folder: Path | str, count: int, seed: int = 0, *, size: int = 128) -> Path:
    """Write ``images/``, ``masks/`` (``NAME_labels.png``: atrium 1) and ``groups.csv``, one image a patient.

    Args:
        folder: where to write; made if it does not exist.
        count: number of images, >= 1.
        seed: another seed gives other patients.
        size: side in pixels.

    Returns:
        ``folder``, as :func:`tallymark.datasets.pairs.import_pairs` reads it.

    Raises:
        ConfigError: a count below 1, or a side that is too small.
        StorageError: the folder cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     root = write_atria(Path(folder), 1, size=32)
        ...     print(sorted(p.name for p in root.rglob("*.png")))
        ['atrium_0000.png', 'atrium_0000_labels.png']
    """
    return write_patients(folder, "atrium", count, lambda index: draw_atrium(f"{seed}/{index}", size))


def _bent(rng: np.random.Generator, y: Map, x: Map, radius: float) -> Map:
    """How far inside of a rounded, bent and flattened shape each place is, in image sides; negative outside."""
    flat, tilt = rng.uniform(0.55, 1), rng.uniform(0, np.pi)
    y, x = np.cos(tilt) * y - np.sin(tilt) * x, np.sin(tilt) * y + np.cos(tilt) * x
    y, x = y / np.sqrt(flat), x * np.sqrt(flat)
    angle, far = np.arctan2(y, x), np.hypot(y, x)
    bent = sum(rng.normal(0, 0.2 / order) * np.cos(order * angle + rng.uniform(0, 2 * np.pi)) for order in range(2, 7))
    return np.asarray(radius * (1 + bent) - far)


def _vein(
    rng: np.random.Generator, row: Map, column: Map, middle: Float[np.ndarray, "2"], angle: float, radius: float
) -> tuple[Map, Map]:
    """A curved, tapering tube from the middle outwards: the part that counts as atrium, and the rest of it."""
    angle, curve = angle + rng.normal(0, 0.3), rng.normal(0, 5)
    width = rng.uniform(0.014, 0.03)
    counts, length = radius + rng.uniform(0.04, 0.14), radius + rng.uniform(0.18, 0.28)
    parts = [np.full(row.shape, -np.inf), np.full(row.shape, -np.inf)]
    place = middle.copy()
    ahead = 0.005
    for gone in np.arange(0, length, ahead):
        near = width * (1 - 0.4 * gone / length) - np.hypot(row - place[0], column - place[1])
        part = int(gone > counts)
        parts[part] = np.maximum(parts[part], near)
        place += ahead * np.array([np.sin(angle), np.cos(angle)])
        angle += ahead * curve
    return parts[0], parts[1]


def _others(rng: np.random.Generator, row: Map, column: Map, middle: Float[np.ndarray, "2"], radius: float) -> Map:
    """The other chambers and the aorta, close to the atrium: how far inside of one of them each place is."""
    inside = np.full(row.shape, -np.inf)
    first = rng.uniform(0, 2 * np.pi)
    for number in range(3):
        angle = first + number * 2 * np.pi / 3 + rng.normal(0, 0.3)
        other = np.sqrt(rng.uniform(*_BODY) / np.pi)
        far = (radius + other) * rng.uniform(0.9, 1.1)
        y, x = row - middle[0] - far * np.sin(angle), column - middle[1] - far * np.cos(angle)
        inside = np.maximum(inside, _bent(rng, y, x, other))
    return inside


def _acquired(rng: np.random.Generator, row: Map, column: Map, heart: Map, blood: Map) -> UInt8[np.ndarray, "h w"]:
    """What a coil receives of the chest: partial volumes, a bias towards the coil, and Rician noise."""
    pixel = len(row) / 128
    chest = ellipse(row, column, 0.5, 0.5, 0.47, 0.6, 0.0)
    wall = rng.uniform(0.3, 0.42)
    signal = wall + rng.uniform(*_CONTRAST) * step(blood, 0.004)
    signal += 0.04 * field(rng, row.shape, 3 * pixel)
    lung = 0.1 + 0.02 * field(rng, row.shape, 2 * pixel)
    signal = np.where((heart < 1) | (blood > 0), signal, np.where(chest < 1, lung, 0.7))
    signal = gaussian_filter(signal, 0.6 * pixel) * np.exp(0.2 * field(rng, row.shape, 30 * pixel))
    noise = rng.uniform(0.025, 0.06)
    received = np.abs(signal + noise * (rng.standard_normal(row.shape) + 1j * rng.standard_normal(row.shape)))
    return np.asarray((255 * np.clip(received / 0.9, 0, 1)).round(), dtype=np.uint8)
