"""How much growth should weigh against the networks, chosen without a mask."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float

from tallymark.grow.choose import mirrored

USUAL, CLOSE, MIRRORED = 16.0, 8.0, 32.0
"""Logits that a place in the order of growth is worth: beside networks of whole images; beside those of close-ups,
which know more; beside either where marks mirror their structure."""
_ENOUGH = 0.35


def likeness_of_marks(
    marks: Bool[np.ndarray, "k *space"], order: Float[np.ndarray, "k *space"]
) -> Float[np.ndarray, " k"]:
    """How much the marks of an image look like what erosion leaves of what they grow to.

    Args:
        marks: by structure.
        order: places in the order of growth, below 1 inside; NaN throughout where nothing has grown.

    Returns:
        Overlap (IoU) of the marks with as many of the deepest pixels; NaN without marks or growth.

    Example:
        >>> marks, order = np.zeros((2, 9, 9), dtype=bool), np.full((2, 9, 9), 2.0)
        >>> order[:, 1:8, 1:8] = 0.5
        >>> marks[0, 3:6, 3:6] = marks[1, 1:2, 1:8] = True
        >>> likeness_of_marks(marks, order).tolist()
        [1.0, 0.0]
    """
    found = np.full(len(marks), np.nan)
    for k, (marked, places) in enumerate(zip(marks, order, strict=True)):
        if marked.any() and (places < 1).any():
            found[k] = mirrored(marked, places < 1, (1.0,) * marked.ndim)
    return found


def choose_pulls(
    likenesses: Iterable[Float[np.ndarray, " k"]], structures: int, usual: float = USUAL
) -> Float[np.ndarray, " k"]:
    """What a place in the order of growth is worth, by structure.

    Networks are trained on grown marks and know more than a growth from a click, a dab or a stroke; of marks that are
    the inner part of a structure, growth knows more than they. Which marks these are shows without a full mask.

    Args:
        likenesses: of :func:`likeness_of_marks`, one row an image.
        structures: how many.
        usual: what it is worth where marks do not look so.

    Returns:
        32 where the mean likeness is at least 0.35; else ``usual``.

    Source: ours; figures in docs/results/recover.md.

    Example:
        >>> choose_pulls([np.array([0.1, 0.5]), np.array([np.nan, 0.4])], 2).tolist()
        [16.0, 32.0]
    """
    rows = np.array([*likenesses, np.full(structures, np.nan)])
    counted = np.maximum((~np.isnan(rows)).sum(axis=0), 1)
    mean = np.nansum(rows, axis=0) / counted
    return np.where(mean >= _ENOUGH, MIRRORED, usual)
