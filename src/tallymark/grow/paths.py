"""Growth along minimal paths: distance, plus what the cheapest way from the marks costs in contrast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from skimage.graph import MCP_Geometric

# A flat stretch costs nearly nothing here: its length is counted by the straight distance.
_FLAT = 1e-3


def path_cost(
    step: Float[np.ndarray, "*space"],
    marks: Bool[np.ndarray, "*space"],
    walls: Bool[np.ndarray, "*space"],
    spacing: Sequence[float],
) -> Float[np.ndarray, "*space"]:
    """The cost of the cheapest path from any mark to every pixel.

    Args:
        step: cost of a unit of length at each pixel, >= 0.
        marks: where paths begin.
        walls: no path leads through these.
        spacing: edge of a pixel along each axis.

    Returns:
        >= 0; 0 at the marks, infinite where no path leads.

    Source: Dijkstra's algorithm on the 8- (26-) connected grid, by scikit-image. The grid overestimates a length by up
        to 8 %, which is why the uniform part of a growth's cost is the exact Euclidean distance instead.

    Example:
        >>> marks = np.array([[True, False, False]])
        >>> path_cost(np.ones((1, 3)), marks, np.zeros_like(marks), (1.0, 2.0)).round(2).tolist()
        [[0.0, 2.0, 4.0]]
    """
    # A negative cost is impassable for the solver.
    field = np.where(walls & ~marks, -1.0, step + _FLAT)
    cost, _ = MCP_Geometric(field, sampling=tuple(spacing)).find_costs(np.argwhere(marks))
    return np.where(marks, 0.0, cost)
