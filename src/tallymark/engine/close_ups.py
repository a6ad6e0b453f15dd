"""A study of close-ups: every image cut to the square around its marks whose side the number tells.

In the whole image a network has to find a structure before it can outline it, and a small one is a few pixels of what
it sees. Where marks say where and a number says how much, both are known before: in its close-up every structure lies
in the middle and has the same size. What is left to be learned is the outline.
"""

from __future__ import annotations

import math
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from tallymark.data.arrays import content_key
from tallymark.data.close_up import CloseUp
from tallymark.data.images import Image, normalise, write_label_image, write_map
from tallymark.data.marks import EXCLUDED
from tallymark.data.resize import resize_image, resize_layers, resized_spacing, upsample_probability, working_size
from tallymark.data.study import Case, ImageSettings, NumberRow, Study, StudySettings
from tallymark.engine.evidence import FARTHEST, Evidence, Gatherer, GrownCase
from tallymark.engine.views import BEYOND
from tallymark.measure.definition import Statistic

MARKS = "marks"
"""The mark set of a study of close-ups."""
# Raised when close-ups change: what an older version left is then not used.
_FORMAT = 1
# In sides of a square of the structure's area. Views show two thirds of it, of which the structure covers a tenth.
_SIDE = 4.8
# A close-up that shows more pixels a side is made smaller; growth on it needs no more.
_LARGEST = 256
# What is strewn over the image has no close-up: the square around all of it is wider than so many sides of a square of
# its area. It is 1.1 for a disc and 1.6 for an ellipse twice as long as wide.
_STREWN = 2.4


@dataclass(frozen=True, eq=False)
class CloseUps:
    """Close-ups of the images of a study.

    Args:
        study: of the close-ups, under the ids and groups of the images; the marks are its set :data:`MARKS`, and the
            number of a structure is the share of the close-up that it covers.
        boxes: by the id of an image; images without a mark or a number have none.
        gatherer: of the study of close-ups.
    """

    study: Study
    boxes: Mapping[str, CloseUp]
    gatherer: Gatherer

    def evidence(self, whole: Gatherer, case: Case, image: Image, views: Float[np.ndarray, "v k *size"]) -> Evidence:
        """The evidence of an image that has a close-up: what networks see of that, and what has grown in it.

        Growth is better there, too: what is smoothed and how far contrast is looked for goes by the structure, which is
        always as large, not by the image.

        Args:
            whole: gathers the evidence of the image.
            case: which.
            image: of it.
            views: logits of its close-up, at the network's size.

        Returns:
            Evidence on the image; beyond the close-up its logits are -20, and its places in the order the last.
        """
        box, space = self.boxes[case.id], image.space
        logits = np.stack([box.paste(upsample_probability(view, box.shape), space, BEYOND) for view in views])
        evidence = whole.gather(case, image, logits)
        near = np.stack([resize_image(each[..., None], box.shape)[..., 0] for each in self._order(case.id)])
        order = box.paste(near, space, FARTHEST)
        order[np.isnan(near).any(axis=(1, 2))] = np.nan
        return replace(evidence, order=order)

    def _order(self, id: str) -> Float[np.ndarray, "k *grid"]:
        return self.gatherer.grown(self.study.case(id)).order


class _Cut(NamedTuple):
    """One close-up, as it is stored."""

    box: CloseUp
    image: Float[np.ndarray, "*size c"]
    marks: Mapping[str, Bool[np.ndarray, "*size"]]
    spacing: tuple[float, ...] | None
    shares: Sequence[tuple[float, float] | None]


def close_ups(gatherer: Gatherer, cases: Sequence[Case], folder: Path) -> CloseUps | None:
    """The close-ups of some images of a study, made once and kept.

    An image has a close-up where all that may be in it is marked and of known size: a structure that has not grown, and
    is not known to be absent, may lie anywhere.

    Args:
        gatherer: knows marks, numbers and growth.
        cases: of the study.
        folder: where close-ups are kept.

    Returns:
        The close-ups; None for volumes, where nothing is both marked and of known size, and where structures are strewn
        over half of the images.
    """
    if gatherer.study.settings.image.dimension != 2:
        return None
    grown = {case.id: gatherer.grown(case) for case in cases}
    boxes = {case.id: box for case in cases if (box := _box(case, grown[case.id])) is not None}
    if not boxes or np.median([_width(grown[id].order < 1) for id in boxes]) > _STREWN:
        return None
    content = {"format": _FORMAT, "evidence": gatherer.key, "boxes": sorted(boxes.items())}
    root = folder / content_key("close-ups", content)
    if not root.exists():
        # Under a name of its own until it is whole: a kill leaves nothing half made, and two processes do not meet.
        own = root.with_name(f".tmp-{secrets.token_hex(4)}-{root.name}")
        try:
            _build(gatherer, [case for case in cases if case.id in boxes], boxes, grown, own)
            with suppress(OSError):  # another process was first
                own.rename(root)
        finally:
            shutil.rmtree(own, ignore_errors=True)
    study = Study.open(root)
    return CloseUps(study, boxes, Gatherer(study, study.numbers(), MARKS, gatherer.grower, folder))


