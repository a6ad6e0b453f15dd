"""Where a structure may be when its size is known and nobody has marked it: blobs of that size that stand out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import maximum_filter
from scipy.signal import fftconvolve

from tallymark.grow.contrast import sigmas, smoothed

# A blob is compared with what lies around it, between these multiples of its radius; the gap is for a soft outline.
_NEAR, _FAR = 1.15, 1.7
# In 2-D, ellipses so many times as long as wide are tried in so many directions, beside the disc.
_LONG, _DIRECTIONS = 1.6, 4
# A blob lies inside of the image by this share at least.
_INSIDE = 0.9
# Spread that every tissue is taken to have, so that a flat picture does not stand out infinitely.
_SPREAD = 0.003
# The middle of a mark is so many radii from that of its structure, at most.
_OFF_CENTRE = 0.5
# What decides between blobs settles after a few rounds of small steps. The ridge keeps distributions from collapsing.
_ROUNDS, _STEP, _RIDGE = 10, 0.5, 0.05
# How much a standard deviation of the contrast counts: at first, where nothing else is known, and beside the rest.
_FIRST, _BESIDE = 3.0, 1.0


class Blob(NamedTuple):
    """An ellipse, or a ball, of the known size.

    Attributes:
        centre: in units of the spacing, from the corner of the image, one a space axis.
        radii: half of its axes, in the same units; two in 2-D, three alike in 3-D.
        angle: of the first axis against the columns, in radians; 0 in 3-D.
        features: what it looks like and where it is; the first is its contrast.
    """

    centre: tuple[float, ...]
    radii: tuple[float, ...]
    angle: float
    features: Float[np.ndarray, " f"]

    def mask(self, shape: Sequence[int], spacing: Sequence[float], scale: float = 1.0) -> Bool[np.ndarray, "*space"]:
        """Its pixels, or those of one ``scale`` times as large around the same centre; one pixel at least.

        Example:
            >>> blob = Blob((2.5, 2.5), (1.2, 1.2), 0.0, np.zeros(1))
            >>> blob.mask((5, 5), (1.0, 1.0)).sum(axis=1).tolist()
            [0, 1, 3, 1, 0]
        """
        distance = _distance(shape, spacing, self.centre, self.radii, self.angle)
        return np.asarray(distance <= max(scale, float(distance.min())))


def propose(
    image: Float[np.ndarray, "*image"],
    area: float,
    spacing: Sequence[float],
    *,
    excluded: Bool[np.ndarray, "*space"] | None = None,
    inside: Sequence[int] | None = None,
    count: int = 8,
) -> list[Blob]:
    """Find blobs of a known size: places that differ from what is around them, the darkest and the brightest.

    Contrast is the difference of the means inside and around, over the root of the sum of their variances. The size is
    known, so that one scale is looked at and not many.

    Args:
        image: in [0, 1], with a last axis of channels, whose mean is looked at.
        area: in pixels (voxels), > 0.
        spacing: edge of a pixel along each axis, in any unit.
        excluded: True where someone marked "none of these": no blob has its centre there.
        inside: a pixel of the structure, if one is known: of the blobs around it, whose centre is at most half a radius
            away, the one that stands out most comes first.
        count: at most so many that are darker than their surroundings, and as many that are brighter.

    Returns:
        The blobs, the darkest first, then the brightest first; none where nothing of this size fits into the image, or
        around the pixel that is known.

    Source: blob detection at one scale, after Lindeberg 1998 (doi 10.1023/A:1008045108935), with a normalised contrast
        in the place of the Laplacian; ours: the scale is the kept number.

    Example:
        >>> image = np.full((20, 20, 1), 0.8)
        >>> image[6:11, 11:16] = 0.1
        >>> [round(x) for x in propose(image, 25.0, (1.0, 1.0))[0].centre]  # the middles of pixels 8 and 13
        [8, 14]
    """
    shape = image.shape[:-1]
    smooth = smoothed(image, sigmas(1.0, shape, spacing)).mean(axis=-1)
    raw = image.mean(axis=-1)
    best = np.full((2, *shape), -np.inf)
    which = np.zeros((2, *shape), dtype=np.intp)
    ellipses = list(_ellipses(area * math.prod(spacing), len(shape)))
    for number, (radii, angle) in enumerate(ellipses):
        signed = _contrast(smooth, spacing, radii, angle)
        for side, value in enumerate((-signed, signed)):
            better = value > best[side]
            best[side][better], which[side][better] = value[better], number
    if excluded is not None:
        best[:, excluded] = -np.inf
    radius = _radius(area * math.prod(spacing), len(shape))
    around = [max(3, int(radius / edge)) for edge in spacing]
    places: list[tuple[int, ...]] = []
    if inside is not None:
        centre = tuple((place + 0.5) * edge for place, edge in zip(inside, spacing, strict=True))
        near = np.where(_distance(shape, spacing, centre, (radius,) * len(shape), 0.0) <= _OFF_CENTRE, best, -np.inf)
        if near.max() == -np.inf:
            return []
        places.append(tuple(map(int, np.unravel_index(int(near.argmax()), near.shape))))
    for side in range(2):
        peaks = np.argwhere((best[side] == maximum_filter(best[side], size=around)) & (best[side] > 0))
        peaks = peaks[np.argsort(-best[side][tuple(peaks.T)], kind="stable")][:count]
        places += [(side, *map(int, peak)) for peak in peaks]
    found = []
    for side, *peak in dict.fromkeys(places):
        radii, angle = ellipses[which[(side, *peak)]]
        centre = tuple((place + 0.5) * edge for place, edge in zip(peak, spacing, strict=True))
        blob = Blob(centre, radii, angle, np.zeros(0))
        features = _features(blob, float(best[(side, *peak)]), raw, smooth, spacing)
        found.append(blob._replace(features=features))
    return found


def prefer(
    proposals: Sequence[Float[np.ndarray, "_ _"]], known: Sequence[bool] | None = None
) -> list[Float[np.ndarray, " _"]]:
    """How likely each blob of each image is the structure, from what the likely blobs of all images have in common.

    Two normal distributions, of the features of the structure and of those of other blobs, and in each image one blob
    that is the structure: by turns the distributions from the probabilities and the probabilities from the
    distributions. At first the contrast alone decides, and it counts a little to the end, which keeps the rest from
    drifting. So a study of many images finds out whether its structure is dark or bright, smooth or grainy, and where
    in the image it lies. Images in which somebody marked it say so from the start, and count together as much as
    all others.

    Args:
        proposals: features of the blobs of each image, as :func:`propose` gives them; an image may have none.
        known: images whose first blob is known to be the structure; None: none.

    Returns:
        Probabilities of the blobs of each image, their sum 1.

    Source: ours; expectation maximisation (Dempster, Laird & Rubin 1977,
        doi 10.1111/j.2517-6161.1977.tb01600.x) for one positive instance in each bag.

    Example:
        >>> rng = np.random.default_rng(0)  # the second of each pair stands out a little more, and is alike in all
        >>> pairs = [np.array([[1.0, rng.normal(0, 3)], [1.2, rng.normal(5, 0.1)]]) for _ in range(50)]
        >>> bool(min(chances[1] for chances in prefer(pairs)) > 0.5)
        True
    """
    bag = np.concatenate([np.full(len(one), number) for number, one in enumerate(proposals)]).astype(np.intp)
    if not len(bag):
        return [np.zeros(0) for _ in proposals]
    features = np.concatenate([one for one in proposals if len(one)])
    features = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    told = np.asarray(known if known is not None else np.zeros(len(proposals)), dtype=bool)[bag]
    first = np.append(True, bag[1:] != bag[:-1])
    bags, bags_told = len(np.unique(bag)), len(np.unique(bag[told]))
    weight = np.where(told, max(1.0, (bags - bags_told) / max(bags_told, 1)), 1.0)
    chances = np.where(told, first, _shares(_FIRST * features[:, 0], bag))
    for _ in range(_ROUNDS):
        likely, other = (_log_normal(features, weight * chance) for chance in (chances, 1 - chances))
        ratio = likely - other + _BESIDE * features[:, 0]
        chances = np.where(told, chances, chances + _STEP * (_shares(ratio, bag) - chances))
    return [chances[bag == number] for number in range(len(proposals))]


def _ellipses(volume: float, dimension: int) -> Iterator[tuple[tuple[float, ...], float]]:
    """Radii and angle of every shape that is tried."""
    radius = _radius(volume, dimension)
    yield (radius,) * dimension, 0.0
    if dimension == 2:
        for turn in range(_DIRECTIONS):
            yield (radius * math.sqrt(_LONG), radius / math.sqrt(_LONG)), turn * math.pi / _DIRECTIONS


def _radius(volume: float, dimension: int) -> float:
    return math.sqrt(volume / math.pi) if dimension == 2 else math.cbrt(3 * volume / (4 * math.pi))


def _distance(
    shape: Sequence[int], spacing: Sequence[float], centre: Sequence[float], radii: Sequence[float], angle: float
) -> Float[np.ndarray, "*space"]:
    """Distance of the middle of each pixel from a centre, in radii."""
    axes = np.meshgrid(
        *((np.arange(n) + 0.5) * edge - middle for n, edge, middle in zip(shape, spacing, centre, strict=True)),
        indexing="ij",
    )
    if len(axes) == 2:
        along = axes[1] * math.cos(angle) + axes[0] * math.sin(angle)
        across = axes[0] * math.cos(angle) - axes[1] * math.sin(angle)
        axes = (along, across)
    return np.asarray(np.sqrt(sum((axis / radius) ** 2 for axis, radius in zip(axes, radii, strict=True))))


def _contrast(
    image: Float[np.ndarray, "*space"], spacing: Sequence[float], radii: tuple[float, ...], angle: float
) -> Float[np.ndarray, "*space"]:
    """Inside less around, over their spread, with this ellipse at every pixel; NaN where too much of it is outside."""
    reach = [math.ceil(_FAR * max(radii) / edge) for edge in spacing]
    # A kernel wider than the image adds nothing.
    reach = [min(one, n - 1) for one, n in zip(reach, image.shape, strict=True)]
    sides = [2 * one + 1 for one in reach]
    centre = [(one + 0.5) * edge for one, edge in zip(reach, spacing, strict=True)]
    distance = _distance(sides, spacing, centre, radii, angle)
    distance[tuple(reach)] = 0.0
    means, variances, inside = [], [], np.zeros(image.shape)
    for number, kernel in enumerate((distance <= 1, (distance > _NEAR) & (distance <= _FAR))):
        weight = kernel.astype(np.float64)
        pixels = fftconvolve(np.ones(image.shape), weight, "same")
        if number == 0:
            inside = pixels / weight.sum()
        pixels = np.maximum(pixels, 1.0)
        mean = fftconvolve(image, weight, "same") / pixels
        means.append(mean)
        variances.append(np.maximum(fftconvolve(image**2, weight, "same") / pixels - mean**2, 0.0))
    signed = (means[0] - means[1]) / np.sqrt(variances[0] + variances[1] + _SPREAD)
    return np.asarray(np.where(inside > _INSIDE, signed, np.nan))


def _features(
    blob: Blob,
    contrast: float,
    raw: Float[np.ndarray, "*space"],
    smooth: Float[np.ndarray, "*space"],
    spacing: Sequence[float],
) -> Float[np.ndarray, " f"]:
    """Contrast, place, distance from the middle, and the intensities and their spread inside and around."""
    distance = _distance(raw.shape, spacing, blob.centre, blob.radii, blob.angle)
    inside, around = distance <= max(1.0, float(distance.min())), (distance > _NEAR) & (distance <= _FAR)
    extents = [n * edge for n, edge in zip(raw.shape, spacing, strict=True)]
    place = [centre / extent - 0.5 for centre, extent in zip(blob.centre, extents, strict=True)]
    level = smooth.mean()
    looks = [
        smooth[inside].mean() - level,
        (smooth[around].mean() if around.any() else level) - level,
        math.log(smooth[inside].std() + 0.02),
        math.log(raw[inside].std() + 0.02),
    ]
    return np.array([contrast, *place, *(abs(one) for one in place), *looks], dtype=np.float64)


def _shares(score: Float[np.ndarray, " n"], bag: np.ndarray) -> Float[np.ndarray, " n"]:
    """The softmax within each bag."""
    highest = np.full(bag.max() + 1, -np.inf)
    np.maximum.at(highest, bag, score)
    raised = np.exp(score - highest[bag])
    return np.asarray(raised / np.bincount(bag, raised)[bag])


def _log_normal(features: Float[np.ndarray, "n f"], weight: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Log-density, up to a constant, of the normal distribution that fits the weighted features."""
    weight = (weight + 1e-6) / (weight + 1e-6).sum()
    offsets = features - weight @ features
    covariance = (offsets * weight[:, None]).T @ offsets + _RIDGE * np.eye(features.shape[1])
    return np.asarray(
        -0.5 * np.einsum("ni,ij,nj->n", offsets, np.linalg.inv(covariance), offsets)
        - 0.5 * np.linalg.slogdet(covariance)[1]
    )
