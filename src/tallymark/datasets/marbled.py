"""Synthetic muscle with fat in it: the case that was kept as a ratio of two structures, with known masks.

A cross-section of muscle lies under a layer of fat, among other tissue. Streaks of fat run through it, as in marbled
meat; they echo strongly, as the fat around it and the fibres of other tissue do. Only fat *inside* of the muscle is a
structure here, so that brightness alone solves nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from tallymark.datasets.phantom_folder import Phantom, require_sides, write_patients
from tallymark.datasets.scanner import field, ridges, scan, step, wave
from tallymark.datasets.seeds import named_rng

_SMALLEST_SIDE = 32
# Share of fat in the muscle, and of the muscle with its fat in the image: from lean to fatty, from small to large.
_FAT, _WHOLE = (0.08, 0.45), (0.15, 0.5)


def draw_marbled(seed: object, size: int = 128) -> Phantom:
    """One synthetic picture of marbled muscle.

    Args:
        seed: names the phantom; any integer or text.
        size: side in pixels, at least 32.

    Returns:
        Grey values and the masks ``fat`` (inside of the muscle) and ``muscle`` (without that fat).

    Raises:
        ConfigError: a side below 32 pixels.

    Example:
        >>> masks = draw_marbled(3, 64).masks
        >>> ratio = masks["fat"].sum() / (masks["fat"].sum() + masks["muscle"].sum())
        >>> bool((masks["fat"] & masks["muscle"]).any()), bool(0.05 < ratio < 0.5)
        (False, True)
    """
    require_sides((size, size), _SMALLEST_SIDE)
    rng = named_rng("marbled", seed)
    row, column = np.meshgrid(*[(np.arange(size) + 0.5) / size] * 2, indexing="ij")
    pixel = size / 128
    below_fat = row - rng.uniform(0.08, 0.16) - wave(rng, column, 0.01)
    around, fat, muscle = rng.normal(-20, 1.5), rng.normal(-14, 1), rng.normal(-27, 1.5)
    echo = fat + (around - fat) * step(below_fat, 0.015)
    echo += 3 * field(rng, row.shape, (3 * pixel, 6 * pixel)) + 9 * ridges(rng, row.shape, (2 * pixel, 9 * pixel))
    depth = _cross_section(rng, row, column)
    inside = depth > 0
    # Streaks follow the fibres, which lie at a slant; the most streaky part of the muscle is fat.
    angle = rng.normal(0, 0.35)
    streaks = _slanted(rng, row.shape, pixel, angle)
    share = rng.uniform(*_FAT)
    streaky = np.where(inside, streaks, -np.inf)
    fatty = streaky >= np.quantile(streaks[inside], 1 - share)
    tissue = np.where(gaussian_filter(fatty.astype(float), 0.5 * pixel) > 0.5, fat, muscle)
    tissue = tissue + 1.5 * field(rng, row.shape, 3 * pixel)
    echo = echo + gaussian_filter(inside.astype(float), 0.7 * pixel) * (tissue - echo)
    echo += rng.uniform(6, 10) * np.exp(-((depth / 0.012) ** 2))  # the fascia around the muscle
    return Phantom(scan(rng, echo, row, pixel), {"fat": fatty, "muscle": inside & ~fatty})


def write_marbled(folder: Path | str, count: int, seed: int = 0, *, size: int = 128) -> Path:
    """Write ``images/``, ``masks/`` (``NAME_labels.png``: fat 1, muscle 2) and ``groups.csv``, one image a patient.

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
        ...     root = write_marbled(Path(folder), 1, size=32)
        ...     print(sorted(p.name for p in root.rglob("*.png")))
        ['marbled_0000.png', 'marbled_0000_labels.png']
    """
    return write_patients(folder, "marbled", count, lambda index: draw_marbled(f"{seed}/{index}", size))


def _cross_section(
    rng: np.random.Generator, row: Float[np.ndarray, "h w"], column: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """How far inside of the muscle each place is, in image sides; negative outside. A rounded, slightly bent shape."""
    whole, flat = rng.uniform(*_WHOLE), rng.uniform(0.55, 1.0)
    radius = np.sqrt(whole / np.pi)
    y = (row - rng.uniform(0.52, 0.62)) / np.sqrt(flat)
    x = (column - rng.uniform(0.42, 0.58)) * np.sqrt(flat)
    angle, far = np.arctan2(y, x), np.hypot(y, x)
    bent = sum(rng.normal(0, 0.1 / order) * np.cos(order * angle + rng.uniform(0, 2 * np.pi)) for order in range(2, 6))
    return np.asarray(radius * (1 + bent) - far)


def _slanted(rng: np.random.Generator, shape: tuple[int, ...], pixel: float, angle: float) -> Float[np.ndarray, "h w"]:
    """A smooth field that is long in one direction and thin in the other."""
    total = np.zeros(shape)
    for _ in range(2):
        noise = np.fft.fft2(rng.standard_normal(shape))
        y, x = np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij")
        along, across = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
        blur = np.exp(-2 * (np.pi * pixel) ** 2 * ((9 * along) ** 2 + (1.8 * across) ** 2))
        total += np.real(np.fft.ifft2(noise * blur))
    return np.asarray((total - total.mean()) / total.std())
