"""What the image says about growth: how far each place differs from the marks, and where the edges are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import correlate1d, gaussian_filter

# Smoothing, in pixels of an image whose longer in-plane side has 256: speckle is finer, outlines are coarser.
SCALE = 1.0
# The scales at which appearance is compared; texture shows in the coarser ones.
SCALES = (1.0, 2.0, 4.0)
# A click on a noiseless picture has no spread of its own; 8-bit pictures are noisier than this.
_LEAST_SPREAD = 0.03


def sigmas(scale: float, shape: Sequence[int], spacing: Sequence[float]) -> tuple[float, ...]:
    """Standard deviation of a smoothing, in pixels along each axis.

    Args:
        scale: in pixels of an image whose longer in-plane side has 256.
        shape: of the whole image.
        spacing: edge of a pixel along each axis; the smoothing is the same in every direction of space.

    Example:
        >>> sigmas(1.0, (10, 512, 512), (4.0, 1.0, 1.0))
        (0.5, 2.0, 2.0)
    """
    base = scale * max(shape[-2:]) / 256 * min(spacing)
    return tuple(base / edge for edge in spacing)


def smoothed(image: Float[np.ndarray, "*space c"], sigma: Sequence[float]) -> Float[np.ndarray, "*space c"]:
    """Gaussian smoothing along the axes of space."""
    return np.asarray(gaussian_filter(image, (*sigma, 0), mode="nearest"))


def textures(
    image: Float[np.ndarray, "*space c"], sigma: Sequence[float], smooth: Float[np.ndarray, "*space c"]
) -> Float[np.ndarray, "*space c"]:
    """Standard deviation of the image around each pixel: the grain of a tissue, which speckle hides from intensities.

    Args:
        image: any values.
        sigma: of the Gaussian that weighs the surroundings, in pixels along each axis.
        smooth: the image smoothed by it.

    Example:
        >>> checks = np.indices((9, 9)).sum(axis=0)[..., None] % 2.0
        >>> textures(checks, (2.0, 2.0), smoothed(checks, (2.0, 2.0)))[4, 4, 0].round(1).item()
        0.5
    """
    return np.asarray(np.sqrt(np.maximum(smoothed(image**2, sigma) - smooth**2, 0.0)))


def contrast(
    smooth: Float[np.ndarray, "*space c"], near: Bool[np.ndarray, "*space"], spacing: Sequence[float]
) -> Float[np.ndarray, "*space"]:
    """The cost of a step: 0 where the image looks as it does around the marks and is flat.

    1/2 abs(I - m) / s + 2 G / G_95, with m and s the mean and spread of the smoothed image I around the marks, and G
    its gradient, in units of the 95th percentile. Of a colour image, the mean over the channels.

    Args:
        smooth: the smoothed image, in [0, 1].
        near: the pixels around the marks.
        spacing: edge of a pixel along each axis.

    Returns:
        >= 0.

    Source: geodesic segmentation with such costs: Criminisi, Sharp & Blake 2008 (doi 10.1007/978-3-540-88682-2_9). The
        two weights are ours, chosen once on breast ultrasound; others between a quarter and four times as large cost at
        most two points of IoU.
    """
    inside = smooth[near]
    spread = np.maximum(inside.std(axis=0), _LEAST_SPREAD)
    different = (np.abs(smooth - inside.mean(axis=0)) / spread).mean(axis=-1)
    return np.asarray(0.5 * different + 2.0 * steepness(smooth, spacing))


def steepness(smooth: Float[np.ndarray, "*space c"], spacing: Sequence[float]) -> Float[np.ndarray, "*space"]:
    """The gradient in units of its 95th percentile: >= 0. Of a colour image, of the mean over the channels.

    Example:
        >>> steepness(np.array([[0.0, 0.0, 1.0, 2.0, 3.0, 4.0]])[..., None], (1.0, 1.0)).round(2).tolist()
        [[0.0, 0.5, 1.0, 1.0, 1.0, 0.5]]
    """
    slopes = [
        correlate1d(smooth, [-0.5, 0.0, 0.5], axis, mode="nearest") * (min(spacing) / edge)
        for axis, edge in enumerate(spacing)
    ]
    edges = np.sqrt(sum(slope**2 for slope in slopes)).mean(axis=-1)
    return np.asarray(edges / (np.percentile(edges, 95) + 1e-9))


def likeness(
    features: Float[np.ndarray, "n c"], inside: Bool[np.ndarray, " n"], outside: Bool[np.ndarray, " n"], limit: float
) -> Float[np.ndarray, " n"]:
    """Log-likelihood ratio of belonging inside rather than outside, by appearance alone.

    Linear discriminant analysis with the pooled covariance of both samples, cut off at +-``limit``.

    Args:
        features: of every pixel.
        inside: the sample of pixels inside; at least 2.
        outside: the sample outside; at least 2.
        limit: no pixel is more certain than this.

    Source: Fisher 1936 (doi 10.1111/j.1469-1809.1936.tb02137.x).

    Example:
        >>> features = np.array([[0.0], [0.2], [0.8], [1.0], [0.9]])
        >>> inside = np.array([False, False, True, True, False])
        >>> ratio = likeness(features, inside, np.array([True, True, False, False, False]), limit=3.0)
        >>> ratio.tolist()  # the last pixel was in neither sample
        [-3.0, -3.0, 3.0, 3.0, 3.0]
    """
    one, other = features[inside], features[outside]
    pooled = np.atleast_2d(np.cov(one.T) + np.cov(other.T)) / 2
    # A picture without noise has a covariance of 0; this is the rounding of 8 bits.
    pooled = pooled + 1e-4 * np.eye(features.shape[1])
    direction = np.linalg.solve(pooled, one.mean(axis=0) - other.mean(axis=0))
    middle = (one.mean(axis=0) + other.mean(axis=0)) / 2
    return np.asarray(((features - middle) @ direction).clip(-limit, limit))


def curved_likeness(
    features: Float[np.ndarray, "n c"], inside: Bool[np.ndarray, " n"], outside: Bool[np.ndarray, " n"], limit: float
) -> Float[np.ndarray, " n"]:
    """As :func:`likeness`, each side with a covariance of its own: quadratic discriminant analysis.

    An outside that is brighter here and darker there than the inside needs it.

    Source: Smith 1947, Some examples of discrimination, Annals of Eugenics 13.

    Example:
        >>> features = np.array([[-1.1], [-1.0], [1.0], [1.1], [-0.1], [0.1], [0.0]])
        >>> inside = np.array([0, 0, 0, 0, 1, 1, 0], dtype=bool)
        >>> outside = np.array([1, 1, 1, 1, 0, 0, 0], dtype=bool)
        >>> float(curved_likeness(features, inside, outside, limit=2.0)[-1])
        2.0
    """
    log_likelihoods = []
    for side in (inside, outside):
        sample = features[side]
        covariance = np.atleast_2d(np.cov(sample.T)) + 1e-4 * np.eye(features.shape[1])
        # Whitened by the inverse of its Cholesky factor, a normal distribution is one of squares.
        white = np.linalg.inv(np.linalg.cholesky(covariance)).astype(features.dtype)
        offsets = (features - sample.mean(axis=0)) @ white.T
        log_likelihoods.append(np.log(np.diag(white)).sum() - 0.5 * np.einsum("nc,nc->n", offsets, offsets))
    return np.asarray((log_likelihoods[0] - log_likelihoods[1]).clip(-limit, limit))


def separation(
    image: Float[np.ndarray, "*space c"],
    mask: Bool[np.ndarray, "*space"],
    depth: Float[np.ndarray, "*space"],
    height: Float[np.ndarray, "*space"],
) -> float:
    """How well the outline of a mask divides the image: Fisher's criterion between its two sides.

    abs(m_in - m_out) / sqrt((v_in + v_out) / 2) over the pixels near the outline, the largest of the channels. No full
    mask is needed, so that it can choose between masks.

    Args:
        image: smoothed.
        mask: to be judged.
        depth: distance of each pixel of the mask to the outside.
        height: distance of each pixel outside to the mask.

    Returns:
        >= 0; 0 for an empty mask, or one that fills the image.

    Example:
        >>> image = np.array([[0.0, 0.0, 1.0, 1.0]])[..., None]
        >>> mask = np.array([[False, False, True, True]])
        >>> near = np.array([[2.0, 1.0, 1.0, 2.0]])
        >>> separation(image, mask, near, near) > separation(image, np.roll(mask, 1, axis=1), near, near)
        True
    """
    if not mask.any() or mask.all():
        return 0.0
    ring = max(2.0, 0.25 * float(depth[mask].max()))
    # Where pixels are long, even the next one can be farther than the ring is wide.
    inner = image[mask & (depth <= max(ring, float(depth[mask].min())))]
    outer = image[~mask & (height <= max(ring, float(height[~mask].min())))]
    scatter = np.sqrt((inner.var(axis=0) + outer.var(axis=0)) / 2 + 1e-6)
    return float((np.abs(inner.mean(axis=0) - outer.mean(axis=0)) / scatter).max())
