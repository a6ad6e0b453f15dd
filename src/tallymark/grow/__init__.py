"""Growing marks to a known area: the mark says where, the number says how much, the image says which way.

NumPy and SciPy only: no tensors, no files. One structure with :func:`grow`, several that compete for the same pixels
with :func:`grow_together`, one with the help of a promptable network with :func:`grow_candidates`; :func:`share_out`
gives each of several images its part of an area that is known of all of them together, :func:`scale_of` looks for the
area of two structures of which only the ratio is known. Where nobody marked anything, :func:`propose` finds blobs of
the known area, and :func:`prefer` those that are alike in all images.
"""

from tallymark.grow.area import Area, AreaLike
from tallymark.grow.candidates import grow_candidates
from tallymark.grow.costs import COSTS
from tallymark.grow.growth import Growth, grow
from tallymark.grow.pooled import share_out
from tallymark.grow.proposals import Blob, prefer, propose
from tallymark.grow.ratio import Scale, scale_of, split
from tallymark.grow.together import grow_together

__all__ = [
    "COSTS",
    "Area",
    "AreaLike",
    "Blob",
    "Growth",
    "Scale",
    "grow",
    "grow_candidates",
    "grow_together",
    "prefer",
    "propose",
    "scale_of",
    "share_out",
    "split",
]
