"""How well numbers agree with the numbers kept, and masks with the marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from tallymark.errors import EvaluationError
from tallymark.measure.statistics import require_same_shape


class BlandAltman(NamedTuple):
    """Bias and limits of agreement, in the unit of the numbers.

    Attributes:
        bias: mean of predicted minus recorded; NaN without a pair.
        lower: bias - 1.96 sd; NaN with fewer than two pairs.
        upper: bias + 1.96 sd; NaN with fewer than two pairs.
        n: number of pairs.
    """

    bias: float
    lower: float
    upper: float
    n: int


def bland_altman(
    predicted: Sequence[float] | Shaped[np.ndarray, " n"], recorded: Sequence[float] | Shaped[np.ndarray, " n"]
) -> BlandAltman:
    """Bias of the predicted numbers and the limits within which 95 % of the differences are expected.

    Args:
        predicted: one number an image.
        recorded: the numbers kept, in the same unit and order; a pair with a NaN is left out.

    Returns:
        Mean difference and mean difference -+ 1.96 sample standard deviations (n - 1 in the denominator).

    Raises:
        EvaluationError: lists of different lengths.

    Source: Bland & Altman 1986 (DOI 10.1016/S0140-6736(86)90837-8).

    Example:
        >>> bland_altman([3.0, 5.0], [2.0, 2.0])  # differences 1 and 3: mean 2, sd sqrt(2)
        BlandAltman(bias=2.0, lower=-0.77..., upper=4.77..., n=2)
    """
    difference = _differences(predicted, recorded)
    bias = float(difference.mean()) if difference.size else math.nan
    spread = 1.96 * float(difference.std(ddof=1)) if difference.size > 1 else math.nan
    return BlandAltman(bias, bias - spread, bias + spread, difference.size)


def mean_absolute_error(
    predicted: Sequence[float] | Shaped[np.ndarray, " n"], recorded: Sequence[float] | Shaped[np.ndarray, " n"]
) -> float:
    """Mean of abs(predicted - recorded).

    Args:
        predicted: one number an image.
        recorded: the numbers kept, in the same unit and order; a pair with a NaN is left out.

    Returns:
        In the unit of the numbers, >= 0; NaN without a pair.

    Raises:
        EvaluationError: lists of different lengths.

    Example:
        >>> mean_absolute_error([3.0, 1.0, 7.0], [2.0, 4.0, math.nan])
        2.0
    """
    difference = _differences(predicted, recorded)
    return float(np.abs(difference).mean()) if difference.size else math.nan


def mark_hit_rate(mask: Bool[np.ndarray, "*space"], marks: Bool[np.ndarray, "*space"]) -> float:
    """Share of the marked pixels that lie inside the mask; needs no true mask.

    Args:
        mask: the predicted mask, True inside.
        marks: True where someone marked the structure.

    Returns:
        In [0, 1]; NaN without marks.

    Raises:
        GeometryError: arrays of different shapes.

    Example:
        >>> mark_hit_rate(np.array([True, True, False]), np.array([False, True, True]))
        0.5
    """
    require_same_shape(mask, marks)
    return float(mask[marks].mean()) if marks.any() else math.nan


def _differences(
    predicted: Sequence[float] | Shaped[np.ndarray, " n"], recorded: Sequence[float] | Shaped[np.ndarray, " n"]
) -> Float[np.ndarray, " m"]:
    one, other = np.asarray(predicted, dtype=np.float64), np.asarray(recorded, dtype=np.float64)
    if one.shape != other.shape:
        raise EvaluationError("the numbers do not pair up", found=f"{one.size} predicted, {other.size} recorded")
    difference: Float[np.ndarray, " n"] = one - other
    paired: Float[np.ndarray, " m"] = difference[~np.isnan(difference)]
    return paired
