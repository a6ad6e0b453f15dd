"""Marks grown to the kept numbers, once for a study: in the image's own proportions, kept at the network's size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from tallymark.data.arrays import content_key, stored_array, write_rows
from tallymark.data.images import normalise
from tallymark.data.marks import EXCLUDED
from tallymark.data.resize import resize_image, resize_layers, resize_mask_fraction, resized_spacing, working_size
from tallymark.data.study import Case, Study
from tallymark.engine.growers import Grower
from tallymark.engine.known_ratio import FreeRatio
from tallymark.engine.known_size import KnownFractions
from tallymark.engine.proposed import proposed_seeds
from tallymark.grow import Growth, scale_of, split

# Raised when growth changes: what an older one left in the cache is then not used.
_FORMAT = 4
# In-plane side, in pixels, at which larger images are grown: outlines are coarser than this, speckle is not, and time
# grows with the area. A network that sees more gets more.
_SIDE = 256
# Places in the order of growth are kept up to here: several times the area, beyond which nothing is a candidate.
FARTHEST = 5.0
# Straight growth counts where it has at least this share in common with the one that looks at the image.
_COMMON = 0.5


class Growths(NamedTuple):
    """The growth of each structure of one image.

    Attributes:
        looked: by the cost that was asked for, which looks at the image unless it is straight itself.
        straight: by distance alone; empty where it has no share in the labels.
    """

    looked: Mapping[str, Growth]
    straight: Mapping[str, Growth]


class Grown(NamedTuple):
    """The grown marks of some cases.

    Attributes:
        share: of each pixel that the grown mask covers; of an interval, the mean over all areas in it.
        order: place in the order of growth, 1 at the outline, at most 5.
        certainty: confidence of the growth, above 0 where it is known at all and 0 where it is not.
    """

    share: Float[Tensor, "b k *space"]
    order: Float[Tensor, "b k *space"]
    certainty: Float[Tensor, "b k *space"]


def grown_at(
    study: Study,
    cases: Sequence[Case],
    mark_set: str | None,
    sizes: KnownFractions,
    size: Sequence[int],
    grower: Grower,
    folder: Path | None = None,
    *,
    marked: Bool[np.ndarray, " n"] | None = None,
    ratios: Sequence[FreeRatio] = (),
    proposed: Sequence[str] = (),
    masked: Bool[np.ndarray, " n"] | None = None,
) -> UInt8[np.ndarray, "n 3 k *size"]:
    """Grow the marks of every case to the kept numbers, and bring the result to the network's size.

    Growth goes on in the proportions of the original image, with both in-plane sides at most 256 pixels or the longest
    side of the network's size: a distance on a stretched image is no distance.

    Args:
        study: the study.
        cases: which of its cases.
        mark_set: of the marks; None: there are none.
        sizes: known shares of the images, one row a case.
        size: of the result, (plane,) row, column.
        grower: of :func:`tallymark.engine.growers.grower`.
        folder: where the result is kept; None: ``cache`` in the study folder.
        marked: the cases whose marks are read; None: all. Without a mark only an exact zero is known.
        ratios: of structures whose size no number tells; see :func:`tallymark.grow.scale_of` for how much they are then
            taken to cover. Both of them must be marked.
        proposed: structures that hardly anybody marked; where they are not marked, blobs of their size are grown in the
            place of marks (:mod:`tallymark.engine.proposed`). They are guesses: their order of growth is kept as 0
            everywhere.
        masked: the cases whose full masks may be read, for what proposed structures look like; None: none.

    Returns:
        The fields of :class:`Grown` in 255ths of their range; see :func:`unpack`. Memory-mapped and read-only.
    """
    areas = [known_shares(sizes, row) for row in range(len(cases))]
    divided = [divisions(ratios, row, study.structures) for row in range(len(cases))]
    content: dict[str, object] = {
        "format": _FORMAT,
        "cases": [(case.id, case.sha256, case.spacing) for case in cases],
        "areas": areas,
        "marks": study.marks.fingerprint(mark_set, [case.id for case in cases]),
        "structures": study.structures,
        "image": study.settings.image.model_dump(mode="json"),
        "size": list(size),
        "cost": grower.key,
    }
    # What only some studies have is named where it is there, so that caches of the others stay valid.
    if study.wholes:
        content["wholes"] = study.wholes
    if any(divided):
        content["ratios"] = divided
    if any(share is not None and share[0] < share[1] for of_case in areas for share in of_case):
        content["intervals"] = "expected share"
    if marked is not None and not marked.all():
        content["marked"] = marked.tolist()
    if proposed:
        content["guessed"] = list(proposed)
        content["guesses"] = "beside marks"
        if masked is not None:
            content["masks"] = [
                study.truth.fingerprint(case.id, name)
                for case, read in zip(cases, masked, strict=True)
                for name in (proposed if read else ())
            ]

    def marks_of(row: int) -> dict[str, Bool[np.ndarray, "*space"]]:
        read = mark_set if marked is None or marked[row] else None
        return study.marks.labels(cases[row].id, read)

    def shown(row: int) -> dict[str, Bool[np.ndarray, "*space"]]:
        if masked is None or not masked[row]:
            return marks_of(row)
        return {name: study.truth.mask(cases[row], name) for name in proposed}

    def grow_case(row: int, seeds: Mapping[str, Bool[np.ndarray, "*space"]]) -> np.ndarray:
        case, marks = cases[row], {**marks_of(row), **seeds}
        growths = growths_of(study, case, marks, areas[row], grower, max(_SIDE, *size[-2:]), divided[row])
        straight = grower.straight.share if grower.straight is not None else 0.0
        rows = _rows(growths, study.structures, tuple(size), straight)
        for name in seeds:
            rows[1, study.structures.index(name)] = 0
        return rows

    def build(path: Path) -> Mapping[str, Any]:
        seeds = proposed_seeds(study, cases, areas, proposed, shown)
        write_rows(
            path, map(grow_case, range(len(cases)), seeds), (len(cases), 3, len(study.structures), *size), np.uint8
        )
        return {}

    return stored_array(folder or study.folder / "cache", content_key("grown", content), build)[0]


def unpack(rows: UInt8[np.ndarray, "b 3 k *space"]) -> Grown:
    """What was kept in 255ths, as fractions and places."""
    share, order, certainty = torch.from_numpy(np.asarray(rows, dtype=np.float32) / 255).unbind(dim=1)
    return Grown(share, order * FARTHEST, certainty)


def growths_of(
    study: Study,
    case: Case,
    marks: Mapping[str, Bool[np.ndarray, "*space"]],
    shares: Sequence[tuple[float, float] | None],
    grower: Grower,
    side: int = _SIDE,
    divided: Sequence[Division] = (),
) -> Growths:
    """Grow the marks of a case to its kept numbers, in the proportions of the original image.

    Args:
        study: the study.
        case: one of its cases.
        marks: of the case, as :meth:`tallymark.data.marks.MarkStore.labels` gives them.
        shares: least and most of the image that each structure covers; None where unknown.
        grower: of :func:`tallymark.engine.growers.grower`.
        side: the longest in-plane side at which it is grown, in pixels; larger images are made smaller.
        divided: structures of unknown size that a ratio divides.

    Returns:
        Growths of the shape of :func:`working_size`; none where there is nothing to grow.
    """
    if not marks and (0.0, 0.0) not in shares:
        return Growths({}, {})
    settings = study.settings.image
    image = normalise(case.read(), settings.channels, settings.window)
    work = working_size(image.shape[:-1], side)
    edges = resized_spacing(case.spacing or (1.0,) * len(work), image.shape[:-1], work)
    if work != image.shape[:-1]:
        image = resize_image(image, work)
    marks = resize_layers(marks, work)
    shares = _with_ratios(shares, divided, study.structures, marks, image, edges)
    nothing = np.zeros(work, dtype=bool)
    own = {name: marks.get(name, nothing) for name in study.structures}
    areas = {
        name: None if share is None else (share[0] * nothing.size, share[1] * nothing.size)
        for name, share in zip(study.structures, shares, strict=True)
    }
    excluded = {name: marks.get(EXCLUDED, nothing) for name in study.structures}
    growths = grower.grow(own, areas, image, edges, excluded=excluded, wholes=study.wholes)
    if grower.straight is None or not any(growth.mask.any() for growth in growths.values()):
        return Growths(growths, {})
    straight = grower.straight.grow(own, areas, image, edges, excluded=excluded, wholes=study.wholes)
    return Growths(growths, straight)


def _rows(
    growths: Growths, structures: Sequence[str], size: tuple[int, ...], straight: float
) -> UInt8[np.ndarray, "3 k *size"]:
    """Growths at the network's size, straight ones with their share where they are not lost."""
    result = np.zeros((3, len(structures), *size))
    for position, name in enumerate(structures):
        looked, other = growths.looked.get(name), growths.straight.get(name)
        if looked is None or not looked.known:
            continue
        result[:, position] = _layers(looked, size)
        if other is not None and other.known and agreement(looked.mask, other.mask) >= _COMMON:
            result[:, position] += straight * (_layers(other, size) - result[:, position])
    return np.asarray(np.rint(result * 255), dtype=np.uint8)


