"""What stands in for marks where nobody marked a structure: blobs of its size that are alike in all images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from tallymark.data.images import normalise
from tallymark.data.resize import resize_image, resized_spacing, working_size
from tallymark.data.study import Case, Study
from tallymark.grow import Blob, prefer, propose

# Longest in-plane side at which blobs are looked for, in pixels; in 3-D every blob costs as much as all of an image.
_SIDE = {2: 128, 3: 64}
# A blob is only about where the structure is: its core stands in for marks, and growth finds the rest.
_CORE = 0.4


def proposed_seeds(
    study: Study,
    cases: Sequence[Case],
    areas: Sequence[Sequence[tuple[float, float] | None]],
    structures: Sequence[str],
) -> Iterator[Mapping[str, Bool[np.ndarray, "*space"]]]:
    """Where structures that nobody marked may be, in every case, at the size of its image.

    Args:
        study: the study.
        cases: of which blobs are to be alike; the more, the better.
        areas: least and most of each image that each structure of the study covers; None where unknown.
        structures: those that are looked for.

    Returns:
        The cores of the blobs by structure, case by case; none where the size is unknown or 0, or nothing stands out.
    """
    chosen = {name: _chosen(study, cases, [row[study.structures.index(name)] for row in areas]) for name in structures}
    for row, case in enumerate(cases):
        blobs = {name: chosen[name][row] for name in structures}
        if not any(blobs.values()):
            yield {}
            continue
        space = normalise(case.read(), study.settings.image.channels, study.settings.image.window).shape[:-1]
        edges = case.spacing or (1.0,) * len(space)
        yield {name: blob.mask(space, edges, _CORE) for name, blob in blobs.items() if blob is not None}


def _chosen(study: Study, cases: Sequence[Case], areas: Sequence[tuple[float, float] | None]) -> list[Blob | None]:
    """The likeliest blob of one structure in each case."""
    found = [_blobs(study, case, area) for case, area in zip(cases, areas, strict=True)]
    chances = prefer([np.stack([blob.features for blob in blobs]) if blobs else np.zeros((0, 0)) for blobs in found])
    return [blobs[int(chance.argmax())] if blobs else None for blobs, chance in zip(found, chances, strict=True)]


def _blobs(study: Study, case: Case, area: tuple[float, float] | None) -> list[Blob]:
    if area is None or area[1] <= 0:
        return []
    settings = study.settings.image
    image = normalise(case.read(), settings.channels, settings.window)
    space = image.shape[:-1]
    work = working_size(space, _SIDE[len(space)])
    edges = resized_spacing(case.spacing or (1.0,) * len(space), space, work)
    return propose(resize_image(image, work), sum(area) / 2 * float(np.prod(work)), edges)
