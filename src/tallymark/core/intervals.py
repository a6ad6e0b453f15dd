"""The ends within which a kept number is met: an interval where one was kept, else the number itself."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from tallymark.core.reduce import require_same_shape


def interval(
    like: Float[Tensor, "b s"],
    target: Float[Tensor, "b s"],
    low: Float[Tensor, "b s"] | None = None,
    high: Float[Tensor, "b s"] | None = None,
) -> tuple[Float[Tensor, "b s"], Float[Tensor, "b s"]]:
    """Lower and upper end of every number.

    Args:
        like: the predicted statistics; gives precision and device.
        target: the numbers kept; NaN where unknown.
        low: lower end of the interval that replaces the target; NaN where not given. One end alone leaves the other
            side open: ``low=0.2`` means "at least 0.2", whatever the target says.
        high: upper end, >= low; NaN where not given.

    Returns:
        Equal ends for a number, -inf or inf for an open side, NaN at both ends where nothing is known.

    Raises:
        GeometryError: shapes that differ.

    Example:
        >>> like, nan = torch.zeros(1, 3), float("nan")
        >>> lower, upper = interval(like, torch.tensor([[0.5, 0.5, nan]]), torch.tensor([[nan, 0.25, nan]]))
        >>> lower.tolist(), upper.tolist()
        ([[0.5, 0.25, nan]], [[0.5, inf, nan]])
    """
    unknown = torch.full_like(like, torch.nan)
    ends = []
    for name, end in (("target", target), ("low", low), ("high", high)):
        if end is not None:
            require_same_shape(like, end, f"value and {name}")
        ends.append(unknown if end is None else end.to(like))
    target, low, high = ends
    no_interval = low.isnan() & high.isnan()
    lower = torch.where(no_interval, target, torch.where(low.isnan(), -torch.inf, low))
    upper = torch.where(no_interval, target, torch.where(high.isnan(), torch.inf, high))
    return lower, upper