def agreement(one: Bool[np.ndarray, "*space"], other: Bool[np.ndarray, "*space"]) -> float:
    """Share of the larger of two masks that both cover; 1 where both are empty.

    Example:
        >>> agreement(np.array([True, True, False]), np.array([False, True, False]))
        0.5
    """
    larger = max(int(one.sum()), int(other.sum()))
    return float((one & other).sum() / larger) if larger else 1.0


def _layers(growth: Growth, size: tuple[int, ...]) -> Float[np.ndarray, "3 *size"]:
    """Share, order and certainty of one growth, each in [0, 1]."""
    order = np.minimum(growth.order, FARTHEST)
    # Known at all is at least one 255th.
    sure = np.maximum(resize_image(growth.confidence[..., None], size)[..., 0], 1 / 255)
    share = resize_mask_fraction(growth.mask, size)
    if growth.inner.sum() < growth.outer.sum():
        share = resize_image(_expected(growth)[..., None], size)[..., 0]
    kept = [share, resize_image(order[..., None], size)[..., 0] / FARTHEST, sure]
    layers: Float[np.ndarray, "3 *size"] = np.stack(kept).clip(0, 1)
    return layers


class Division(NamedTuple):
    """A ratio on one image: which part of what is left to it and to the rest."""

    part: str
    rest: str
    ratio: tuple[float, float]


