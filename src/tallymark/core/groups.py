"""Statistics of several images together, of which only some are in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tallymark.core.reduce import EMPTY, full_precision, require_same_shape
from tallymark.core.statistics import evaluate
from tallymark.measure.definition import Statistic

_LONGEST = ("longest_axis", "shortest_axis")


class Parts(NamedTuple):
    """What images add to the statistics of their groups: sums above and below a line.

    Attributes:
        above: area, or size or intensity times size; of a length the length.
        below: size of what is divided by; 1 for each image where areas are summed, as the mean of all images is then
            their sum in units of their number.
    """

    above: Float[Tensor, "b s"]
    below: Float[Tensor, "b s"]


def parts(
    statistics: Sequence[Statistic],
    structures: Sequence[str],
    prob: Float[Tensor, "b k *space"],
    pixels: Float[Tensor, " b"],
    *,
    valid: Bool[Tensor, "b 1 *space"] | None = None,
    spacing_mm: Float[Tensor, "b d"] | None = None,
    extent_mm: Float[Tensor, " b"] | None = None,
    image: Float[Tensor, "b c *space"] | None = None,
) -> Parts:
    """What each image adds to the statistics of its group; arguments as :func:`tallymark.core.statistics.evaluate`.

    Args:
        statistics: in the order of the columns.
        structures: names of the channels of ``prob``.
        prob: probability in [0, 1], not logits; or masks of 0 and 1.
        pixels: how many original pixels each image has: fractions, ratios and intensities of a group are those of all
            its pixels.
        valid: pixels that show the image.
        spacing_mm: edges of the view's pixels in mm.
        extent_mm: area or volume of the whole image.
        image: intensities in [0, 1].

    Returns:
        Differentiable in ``prob``.

    Raises:
        StudyError: a statistic of a structure that ``structures`` does not name.
        GeometryError: a statistic in physical units without the size it needs.
        ConfigError: a mean intensity without an image.

    Example:
        >>> share = Statistic("share", "area_fraction", of=("fat",))
        >>> prob = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]])
        >>> [part.tolist() for part in parts([share], ["fat"], prob, torch.tensor([200.0, 50.0]))]
        [[[100.0], [50.0]], [[200.0], [50.0]]]
    """
    options = {"valid": valid, "spacing_mm": spacing_mm, "extent_mm": extent_mm, "image": image}
    sizes = [_size(s, s.over or s.of) for s in statistics]
    values = evaluate(
        [_size(s, s.of) if s.kind == "area_ratio" else s for s in statistics], structures, prob, **options
    )
    divisors = evaluate(sizes, structures, prob, **options)
    weight = full_precision(pixels)[:, None]
    above, below = [], []
    for column, statistic in enumerate(statistics):
        value, divisor = values[:, column : column + 1], divisors[:, column : column + 1]
        match statistic.kind:
            case "area_fraction":
                value, divisor = value * weight, weight
            case "area_ratio":
                value, divisor = value * weight, divisor * weight
            case "mean_intensity":
                value, divisor = value * divisor * weight, divisor * weight
            case _:
                divisor = torch.ones_like(value)
        above.append(value)
        below.append(divisor.expand_as(value))
    nothing = values.new_zeros(len(prob), 0)
    return Parts(torch.cat([nothing, *above], dim=1), torch.cat([nothing, *below], dim=1))


def of_groups(
    statistics: Sequence[Statistic], of: Int[Tensor, " n"], images: Parts, groups: int
) -> Float[Tensor, "g s"]:
    """The statistics of groups from what their images add; areas as the mean over the images.

    Args:
        statistics: in the order of the columns.
        of: group of each image, 0 to ``groups`` - 1; -1 for none.
        images: what each adds; NaN where it is not known, and such an image does not count.
        groups: how many there are.

    Returns:
        One row a group; NaN where none of its images is known.

    Example:
        >>> share = Statistic("share", "area_fraction", of=("fat",))
        >>> images = Parts(torch.tensor([[100.0], [50.0], [9.0]]), torch.tensor([[200.0], [50.0], [9.0]]))
        >>> of_groups([share], torch.tensor([0, 0, 1]), images, 2).tolist()
        [[0.6000000238418579], [1.0]]
    """
    known = ~images.above.isnan() & (of >= 0)[:, None]
    place = of.clamp(min=0)[:, None].expand_as(images.above)
    start = images.above.new_zeros(groups, len(statistics))
    above = start.scatter_add(0, place, torch.where(known, images.above, 0.0))
    below = start.scatter_add(0, place, torch.where(known, images.below, 0.0))
    count = start.scatter_add(0, place, known.to(start))
    longest = start.scatter_reduce(0, place, torch.where(known, images.above, 0.0), "amax")
    lengths = torch.tensor([s.kind in _LONGEST for s in statistics], device=above.device)
    value = torch.where(lengths, longest, above / below.clamp(min=EMPTY))
    return torch.where(count > 0, value, torch.nan)


def with_others(
    statistics: Sequence[Statistic],
    of: Int[Tensor, " n"],
    memory: Parts,
    case: Int[Tensor, " b"],
    images: Parts,
) -> Float[Tensor, "b s"]:
    """The statistics of each image's group, where only the image itself is free and the others are as they last were.

    The gradient of an image is that which it has in the statistic of the whole group, whichever images of the group are
    in the batch. Images that were never seen do not count, so that at first an image stands for its group.

    Args:
        statistics: in the order of the columns.
        of: group of every image of the study.
        memory: what every image of the study last added; NaN where it was not seen yet.
        case: which images the batch holds; none twice.
        images: what they add, with a gradient.

    Returns:
        One row an image of the batch; areas as the mean over the images of the group. NaN for an image without group.

    Source: ours; a memory of earlier predictions, as in Wu et al. 2018 (arXiv 1805.01978), in place of whole groups in
        every batch.

    Example:
        >>> share = Statistic("share", "area_fraction", of=("fat",))
        >>> memory = Parts(torch.tensor([[0.0], [6.0]]), torch.tensor([[10.0], [10.0]]))
        >>> own = Parts(torch.tensor([[2.0]], requires_grad=True), torch.tensor([[10.0]]))
        >>> value = with_others([share], torch.tensor([0, 0]), memory, torch.tensor([0]), own)
        >>> value.tolist(), torch.autograd.grad(value.sum(), own.above)[0].tolist()  # (2 + 6) / 20
        ([[0.4000000059604645]], [[0.05000000074505806]])
    """
    require_same_shape(memory.above, memory.below, "sums above and below")
    now = Parts(*(kept.index_copy(0, case, own.detach().to(kept)) for kept, own in zip(memory, images, strict=True)))
    mine = of[case]
    same = (mine[:, None] == of[None]) & (mine >= 0)[:, None]
    same = same & (torch.arange(len(of), device=of.device)[None] != case[:, None])
    known = (~now.above.isnan()).to(now.above)
    above, below = (same.to(now.above) @ part.nan_to_num(nan=0.0) for part in now)
    others = torch.where(same[..., None] & (known[None] > 0), now.above[None], 0.0).amax(dim=1)
    lengths = torch.tensor([s.kind in _LONGEST for s in statistics], device=of.device)
    ratio = (above + images.above) / (below + images.below).clamp(min=EMPTY)
    value = torch.where(lengths, torch.maximum(images.above, others), ratio)
    return torch.where((mine >= 0)[:, None], value, torch.nan)


def _size(statistic: Statistic, of: tuple[str, ...]) -> Statistic:
    return replace(statistic, kind="area_fraction", of=of, over=(), unit="fraction")
