"""Physical sizes: positive where known, NaN where unknown, never guessed."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tallymark.core.reduce import full_precision
from tallymark.errors import GeometryError


def pixel_edges(
    prob: Float[Tensor, "b k *space"], spacing_mm: Float[Tensor, "b d"]
) -> tuple[Float[Tensor, "b d"], Bool[Tensor, "b 1"]]:
    """Pixel edges on the device of the mask, and which images have them.

    Args:
        prob: gives the number of images, of space axes and the device.
        spacing_mm: pixel edges in mm, (plane,) row, column; > 0, or NaN where unknown.

    Returns:
        The edges with 1 in place of NaN, and whether all edges of an image are known.

    Raises:
        GeometryError: spacing <= 0, or a spacing of another dimension than the mask.

    Example:
        >>> edges, known = pixel_edges(torch.ones(1, 1, 2, 2), torch.tensor([[0.5, torch.nan]]))
        >>> edges.tolist(), known.tolist()
        ([[0.5, 1.0]], [[False]])
    """
    if spacing_mm.shape != (prob.shape[0], prob.ndim - 2):
        raise GeometryError(
            "the spacing does not fit the mask",
            where="spacing_mm",
            found=f"shape {tuple(spacing_mm.shape)}",
            expected=f"{(prob.shape[0], prob.ndim - 2)}: images, space axes",
        )
    edges, known = known_sizes(spacing_mm.to(prob.device), "spacing_mm")
    return edges, known.all(dim=1, keepdim=True)


def known_sizes(size: Float[Tensor, "b n"], where: str) -> tuple[Float[Tensor, "b n"], Bool[Tensor, "b n"]]:
    """Sizes with 1 in place of NaN, which would reach the gradient of a product, and which of them are known.

    Raises:
        GeometryError: a size <= 0; ``where`` names it.

    Example:
        >>> sizes, known = known_sizes(torch.tensor([[4.0, torch.nan]]), "extent_mm")
        >>> sizes.tolist(), known.tolist()
        ([[4.0, 1.0]], [[True, False]])
    """
    if bool((size <= 0).any()):
        raise GeometryError("a physical size is not positive", where=where, found=size.tolist(), expected="mm, > 0")
    known = ~size.isnan()
    return full_precision(torch.where(known, size, 1.0)), known
