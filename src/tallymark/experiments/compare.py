"""Differences between rows with intervals: paired by case, resampled by group, averaged over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float


@dataclass(frozen=True)
class Difference:
    """A difference of mean per-image IoU, or their ratio, with its 95 % interval.

    Args:
        mean: first minus second, or first over second.
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
    """Mean IoU of every case and structure over seeds; cases without the structure are left out.

    Args:
        cases: the case tables of a row: of its seeds, which hold the same cases, or of its folds, which part them.

    Returns:
        Columns id, group, structure, iou.
    """
    rows = pd.concat(cases)
    rows = rows[rows["true_pixels"] > 0]
    return rows.groupby(["id", "group", "structure"], sort=True)[["iou"]].mean().reset_index()


def difference(
    first: Sequence[pd.DataFrame], second: Sequence[pd.DataFrame], *, draws: int = 4000, seed: int = 0
) -> Difference:
    """How much the first row is better than the second, in mean per-image IoU, averaged over structures.

    Both are averaged over their seeds case by case (the cases of folds are pooled), then whole groups are drawn with
    replacement: images of one patient are not independent, and both rows see the same patients.

    Args:
        first: the case tables of one row, one a seed or fold.
        second: those of the other row.
        draws: bootstrap samples.
        seed: of the draws.

    Raises:
        ValueError: they were not scored on the same cases.

    Source: paired cluster bootstrap with percentile intervals (Efron & Tibshirani 1993, chapter 13; Field & Welsh 2007,
        doi 10.1111/j.1467-9868.2007.00593.x).
    """
    one, other = _paired(first, second)
    gain = one["iou"].to_numpy() - other["iou"].to_numpy()
    return cluster_bootstrap(gain, one["group"].to_numpy(), one["structure"].to_numpy(), draws=draws, seed=seed)


def share(
    first: Sequence[pd.DataFrame], second: Sequence[pd.DataFrame], *, draws: int = 4000, seed: int = 0
) -> Difference:
    """The mean per-image IoU of the first row as a share of that of the second; otherwise as :func:`difference`.

    Args:
        first: the case tables of one row, one a seed or fold.
        second: those of the other row; its mean IoU is above 0.
        draws: bootstrap samples.
        seed: of the draws.

    Raises:
        ValueError: they were not scored on the same cases.

    Example:
        >>> table = pd.DataFrame({"id": ["a", "b"], "group": ["a", "b"], "structure": "cyst", "true_pixels": 9})
        >>> half, whole = table.assign(iou=[0.2, 0.4]), table.assign(iou=[0.4, 0.8])
        >>> print(share([half], [whole]))
        +0.500 [+0.500, +0.500]
    """
    one, other = _paired(first, second)
    both = np.stack([one["iou"].to_numpy(), other["iou"].to_numpy()])
    means, drawn = _means(both, one["group"].to_numpy(), one["structure"].to_numpy(), draws, seed)
    low, high = np.percentile(drawn[0] / drawn[1], (2.5, 97.5))
    return Difference(float(means[0] / means[1]), float(low), float(high))


def _paired(first: Sequence[pd.DataFrame], second: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    one, other = per_case(first), per_case(second)
    keys = ["id", "structure"]
    if not one[keys].equals(other[keys]):
        raise ValueError("the rows were not scored on the same cases")
    return one, other


def cluster_bootstrap(
    values: Float[np.ndarray, " n"],
    groups: np.ndarray,
    kinds: np.ndarray | None = None,
    *,
    draws: int = 4000,
    seed: int = 0,
) -> Difference:
    """The mean of values with a 95 % interval, resampling whole groups.

    Args:
        values: one a case (and kind).
        groups: group of each value.
        kinds: kind of each value; the mean is that of the means of the kinds, however many values each has.
        draws: bootstrap samples. One that holds no value of a kind has the mean of the others.
        seed: of the draws.

    Example:
        >>> interval = cluster_bootstrap(np.array([1.0, 1.0, 1.0]), np.array(["a", "b", "c"]))
        >>> interval.mean, interval.low, interval.high
        (1.0, 1.0, 1.0)
        >>> values, groups = np.array([1.0, 1.0, 0.0]), np.array(["a", "b", "b"])
        >>> cluster_bootstrap(values, groups, np.array(["kidney", "kidney", "tumour"])).mean
        0.5
    """
    means, drawn = _means(values[None], groups, np.zeros(len(values)) if kinds is None else kinds, draws, seed)
    low, high = np.percentile(drawn[0], (2.5, 97.5))
    return Difference(float(means[0]), float(low), float(high))


def _means(
    values: Float[np.ndarray, "row n"], groups: np.ndarray, kinds: np.ndarray, draws: int, seed: int
) -> tuple[Float[np.ndarray, " row"], Float[np.ndarray, "row draw"]]:
    """The mean of each row of values over the means of the kinds, and the same of whole groups drawn anew."""
    _, member = np.unique(groups, return_inverse=True)
    _, kind = np.unique(kinds, return_inverse=True)
    sums, sizes = np.zeros((2, len(values), kind.max() + 1, member.max() + 1))
    for row, own in enumerate(values):
        np.add.at(sums[row], (kind, member), own)
        np.add.at(sizes[row], (kind, member), 1)
    chosen = np.random.default_rng(seed).integers(sums.shape[-1], size=(draws, sums.shape[-1]))
    drawn_sums, drawn_sizes = sums[..., chosen].sum(axis=-1), sizes[..., chosen].sum(axis=-1)
    present = drawn_sizes > 0
    means = np.divide(drawn_sums, drawn_sizes, out=np.zeros_like(drawn_sums), where=present)
    whole = (sums.sum(axis=-1) / sizes.sum(axis=-1)).mean(axis=-1)
    return whole, means.sum(axis=1) / present.sum(axis=1)
