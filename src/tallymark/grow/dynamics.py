"""Threshold dynamics: a mask of exactly the known area that is smooth and divides the image where it changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt, gaussian_filter

from tallymark.grow.contrast import curved_likeness
from tallymark.grow.order import lowest, rank

# Width of the smoothing and of the ring outside, as shares of the thickness: a disc's is its radius.
_SMOOTHING, _RING = 0.18, 0.6
# Weights of a unit of log-likelihood ratio, and of a unit of growth order, against a membership of 0 or 1.
_LIKENESS, _ORDER = 0.03, 0.2
_LIMIT = 3.0
_ROUNDS = 16
# A mask of which less than this share changes in a round has come to rest.
_REST = 0.005
# Half of a disc's pixels lie deeper than 0.29 of its radius.
_MEDIAN_DEPTH = 0.29


def evolve(
    features: Float[np.ndarray, "*space c"],
    order: Float[np.ndarray, "*space"],
    first: Bool[np.ndarray, "*space"],
    pixels: int,
    spacing: Sequence[float],
    hold: float = _ORDER,
) -> Int[np.ndarray, "*space"]:
    """Refine a growth: blur the mask, add what the image says, keep the best ``pixels`` pixels; again until it rests.

    Args:
        features: of every pixel; smoothed intensities and textures.
        order: of the growth to begin with: below 1 inside, above 1 outside, infinite where no mask may be.
        first: pixels that belong to the mask in any case.
        pixels: area of the mask; >= 1.
        spacing: edge of a pixel along each axis.
        hold: weight of a unit of growth order against a membership of 0 or 1: how near the mask keeps to its beginning.

    Returns:
        Ranks as :func:`tallymark.grow.order.rank` gives them; the mask is where they are below ``pixels``.

    Source: threshold dynamics (Merriman, Bence & Osher 1992) for the Chan-Vese energy (Esedoglu & Tsai 2006, doi
        10.1016/j.jcp.2005.05.027), with the area kept exactly by the threshold, as auction dynamics do (Jacobs,
        Merkurjev & Esedoglu 2018, doi 10.1016/j.jcp.2017.10.036). It minimises what a graph cut does (outline plus
        appearance), but at a given area and without a search for the multiplier. Ours: the blur goes with the
        thickness of the structure, so that thin ones do not vanish; the order of growth is a third term.

    Example:
        >>> features = np.zeros((7, 7, 1))
        >>> features[2:5, 2:5] = 1.0
        >>> centre = np.zeros((7, 7), dtype=bool)
        >>> centre[3, 3] = True
        >>> order = distance_transform_edt(~centre) / 1.7
        >>> int((evolve(features, order, centre, 9, (1.0, 1.0)) < 9)[2:5, 2:5].sum())
        9
    """
    cost, mask = order, lowest(order, first, pixels)
    size = thickness(mask, spacing)
    blur = [max(_SMOOTHING * size / edge, 0.5 * min(spacing) / edge) for edge in spacing]
    # Beyond a few times the area all places are equally far; infinite stays infinite.
    pull = hold * np.where(np.isfinite(order), np.minimum(order, 5.0), np.inf)
    for _ in range(_ROUNDS):
        ratio = sides(features, mask, size, spacing)
        if ratio is None:
            break
        cost = pull - gaussian_filter(mask.astype(np.float32), blur, truncate=3.0) - _LIKENESS * ratio
        previous, mask = mask, lowest(cost, first, pixels)
        if np.count_nonzero(mask != previous) <= _REST * pixels:
            break
    return rank(cost, first)


def sides(
    features: Float[np.ndarray, "*space c"], mask: Bool[np.ndarray, "*space"], size: float, spacing: Sequence[float]
) -> Float[np.ndarray, "*space"] | None:
    """How much more each pixel looks like a mask than like the ring around it; None: too few pixels to tell them apart.

    Args:
        features: of every pixel.
        mask: one side; the other is as wide a ring as goes with its thickness.
        size: thickness of the mask.
        spacing: edge of a pixel along each axis.

    Returns:
        Log-likelihood ratio, within +-3.

    Example:
        >>> row = np.arange(20.0)[:, None, None] % 7
        >>> sides(row, row[..., 0] > 3, 2.0, (1.0, 1.0)) is None
        False
    """
    ring = ~mask & (distance_transform_edt(~mask, sampling=spacing) <= _RING * size)
    if min(int(mask.sum()), int(ring.sum())) < 2 * features.shape[-1] + 2:
        return None
    flat = features.reshape(-1, features.shape[-1])
    return curved_likeness(flat, mask.ravel(), ring.ravel(), _LIMIT).reshape(mask.shape)


def thickness(mask: Bool[np.ndarray, "*space"], spacing: Sequence[float]) -> float:
    """The radius of a disc whose pixels lie as deep as those of the mask do, in the unit of the spacing.

    Example:
        >>> y, x = np.indices((101, 101)) - 50
        >>> abs(thickness(x**2 + y**2 <= 40**2, (1.0, 1.0)) / 40 - 1) < 0.06
        True
    """
    return float(np.median(depth_of(mask, spacing)[mask])) / _MEDIAN_DEPTH if mask.any() else 0.0


def depth_of(mask: Bool[np.ndarray, "*space"], spacing: Sequence[float]) -> Float[np.ndarray, "*space"]:
    """Distance to the outside: the border of the image is no outline, for what is cut off there goes on.

    Of a mask that fills the image, the distance to the border, for want of any other.

    Example:
        >>> depth_of(np.array([[True, True, False]]), (1.0, 1.0)).tolist()
        [[2.0, 1.0, 0.0]]
        >>> depth_of(np.ones((3, 3), dtype=bool), (1.0, 1.0)).max().item()
        2.0
    """
    if mask.all():
        inner = (slice(1, -1),) * mask.ndim
        return np.asarray(distance_transform_edt(np.pad(mask, 1), sampling=spacing))[inner]
    return np.asarray(distance_transform_edt(mask, sampling=spacing))
