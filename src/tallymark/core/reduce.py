"""What every loss and statistic needs: full precision, valid pixels, shapes that must not broadcast by accident."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from tallymark.errors import GeometryError

EMPTY = 0.01
"""Area in pixels below which a mask counts as empty. Small enough not to change anything that covers a pixel, large
enough that a gradient divided by it stays finite in half precision."""


def full_precision(values: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The same values as float32 (float64 stays), because a sum over an image overflows or stalls in half precision.

    Example:
        >>> full_precision(torch.ones(2, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return values if values.dtype == torch.float64 else values.float()


def within(
    values: Float[Tensor, "b k *space"], valid: Bool[Tensor, "b 1 *space"] | None
) -> Float[Tensor, "b k *space"]:
    """Values in full precision, 0 at pixels that are not valid.

    Example:
        >>> within(torch.tensor([[[0.5, 0.5]]]), torch.tensor([[[True, False]]])).tolist()
        [[[0.5, 0.0]]]
    """
    values = full_precision(values)
    if valid is None:
        return values
    require_same_shape(values[:, :1], valid, "values and valid")
    return torch.where(valid, values, 0.0)


def sum_space(values: Shaped[Tensor, "b k *space"]) -> Shaped[Tensor, "b k"]:
    """Sum over all space axes.

    Example:
        >>> sum_space(torch.ones(1, 2, 3, 4)).tolist()
        [[12.0, 12.0]]
    """
    return values.flatten(2).sum(dim=2)


def mean_over(values: Float[Tensor, "b k *space"], valid: Bool[Tensor, "b 1 *space"] | None) -> Float[Tensor, ""]:
    """Mean over the batch, the channels and the valid pixels, each pixel weighing the same; 0 if none is valid.

    Example:
        >>> mean_over(torch.tensor([[[1.0, 3.0, 8.0]]]), torch.tensor([[[True, True, False]]]))
        tensor(2.)
    """
    if valid is None:
        return full_precision(values).mean()
    pixels = valid.sum() * values.shape[1]
    return within(values, valid).sum() / pixels.clamp(min=1)


def places(order: Int[Tensor, "*batch n"]) -> Int[Tensor, "*batch n"]:
    """The place of each element in an order, as ``argsort`` gives it, along the last axis: 0 is the first.

    Example:
        >>> places(torch.tensor([0.3, 0.1, 0.2]).argsort()).tolist()
        [2, 0, 1]
    """
    place = torch.arange(order.shape[-1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, place)


def require_same_shape(one: Shaped[Tensor, "..."], other: Shaped[Tensor, "..."], names: str) -> None:
    """Refuse shapes that differ, even where they would broadcast: a loss over broadcast axes is a wrong loss.

    Raises:
        GeometryError: the shapes differ.

    Example:
        >>> require_same_shape(torch.zeros(2, 1), torch.zeros(2, 3), "value and target")
        Traceback (most recent call last):
        ...
        tallymark.errors.GeometryError: value and target differ in shape; found (2, 1) and (2, 3)
    """
    if one.shape != other.shape:
        raise GeometryError(f"{names} differ in shape", found=f"{tuple(one.shape)} and {tuple(other.shape)}")
