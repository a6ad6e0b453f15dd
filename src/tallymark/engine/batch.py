"""A batch of cases as a network and a loss see them."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor


class Batch(NamedTuple):
    """A batch of cases as a network and a loss see them.

    Attributes:
        image: in [0, 1].
        valid: pixels that show the image; an augmented view may have a border that does not.
        value: the kept numbers in canonical units (fraction, mm, mm2, mm3); NaN where unknown.
        low: lower end of the kept interval; NaN where there is none.
        high: upper end of the kept interval; NaN where there is none.
        spacing_mm: edges of a network pixel in mm, (plane,) row, column; NaN where unknown.
        extent_mm: area (mm2) or volume (mm3) of the whole image; NaN where unknown.
        marks: pixels someone marked as the structure; None when no loss asks for them.
        excluded: pixels someone marked as none of the structures; None when no loss asks for them.
        truth: full masks, empty where ``masked`` is False; None unless the run is supervised, in part at least.
        grown: marks grown to the known area, as a share of each pixel; None unless a loss asks for it.
        order: place of each pixel in the order of growth, 1 at the outline of ``grown``, 0 everywhere where that is
            a guess and not grown from marks; None as ``grown``.
        certainty: weight of ``grown`` at each pixel, 0 where nothing is known; None as ``grown``.
        masked: cases whose full mask is read; None: all of them, if ``truth`` is there.
        case: position of each case among those that are batched; None where nobody asks.
        shared: part of each image that a number of its group leaves to a structure, by estimate; NaN where unknown,
            None where no group has a number.
    """

    image: Float[Tensor, "b c *space"]
    valid: Bool[Tensor, "b 1 *space"]
    value: Float[Tensor, "b s"]
    low: Float[Tensor, "b s"]
    high: Float[Tensor, "b s"]
    spacing_mm: Float[Tensor, "b d"]
    extent_mm: Float[Tensor, " b"]
    marks: Bool[Tensor, "b k *space"] | None
    excluded: Bool[Tensor, "b 1 *space"] | None
    truth: Bool[Tensor, "b k *space"] | None
    grown: Float[Tensor, "b k *space"] | None = None
    order: Float[Tensor, "b k *space"] | None = None
    certainty: Float[Tensor, "b k *space"] | None = None
    masked: Bool[Tensor, " b"] | None = None
    case: Int[Tensor, " b"] | None = None
    shared: Float[Tensor, "b k"] | None = None

    def something_else(self) -> Bool[Tensor, "b k *space"]:
        """Pixels that someone marked as none of the structures, or as another one, which excludes this one.

        A pixel that is marked as two structures is one of them, and none of them is barred there.
        """
        assert self.marks is not None
        assert self.excluded is not None
        return (self.marks.any(dim=1, keepdim=True) | self.excluded) & ~self.marks
