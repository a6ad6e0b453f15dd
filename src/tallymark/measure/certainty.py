"""How sure a model is of its own mask, without a reference."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def expected_overlap(probability: Float[np.ndarray, "*space"], mask: Bool[np.ndarray, "*space"]) -> float:
    """The overlap (intersection over union) that probabilities promise to a mask.

    If every pixel belongs to the structure with its probability, the expected intersection is the sum of the
    probabilities in the mask, and the expected union the size of the mask and the sum of the probabilities outside of
    it; their ratio is the first-order approximation of the expected overlap.

    Args:
        probability: of the structure, in [0, 1].
        mask: what was made of it.

    Returns:
        In [0, 1]; 1 for an empty mask that nothing speaks against.

    Example:
        >>> expected_overlap(np.array([1.0, 0.5, 0.5, 0.0]), np.array([True, True, False, False]))
        0.6
    """
    inside, outside = float(probability[mask].sum()), float(probability[~mask].sum())
    union = float(mask.sum()) + outside
    return inside / union if union > 0 else 1.0
