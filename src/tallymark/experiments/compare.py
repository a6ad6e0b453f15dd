"""Differences between rows with intervals: paired by case, resampled by group, averaged over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float


@dataclass(frozen=True)
class Difference:
    """A difference of mean per-image IoU with its 95 % interval.

    Args:
        mean: first minus second.
        low: lower end.
        high: upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """``above`` or ``below`` where the interval leaves 0 out, else ``open``."""
        if self.low > 0:
            return "above"
        return "below" if self.high < 0 else "open"

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def per_case(cases: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Mean IoU of every case over structures and seeds; cases without the structure are left out.

    Returns:
        Columns id, group, iou.
    """
    rows = pd.concat(cases)
    rows = rows[rows["true_pixels"] > 0]
    return rows.groupby(["id", "group"], sort=True)[["iou"]].mean().reset_index()


def difference(
    first: Sequence[pd.DataFrame], second: Sequence[pd.DataFrame], *, draws: int = 4000, seed: int = 0
) -> Difference:
    """How much the first row is better than the second, in mean per-image IoU.

    Both are averaged over their seeds case by case, then whole groups are drawn with replacement: images of one
    patient are not independent, and both rows see the same patients.

    Args:
        first: the tables of one row, one a seed.
        second: the tables of the other row.
        draws: bootstrap samples.
        seed: of the draws.

    Raises:
        ValueError: they were not scored on the same cases.

    Source: paired cluster bootstrap with percentile intervals (Efron & Tibshirani 1993, chapter 13; Field & Welsh 2007,
        doi 10.1111/j.1467-9868.2007.00593.x).
    """
    one, other = per_case(first), per_case(second)
    if one["id"].tolist() != other["id"].tolist():
        raise ValueError("the rows were not scored on the same cases")
    gain = one["iou"].to_numpy() - other["iou"].to_numpy()
    return cluster_bootstrap(gain, one["group"].to_numpy(), draws=draws, seed=seed)


def cluster_bootstrap(
    values: Float[np.ndarray, " n"], groups: np.ndarray, *, draws: int = 4000, seed: int = 0
) -> Difference:
    """The mean of values with a 95 % interval, resampling whole groups.

    Example:
        >>> interval = cluster_bootstrap(np.array([1.0, 1.0, 1.0]), np.array(["a", "b", "c"]))
        >>> interval.mean, interval.low, interval.high
        (1.0, 1.0, 1.0)
    """
    _, member = np.unique(groups, return_inverse=True)
    sums = np.bincount(member, weights=values)
    sizes = np.bincount(member)
    chosen = np.random.default_rng(seed).integers(len(sums), size=(draws, len(sums)))
    means = sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Difference(float(values.mean()), float(low), float(high))
