"""Synthetic ultrasound-like phantoms with known masks; nobody's body is in them.

The picture is built as an ultrasound scanner builds it: a map of how strongly tissue echoes (in decibels), loss with
depth, shadows, then speckle as the magnitude of a complex Gaussian field seen through a point-spread function (fully
developed speckle is Rayleigh distributed: Wagner et al. 1983, doi:10.1109/T-SU.1983.31404), then log compression to 8
bits. Shadows, dark fat lobules and vessels are as dark as a lesion and belong to no mask: brightness alone does not
solve the task.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from tallymark.datasets.phantom_folder import Phantom, Written, require_sides, write_folder
from tallymark.datasets.scanner import ellipse, field, ridges, scan, step, wave
from tallymark.datasets.seeds import named_rng
from tallymark.errors import ConfigError

# Share of the image that a lesion covers, at the quantiles 0, 1/4, 1/2, 3/4, 1: those of BUSI, less its extremes.
_SIZE_QUANTILES = (0.006, 0.02, 0.06, 0.13, 0.35)
_SMALLEST_SIDE = 16


def make_phantom(
    seed: object, size: int | tuple[int, int] = 128, *, normal: bool = False, view: int = 0
) -> tuple[UInt8[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """One synthetic ultrasound-like image with the mask of its lesions.

    Args:
        seed: names the phantom; any integer or text.
        size: side in pixels, or (height, width); at least 16.
        normal: leave the lesion out; the mask is then empty.
        view: another picture of the same patient: same anatomy, slightly moved, other gain and speckle.

    Returns:
        Image in 0..255 and mask of the lesions, both (row, column).

    Raises:
        ConfigError: a side below 16 pixels.

    Example:
        >>> image, mask = make_phantom(7, (64, 96))
        >>> image.shape, mask.shape, bool(mask.any())
        ((64, 96), (64, 96), True)
        >>> bool(make_phantom(7, 64, normal=True)[1].any())
        False
    """
    phantom = draw_phantom(seed, size, normal=normal, view=view)
    return phantom.image, phantom.masks["lesion"]


def draw_phantom(seed: object, size: int | tuple[int, int] = 128, *, normal: bool = False, view: int = 0) -> Phantom:
    """As :func:`make_phantom`, with the masks of both structures, ``lesion`` and ``muscle``.

    Example:
        >>> masks = draw_phantom(7, 64).masks
        >>> sorted(masks), bool((masks["lesion"] & masks["muscle"]).any())
        (['lesion', 'muscle'], False)
    """
    height, width = (size, size) if isinstance(size, int) else size
    require_sides((height, width), _SMALLEST_SIDE)
    tissue, lesions, dark, looks = (named_rng(part, seed) for part in ("tissue", "lesions", "dark", f"view {view}"))
    row, column = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    if view:  # the probe was lifted and put back: the tissue lies a few per cent elsewhere and is pressed a little
        shift, press = looks.uniform(-0.05, 0.05), looks.uniform(0.92, 1.08)
        row, column = row * press, column + shift
    pixel = max(height, width) / 128

    echo, muscle = _tissue(tissue, row, column, pixel)
    echo = _dark_distractors(dark, echo, row, column, pixel)
    lesion = np.zeros((height, width), dtype=bool)
    if not normal:
        for one in _lesion_shapes(lesions, row, column):
            echo = _insert_lesion(lesions, echo, one, pixel)
            lesion |= one
    echo += _shadows(dark, row, column)
    image = scan(looks, echo, row, pixel)
    return Phantom(image, {"lesion": lesion, "muscle": muscle & ~lesion})


def make_phantom_volume(
    seed: object, shape: tuple[int, int, int] = (24, 48, 48)
) -> tuple[UInt8[np.ndarray, "p h w"], Bool[np.ndarray, "p h w"]]:
    """One small synthetic volume with one ellipsoid-like dark lesion.

    Args:
        seed: names the phantom.
        shape: (plane, row, column), each at least 16.

    Returns:
        Grey values 0..255 and the mask, both (plane, row, column); the lesion covers 2 to 12 % of the volume.

    Raises:
        ConfigError: a side below 16 voxels.

    Example:
        >>> volume, mask = make_phantom_volume(1, (16, 24, 24))
        >>> volume.shape == mask.shape == (16, 24, 24) and bool(0.005 < mask.mean() < 0.2)
        True
    """
    require_sides(shape, _SMALLEST_SIDE)
    rng = named_rng("volume", seed)
    plane, row, column = np.meshgrid(*((np.arange(n) + 0.5) / n for n in shape), indexing="ij")
    size = np.exp(rng.uniform(np.log(0.02), np.log(0.12)))
    stretch = np.exp(rng.normal(0, 0.15, 3))
    radii = np.cbrt(3 * size / (4 * np.pi)) * stretch / np.cbrt(stretch.prod())
    centre = [rng.uniform(r, 1 - r) for r in radii]
    distance = np.sqrt(sum(((x - c) / r) ** 2 for x, c, r in zip((plane, row, column), centre, radii, strict=True)))
    mask = distance < 1 + 0.12 * field(rng, shape, 0.16 * min(shape))
    echo = -18 + 3 * field(rng, shape, 3.0) + 5 * ridges(rng, shape, (4.0, 1.2, 4.0))
    soft = gaussian_filter(mask.astype(float), 0.8)
    echo += soft * (-rng.uniform(9, 16) - echo.mean() - 18 + 1.5 * field(rng, shape, 2.0))
    return scan(rng, echo, row, 1.0), mask


def write_phantoms(
    folder: Path | str,
    count: int,
    seed: int = 0,
    *,
    size: int | tuple[int, int] = 128,
    normals: float = 0.1,
    structures: Literal[1, 2] = 1,
) -> Path:
    """Write ``images/``, ``masks/`` (``NAME_mask.png``) and ``groups.csv`` that :func:`import_pairs` reads.

    About every fourth synthetic patient has two similar images, so that a split by image would leak.

    Args:
        folder: where to write; made if it does not exist.
        count: number of images, >= 1.
        seed: another seed gives other patients; image i depends on nothing but seed, size, normals and i.
        size: side in pixels, or (height, width).
        normals: share of patients without a lesion, 0 to 1; their masks are empty.
        structures: 1: binary masks of the lesion; 2: label images ``NAME_labels.png``, lesion 1 and muscle 2.

    Returns:
        ``folder``.

    Raises:
        ConfigError: a count below 1 or a share outside [0, 1].
        StorageError: the folder cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     root = write_phantoms(Path(folder), 3, size=32)
        ...     print(sorted(p.name for p in root.rglob("*.png"))[:2])
        ['phantom_0000.png', 'phantom_0000_mask.png']
    """
    if count < 1 or not 0 <= normals <= 1:
        raise ConfigError(
            "these phantoms cannot be drawn",
            found=f"count {count}, normals {normals}",
            expected="count >= 1 and 0 <= normals <= 1",
        )

    def drawn(index: int, patient: int, view: int) -> Written:
        normal = bool(named_rng("normal", seed, patient).random() < normals)
        phantom = draw_phantom(f"{seed}/{patient}", size, normal=normal, view=view)
        named = f"phantom_{index:04d}", f"patient_{patient:04d}", phantom.image
        return (
            Written(*named, phantom.masks["lesion"], "mask")
            if structures == 1
            else Written(*named, phantom.labels(), "labels")
        )

    views = itertools.islice(_patients(seed), count)
    return write_folder(folder, (drawn(index, *view) for index, view in enumerate(views)))


def _patients(seed: int) -> Iterator[tuple[int, int]]:
    """(patient, view) of image 0, 1, 2, ... without end."""
    patient = 0
    while True:
        yield patient, 0
        if named_rng("twin", seed, patient).random() < 0.25:
            yield patient, 1
        patient += 1


def _tissue(
    rng: np.random.Generator, row: Float[np.ndarray, "h w"], column: Float[np.ndarray, "h w"], pixel: float
) -> tuple[Float[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Echo strength in dB of skin, fat, gland, muscle and what lies behind; and where the muscle is."""
    shape = row.shape
    below_skin = row - rng.uniform(0.025, 0.05) - wave(rng, column, 0.003)
    below_fat = row - rng.uniform(0.14, 0.34) - wave(rng, column, 0.025)
    below_gland = row - rng.uniform(0.6, 0.8) - wave(rng, column, 0.025)
    below_muscle = below_gland - rng.uniform(0.12, 0.3)
    fat, gland, muscle, wall = (rng.normal(level, 2) for level in (-21, -17, -24, -34))
    echo = np.full(shape, -8.0)
    for border, level in ((below_skin, fat), (below_fat, gland), (below_gland, muscle), (below_muscle, wall)):
        echo += (level - echo) * step(border, 0.015)
    streaks = 16 * ridges(rng, shape, (2.0 * pixel, 14 * pixel)) + 12 * ridges(rng, shape, (1.2 * pixel, 7 * pixel))
    for border in (below_fat, below_gland):  # fasciae: bright thin lines where layers meet
        streaks += rng.uniform(6, 12) * np.exp(-((border / 0.008) ** 2))
    streaks *= 0.4 + 0.6 * step(below_fat, 0.03) * (1 - 0.5 * step(below_gland, 0.03))
    echo += streaks * (1 - 0.8 * step(below_muscle))
    echo += 2.5 * field(rng, shape, (4 * pixel, 8 * pixel)) + 2.0 * field(rng, shape, 18 * pixel)
    return echo, (below_gland > 0) & (below_muscle <= 0)


