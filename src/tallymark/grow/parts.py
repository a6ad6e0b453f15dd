"""Two parts of one whole: grown as one, and divided by how they look.

Fat runs through muscle in a dozen streaks, of which a person marks one. What grows from that mark alone stays around
it; the whole, grown from the marks on both, holds the other streaks, and the marks say which of its pixels look alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from tallymark.grow.contrast import SCALE, likeness, sigmas, smoothed
from tallymark.grow.order import rank

# Looks divide where the marks are told apart so well: three deviations, which an even split of the intensities gets
# right for 93 of 100 pixels.
_APART = 3.0
# Logits that a place in the order of growth is worth, of one part before the other and of the whole.
_NEARER, _OUTSIDE = 4.0, 16.0
# Neither places nor logits go beyond.
_FARTHEST, _SUREST = 8.0, 100.0
# So many marked pixels, and so many more for each channel, show how much a tissue varies; fewer differ by chance.
_LEAST_MARKED, _EACH_CHANNEL = 3, 3


class Division(NamedTuple):
    """A whole that was divided.

    Attributes:
        part: the pixels of one part.
        rest: those of the other.
        costs: of both parts, for every pixel of the image: the lower, the sooner it joins.
    """

    part: Bool[np.ndarray, "*space"]
    rest: Bool[np.ndarray, "*space"]
    costs: tuple[Float[np.ndarray, "*space"], Float[np.ndarray, "*space"]]


def looks_apart(
    marks: tuple[Bool[np.ndarray, "*space"], Bool[np.ndarray, "*space"]],
    image: Float[np.ndarray, "*space c"],
    spacing: Sequence[float],
) -> Float[np.ndarray, "*space"] | None:
    """How much more each pixel looks like the first marks than like the second: a log-likelihood ratio.

    Args:
        marks: on both parts.
        image: in [0, 1].
        spacing: edge of a pixel along each axis.

    Returns:
        None where the marks hardly differ, or are of fewer than six pixels (twelve of three channels): then looks
        divide nothing.

    Example:
        >>> image = np.tile([0.1, 0.12, 0.8, 0.82], (5, 1))[..., None]
        >>> dark, bright = image[..., 0] < 0.5, image[..., 0] > 0.5
        >>> bool((looks_apart((dark, bright), image, (1.0, 1.0)) > 0)[dark].all())
        True
        >>> looks_apart((dark, bright), np.full_like(image, 0.5), (1.0, 1.0)) is None
        True
    """
    one, other = (mask.ravel() for mask in marks)
    if min(one.sum(), other.sum()) < _LEAST_MARKED + _EACH_CHANNEL * image.shape[-1]:
        return None
    smooth = smoothed(image, sigmas(SCALE, image.shape[:-1], spacing))
    ratio = likeness(smooth.reshape(one.size, -1), one, other, _SUREST)
    # Between the means the ratio of two normal distributions rises by the square of their distance.
    if ratio[one].mean() - ratio[other].mean() < _APART**2:
        return None
    return ratio.reshape(marks[0].shape)


def divide(
    ratio: Float[np.ndarray, "*space"],
    orders: tuple[Float[np.ndarray, "*space"], Float[np.ndarray, "*space"]],
    whole: Bool[np.ndarray, "*space"],
    order: Float[np.ndarray, "*space"],
    areas: tuple[int, int],
    barred: tuple[Bool[np.ndarray, "*space"], Bool[np.ndarray, "*space"]],
) -> Division:
    """Divide a whole by looks, and by which part is nearer where looks say little.

    Args:
        ratio: of :func:`looks_apart`.
        orders: of both parts, grown against each other.
        whole: grown from the marks on both.
        order: of the whole.
        areas: of both parts; where the whole has fewer pixels, each gets its share of them.
        barred: pixels that are never of the one part, and of the other. A part has fewer pixels than its area where too
            many of the whole are barred to it.

    Source: ours; discriminant analysis as :func:`tallymark.grow.contrast.likeness`.

    Example:
        >>> ratio = np.array([[3.0, -3.0, 2.0, -2.0, 9.0]])
        >>> whole, near = ratio < 5, np.ones(ratio.shape)
        >>> found = divide(ratio, (near, near), whole, near, (2, 2), (ratio == -3, ratio == 3))
        >>> found.part.astype(int).tolist(), found.rest.astype(int).tolist()
        ([[1, 0, 1, 0, 0]], [[0, 1, 0, 1, 0]])
    """
    first, second = (np.minimum(each, _FARTHEST) for each in orders)
    rather = ratio + _NEARER * (second - first)
    rather = np.where(barred[1], np.inf, np.where(barred[0], -np.inf, rather))
    count = int(whole.sum())
    pixels = min(areas[0], round(count * areas[0] / sum(areas)))
    # Infinite costs are not ranked; what is barred to the other comes first, to itself last of all.
    finite = np.clip(-rather, -1e6, 1e6)
    part = whole & (rank(np.where(whole, finite, np.inf), whole & barred[1]) < pixels)
    beyond = np.where(np.isfinite(order), _OUTSIDE * np.maximum(order - 1, 0), np.inf)
    # Outside of the whole other things look alike: there, what is nearest comes next.
    costs = np.where(whole, finite, beyond), np.where(whole, -finite, beyond)
    return Division(part & ~barred[0], whole & ~part & ~barred[1], costs)
