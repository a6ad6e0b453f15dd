"""What near pixels that look alike add to the scores of an image, on a grid that goes by the size of its structures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

from tallymark.core.mean_field import heard
from tallymark.data.resize import resize_image

# Side of a square of the structures' area on the grid where neighbours are heard, and how far they are heard there.
_SIDE, _POSITION = 40.0, 3.0
# Logits that a neighbourhood of one mind is worth, and how unlike its pixels may look, in deviations inside.
_STRENGTH, _INTENSITY = 16.0, 0.3
# Speckle and noise of single pixels say nothing.
_SMOOTH = 0.7
# Pixels that can be of a mask: so many times its size, the best ones. The grid shows so much more around them.
_CANDIDATES, _AROUND = 3.0, 0.5


def neighbours_say(
    score: Float[np.ndarray, "k row column"],
    image: Float[np.ndarray, "row column c"],
    least: Float[np.ndarray, " k"],
    most: Float[np.ndarray, " k"],
) -> Float[np.ndarray, "k row column"]:
    """What the neighbours of each pixel say, as :func:`tallymark.core.mean_field.heard`: logits to add to its score.

    Networks see a structure coarsely and growth stops where the number says; where exactly an outline runs, the image
    knows. All lengths go by the size of the structures, so that a large image of one heart and a small one are alike.

    Args:
        score: logits of networks and growth, above 0 where a structure is believed to be.
        image: intensities.
        least: pixels of each structure, at least; NaN where nothing is known.
        most: pixels of each structure, at most; NaN where nothing is known.

    Returns:
        Between -16 and 16; 0 where no size is known, or none is above 0.

    Source: ours; docs/decisions/0017-neighbours-are-heard.md.

    Example:
        >>> row = np.arange(24.0)[:, None] * np.ones((1, 24))
        >>> image = np.where(row < 12, 0.8, 0.2)
        >>> score = np.where(row < 10, 4.0, np.where(row < 12, -2.5, -2.0))[None]
        >>> size = np.array([12 * 24.0])
        >>> heard = score + neighbours_say(score, image[..., None], size, size)
        >>> bool(score[0, 11, 12] > score[0, 12, 12]), bool(heard[0, 11, 12] > heard[0, 12, 12])
        (False, True)
    """
    area = np.nansum(np.where(most > 0, (least + most) / 2, 0))
    if not area > 0:
        return np.zeros_like(score)
    side = float(np.sqrt(area))
    box = _around(_candidates(score, least, most), round(_AROUND * side) + 1)
    scale = min(1.0, _SIDE / side)
    near = score[(slice(None), *box)]
    grid = tuple(max(1, round(length * scale)) for length in near.shape[1:])
    seen = resize_image(image[box], grid)
    seen = gaussian_filter(seen, (_SMOOTH, _SMOOTH, 0))
    pixels = np.prod(grid) / np.prod(near.shape[1:])
    said = heard(
        torch.from_numpy(np.stack([resize_image(one[..., None], grid)[..., 0] for one in near]))[None],
        torch.from_numpy(np.moveaxis(seen, -1, 0).copy())[None],
        torch.from_numpy(least * pixels)[None],
        torch.from_numpy(most * pixels)[None],
        strength=_STRENGTH,
        position=_POSITION * min(1.0, side / _SIDE),
        intensity=_INTENSITY,
    )[0].numpy()
    # Far away all of the neighbourhood is of none.
    everywhere = np.full(score.shape, -_STRENGTH, dtype=np.float32)
    everywhere[(slice(None), *box)] = [resize_image(one[..., None], near.shape[1:])[..., 0] for one in said]
    return everywhere


def _candidates(
    score: Float[np.ndarray, "k row column"], least: Float[np.ndarray, " k"], most: Float[np.ndarray, " k"]
) -> Bool[np.ndarray, "row column"]:
    """Where the structures may be: the best pixels of each, several times as many as it has."""
    found = np.zeros(score.shape[1:], dtype=bool)
    for one, low, high in zip(score, least, most, strict=True):
        if np.isnan(low) or np.isnan(high):
            found |= one > 0
        elif high > 0:
            count = min(one.size, int(np.ceil(_CANDIDATES * max(high, 1))))
            found |= one >= np.partition(one, one.size - count, axis=None)[one.size - count]
    return found


def _around(region: Bool[np.ndarray, "row column"], margin: int) -> tuple[slice, slice]:
    """The box around a region, with a margin, inside of the image."""

    def span(axis: int, length: int) -> slice:
        where: Sequence[int] = np.flatnonzero(region.any(axis=axis)).tolist()
        return slice(max(0, where[0] - margin), min(length, where[-1] + 1 + margin))

    return span(1, region.shape[0]), span(0, region.shape[1])