def _dark_distractors(
    rng: np.random.Generator,
    echo: Float[np.ndarray, "h w"],
    row: Float[np.ndarray, "h w"],
    column: Float[np.ndarray, "h w"],
    pixel: float,
) -> Float[np.ndarray, "h w"]:
    """Add flat fat lobules and tiny round vessels: as dark as lesions, of other shapes."""
    for _ in range(rng.integers(1, 5)):
        length, flat = rng.uniform(0.06, 0.2), rng.uniform(0.18, 0.32)
        distance = ellipse(
            row, column, rng.uniform(0.12, 0.85), rng.random(), length * flat, length, rng.normal(0, 0.2)
        )
        echo = echo + rng.uniform(-15, -7) * (1 - step(distance - 1, 0.12))
    for _ in range(rng.integers(0, 4)):
        radius = rng.uniform(0.012, 0.022)
        distance = ellipse(row, column, rng.uniform(0.1, 0.8), rng.random(), radius, radius * rng.uniform(1, 1.6), 0.0)
        echo = echo - 16 * (1 - step(distance - 1, 0.15))
    return echo


def _lesion_shapes(
    rng: np.random.Generator, row: Float[np.ndarray, "h w"], column: Float[np.ndarray, "h w"]
) -> list[Bool[np.ndarray, "h w"]]:
    """One lesion, in one image of ten two; star-shaped with a smooth random Fourier radius."""
    size = float(np.exp(np.interp(rng.random(), np.linspace(0, 1, 5), np.log(_SIZE_QUANTILES))))
    sizes = [size]
    if rng.random() < 0.1:
        sizes = [0.65 * size, 0.35 * size]
    shapes: list[Bool[np.ndarray, "h w"]] = []
    for part in sizes:
        angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
        rough = rng.uniform(0.05, 0.35)
        order = np.arange(2, 9)
        weight, phase = rng.normal(0, rough / order), rng.uniform(0, 2 * np.pi, order.size)
        aspect, tilt = rng.uniform(0.5, 1.05), rng.normal(0, 0.4)
        radius = np.maximum(1 + np.cos(angle[:, None] * order + phase) @ weight, 0.3)
        scale = np.sqrt(part / (0.5 * np.mean(radius**2) * 2 * np.pi))
        reach = scale * radius.max() * 0.9
        r = rng.uniform(min(0.08 + reach * aspect**0.5, 0.45), max(0.8 - reach, 0.5))
        c = rng.uniform(min(reach, 0.5), max(1 - reach, 0.5))
        y, x = (row - r) / np.sqrt(aspect), (column - c) * np.sqrt(aspect)
        theta = np.mod(np.arctan2(y, x) + tilt, 2 * np.pi)
        shapes.append(np.hypot(y, x) < scale * np.interp(theta, angle, radius, period=2 * np.pi))
    return shapes