def divisions(ratios: Sequence[FreeRatio], row: int, structures: Sequence[str]) -> list[Division]:
    """The ratios of one image whose part is one structure and whose rest another."""
    found = []
    for ratio in ratios:
        low, high = float(ratio.low[row]), float(ratio.high[row])
        if low == low and ratio.parts is not None:
            part, rest = (structures[place] for place in ratio.parts)
            found.append(Division(part, rest, (max(low, 0.0), min(high, 1.0))))
    return found


def _with_ratios(
    shares: Sequence[tuple[float, float] | None],
    ratios: Sequence[Division],
    structures: Sequence[str],
    marks: Mapping[str, np.ndarray],
    image: Float[np.ndarray, "*image"],
    spacing: tuple[float, ...],
) -> list[tuple[float, float] | None]:
    """The shares of the image with those of structures that a ratio divides, of a size that the image suggests."""
    found = list(shares)
    for part, rest, ratio in ratios:
        if not all(name in marks and marks[name].any() for name in (part, rest)):
            continue
        walls = np.logical_or.reduce([mask for name, mask in marks.items() if name not in (part, rest)], axis=0)
        closed = np.broadcast_to(walls, marks[part].shape)
        scale = scale_of(marks[part] | marks[rest], image, spacing, walls=np.asarray(closed, dtype=bool))
        if scale is not None:
            areas = split(scale.pixels, ratio)
            for name, (low, high) in zip((part, rest), areas, strict=True):
                found[structures.index(name)] = low / marks[part].size, high / marks[part].size
    return found


def _expected(growth: Growth) -> Float[np.ndarray, "*image"]:
    """How likely each pixel is in the mask if every area of the interval is as likely.

    1 in the inner mask, 0 outside of the outer, and between them falling with the order of growth.
    """
    low, target, high = (float(mask.sum()) for mask in (growth.inner, growth.mask, growth.outer))
    place = np.where(np.isfinite(growth.order), growth.order, np.inf) ** growth.order.ndim * target
    share = ((high - place) / (high - low)).clip(0, 1)
    return np.where(growth.inner, 1.0, np.where(growth.outer, share, 0.0)).astype(np.float32)


def known_shares(sizes: KnownFractions, row: int) -> list[tuple[float, float] | None]:
    """Known shares of one image by structure, least and most; None where unknown."""
    least, most = sizes.ends()
    pairs = zip(least[row].tolist(), most[row].tolist(), strict=True)
    # A hair above the image is the rounding of a number; see require_room.
    return [(min(max(low, 0.0), 1.0), min(high, 1.0)) if low == low and high == high else None for low, high in pairs]
