"""How a scanner sees tissue: smooth random fields and fibres, then speckle, gain and log compression.

Fully developed speckle, the magnitude of a complex Gaussian field seen through a point-spread function, is Rayleigh
distributed: Wagner et al. 1983, doi:10.1109/T-SU.1983.31404.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter

# Scanners average pictures from several beam angles (spatial compounding), which tames the speckle.
_LOOKS = 3


def field(
    rng: np.random.Generator, shape: tuple[int, ...], sigma: float | tuple[float, ...]
) -> Float[np.ndarray, "*space"]:
    """Smooth Gaussian noise of mean 0 and deviation 1."""
    noise = gaussian_filter(rng.standard_normal(shape), sigma, mode="reflect")
    return np.asarray((noise - noise.mean()) / noise.std())


def ridges(rng: np.random.Generator, shape: tuple[int, ...], sigma: tuple[float, ...]) -> Float[np.ndarray, "*space"]:
    """Thin bright curves, 0..1: the zero lines of smooth noise, fading in and out like connective tissue."""
    line = np.exp(-((field(rng, shape, sigma) / 0.22) ** 2))
    return np.asarray(line / (1 + np.exp(-2.5 * field(rng, shape, tuple(2 * s for s in sigma)))))


def wave(rng: np.random.Generator, column: Float[np.ndarray, "h w"], height: float) -> Float[np.ndarray, "h w"]:
    """Wavy offset of a layer's border, a function of the column alone, so that a moved probe sees the same border."""
    wave = rng.normal(0, 0.5) * (column - 0.5)
    for order in range(1, 6):
        wave = wave + rng.normal(0, 1 / order) * np.sin(2 * np.pi * (order * column / 1.6 + rng.random()))
    return height * wave


def step(x: Float[np.ndarray, "h w"], width: float = 0.008) -> Float[np.ndarray, "h w"]:
    """From 0 to 1 where x rises through 0."""
    return 1 / (1 + np.exp(-np.clip(x / width, -50, 50)))


def ellipse(
    row: Float[np.ndarray, "h w"], column: Float[np.ndarray, "h w"], r: float, c: float, a: float, b: float, tilt: float
) -> Float[np.ndarray, "h w"]:
    """Normalised distance from an ellipse's centre: 1 on its border."""
    y, x = row - r, column - c
    cos, sin = np.cos(tilt), np.sin(tilt)
    return np.asarray(np.hypot((cos * y - sin * x) / a, (sin * y + cos * x) / b))


def scan(
    rng: np.random.Generator, echo: Float[np.ndarray, "*space"], depth: Float[np.ndarray, "*space"], pixel: float
) -> UInt8[np.ndarray, "*space"]:
    """Attenuation, speckle, electronic noise, gain and log compression: dB in, grey values out."""
    echo = echo - rng.uniform(2, 12) * depth**1.5 + rng.uniform(-3, 4)
    depth = depth.clip(0, 1)
    speckle = np.zeros(echo.shape)
    for _ in range(_LOOKS):
        near, far = (
            sum(part * field(rng, echo.shape, (*([lateral] * (echo.ndim - 2)), axial, lateral)) for part in (1, 1j))
            for axial, lateral in ((0.45 * pixel, 0.7 * pixel), (0.6 * pixel, 1.3 * pixel))
        )  # the beam widens with depth, and so do the grains
        speckle += np.abs(np.sqrt(1 - depth) * near + np.sqrt(depth) * far) / np.sqrt(2) / _LOOKS
    noise = np.abs(field(rng, echo.shape, 0.4) + 1j * field(rng, echo.shape, 0.4)) * 10 ** (-44 / 20)
    level = 20 * np.log10(10 ** (echo / 20) * speckle + noise)
    span = rng.uniform(40, 48)
    return (255 * np.clip((level + span - 3) / span, 0, 1) ** 1.25).round().astype(np.uint8)
