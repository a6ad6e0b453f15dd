"""How well annotators agree: on what their marks lead to, since two strokes in one structure need not touch."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool

Layers = Sequence[Mapping[str, Bool[np.ndarray, "*space"]]]


def agreement(images: Sequence[Layers]) -> dict[str, float | int | None]:
    """Mean Dice of the grown marks of every two annotators of an image.

    Args:
        images: of each image, the grown masks of each annotator by structure.

    Returns:
        ``dice`` (None where nothing was grown twice), and how many pairs were compared.

    Example:
        >>> one, other = np.array([True, True, False]), np.array([False, True, True])
        >>> agreement([[{"lesion": one}, {"lesion": other}]])
        {'dice': 0.5, 'pairs': 1}
    """
    found = []
    for layers in images:
        for one, other in itertools.combinations(layers, 2):
            for structure in one.keys() & other.keys():
                both = int(one[structure].sum() + other[structure].sum())
                if both:
                    found.append(2 * int((one[structure] & other[structure]).sum()) / both)
    return {"dice": round(statistics.fmean(found), 3) if found else None, "pairs": len(found)}