def _box(case: Case, grown: GrownCase) -> CloseUp | None:
    """The square around all structures of an image together; None where one of them may lie anywhere."""
    there = grown.order < 1
    area = 0.0
    for share, mask in zip(grown.shares, there, strict=True):
        if share is None or (share[1] > 0 and not mask.any()):
            return None
        area += sum(share) / 2 * float(np.prod(grown.space))
    if not there.any():
        return None
    return CloseUp.around(
        np.asarray(there.any(axis=0)), area, _SIDE, grown.space, case.spacing or (1.0,) * len(grown.space)
    )


def _width(masks: Bool[np.ndarray, "k row column"]) -> float:
    """Width of the square around what is in an image, in sides of a square of its area.

    Example:
        >>> round(_width(np.array([[[True, False, False, True]]])), 3)
        2.828
    """
    where = np.argwhere(masks.any(axis=0))
    extent = np.ptp(where, axis=0).max() + 1
    return float(extent / np.sqrt(len(where)))


def _build(
    gatherer: Gatherer,
    cases: Sequence[Case],
    boxes: Mapping[str, CloseUp],
    grown: Mapping[str, GrownCase],
    root: Path,
) -> None:
    settings = gatherer.study.settings
    made, numbers, marks = [], [], []
    coloured = settings.image.channels == 3
    for place, case in enumerate(cases):
        cut = _cut(gatherer, case, boxes[case.id], grown[case.id])
        path = root / "images" / f"{place:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        like = Image(np.zeros((*cut.image.shape[:-1], 1), dtype=np.uint8))
        if coloured:
            write_label_image(path, np.rint(cut.image * 255).astype(np.uint8), like)
        else:
            write_map(path, cut.image[..., 0], like)
        made.append(Case(case.id, path, group=case.group, stratum=case.stratum, split="train", spacing=cut.spacing))
        marks.append(cut.marks)
        for name, share in zip(settings.structures, cut.shares, strict=True):
            assert share is not None
            low, high = share
            row = (
                NumberRow(case.id, _number(name), value=low)
                if low == high
                else NumberRow(case.id, _number(name), low=low, high=high)
            )
            numbers.append(row)
    study = Study.create(
        root,
        StudySettings(
            name=f"{settings.name}, close-ups",
            structures=settings.structures,
            statistics=(
                *(Statistic(_number(name), "area_fraction", (name,)) for name in settings.structures),
                # Ratios have no numbers here, but say which structures make up a whole.
                *(
                    replace(each, name=f"ratio of {each.name}")
                    for each in settings.statistics
                    if each.parts is not None
                ),
            ),
            image=ImageSettings(channels=settings.image.channels, window=(0, 255 if coloured else 65535)),
            split=settings.split,
        ),
        made,
        numbers=numbers,
    )
    with study.marks.batch():
        for case, layers in zip(made, marks, strict=True):
            for name, mask in layers.items():
                if mask.any():
                    study.marks.add_raster(case.id, MARKS, name, mask)


def _cut(gatherer: Gatherer, case: Case, box: CloseUp, grown: GrownCase) -> _Cut:
    settings = gatherer.study.settings
    image = normalise(case.read(), settings.image.channels, settings.image.window)
    space = image.shape[:-1]
    layers = resize_layers(gatherer.study.marks.labels(case.id, gatherer.mark_set), space)
    cut = {name: box.cut(layer) for name, layer in layers.items()}
    # What lies beyond the image is nothing that was looked for.
    beyond = ~box.inside(space)
    cut[EXCLUDED] = cut.get(EXCLUDED, np.zeros_like(beyond)) | beyond
    size = working_size(box.shape, _LARGEST)
    part = math.prod(space) / box.pixels
    shares = [share and (min(1.0, share[0] * part), min(1.0, share[1] * part)) for share in grown.shares]
    return _Cut(
        box,
        resize_image(box.cut(image, edge=True), size),
        resize_layers(cut, size),
        None if case.spacing is None else resized_spacing(case.spacing, box.shape, size),
        shares,
    )


def _number(structure: str) -> str:
    return f"{structure}_share"