def _insert_lesion(
    rng: np.random.Generator, echo: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"], pixel: float
) -> Float[np.ndarray, "h w"]:
    """Replace tissue by a darker, smoother lesion with a blurred border, and change what the beam meets behind it."""
    blur, darker, inner = rng.uniform(0.6, 2.5) * pixel, rng.uniform(6, 18), rng.uniform(0.8, 2.5)
    behind, edge = rng.choice([0.0, 6.0, -9.0], p=[0.4, 0.35, 0.25]) * rng.uniform(0.6, 1.4), rng.uniform(0, 5)
    texture = inner * field(rng, mask.shape, 4 * pixel)
    if not mask.any():
        return echo
    soft = gaussian_filter(mask.astype(float), blur)
    echo = echo + soft * (echo[mask].mean() - darker + texture - echo)
    echo = echo + edge * 4 * soft * (1 - soft)  # a capsule or a halo, as bright as the image allows
    path = np.cumsum(soft, axis=0) / max(mask.sum(axis=0).max(), 1)
    return np.asarray(echo + behind * gaussian_filter1d(path * (1 - soft), 2 * pixel, axis=1))


def _shadows(
    rng: np.random.Generator, row: Float[np.ndarray, "h w"], column: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Loss in dB behind bad contact at the skin, ligaments and calcium: dark columns that widen with depth."""
    loss = np.zeros(row.shape)
    for _ in range(rng.integers(0, 4)):
        start = rng.choice([0.0, rng.uniform(0.15, 0.6)])
        width = rng.uniform(0.04, 0.14) * (1 + 0.8 * row)
        centre = rng.random() + rng.normal(0, 0.1) * row
        loss -= rng.uniform(4, 14) * np.exp(-(((column - centre) / width) ** 2)) * step(row - start, 0.03)
    return loss
