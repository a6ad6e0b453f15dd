"""What stands in for marks where hardly anybody marked a structure: blobs of its size that are alike in all images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from tallymark.data.images import normalise
from tallymark.data.resize import resize_image, resized_spacing, working_size
from tallymark.data.study import Case, Study
from tallymark.grow import Blob, prefer, propose

# So many marked images teach enough for the others to follow without a guess.
_ENOUGH = 25
# Longest in-plane side at which blobs are looked for, in pixels; in 3-D every blob costs as much as all of an image.
_SIDE = {2: 128, 3: 64}
# A blob is only about where the structure is: its core stands in for marks, and growth finds the rest.
_CORE = 0.4

Marks = Callable[[int], Mapping[str, Bool[np.ndarray, "*space"]]]
"""The marks of a case, by its position, as :meth:`tallymark.data.marks.MarkStore.labels` gives them."""


def hardly_marked(marked: int, there: int) -> bool:
    """Whether a structure is marked so seldom that the other images are guessed.

    Args:
        marked: images in which it is marked.
        there: images that show it.

    Example:
        >>> [hardly_marked(*one) for one in ((0, 1), (16, 310), (25, 310), (5, 12), (6, 12))]
        [True, True, False, True, False]
    """
    return marked < min(max(there / 2, 1), _ENOUGH)


def proposed_seeds(
    study: Study,
    cases: Sequence[Case],
    areas: Sequence[Sequence[tuple[float, float] | None]],
    structures: Sequence[str],
    marks: Marks,
) -> Iterator[Mapping[str, Bool[np.ndarray, "*space"]]]:
    """Where structures may be in the cases in which nobody marked them, at the size of the image.

    Args:
        study: the study.
        cases: of which blobs are to be alike; the more, the better.
        areas: least and most of each image that each structure of the study covers; None where unknown.
        structures: those that are looked for.
        marks: of the cases; where a structure is marked they say what it looks like.

    Returns:
        The cores of the blobs by structure, case by case; none where the structure is marked, where its size is unknown
        or 0, and where nothing stands out.
    """
    chosen = {name: _chosen(study, cases, areas, name, marks) for name in structures}
    for row, case in enumerate(cases):
        blobs = {name: chosen[name][row] for name in structures}
        if not any(blobs.values()):
            yield {}
            continue
        space = normalise(case.read(), study.settings.image.channels, study.settings.image.window).shape[:-1]
        edges = case.spacing or (1.0,) * len(space)
        yield {name: blob.mask(space, edges, _CORE) for name, blob in blobs.items() if blob is not None}


def _chosen(
    study: Study,
    cases: Sequence[Case],
    areas: Sequence[Sequence[tuple[float, float] | None]],
    name: str,
    marks: Marks,
) -> list[Blob | None]:
    """The likeliest blob of one structure in each case in which it is not marked."""
    found, told = [], []
    for row, (case, of_case) in enumerate(zip(cases, areas, strict=True)):
        marked = marks(row).get(name)
        there = marked is not None and bool(marked.any())
        found.append(_blobs(study, case, of_case[study.structures.index(name)], marked if there else None))
        told.append(there and bool(found[-1]))
    chances = prefer(
        [np.stack([blob.features for blob in blobs]) if blobs else np.zeros((0, 0)) for blobs in found], told
    )
    return [
        blobs[int(chance.argmax())] if blobs and not known else None
        for blobs, chance, known in zip(found, chances, told, strict=True)
    ]


def _blobs(
    study: Study, case: Case, area: tuple[float, float] | None, marked: Bool[np.ndarray, "*space"] | None
) -> list[Blob]:
    """Blobs of one case; of one that is marked, the one around the middle of the marks first, or none."""
    if area is None or area[1] <= 0:
        return []
    settings = study.settings.image
    image = normalise(case.read(), settings.channels, settings.window)
    space = image.shape[:-1]
    work = working_size(space, _SIDE[len(space)])
    edges = resized_spacing(case.spacing or (1.0,) * len(space), space, work)
    inside = None if marked is None else _middle(marked, work)
    return propose(resize_image(image, work), sum(area) / 2 * float(np.prod(work)), edges, inside=inside)


def _middle(marked: Bool[np.ndarray, "*space"], work: Sequence[int]) -> tuple[int, ...]:
    """The pixel of a smaller grid in which the marked pixel lies that is nearest to the mean of all.

    Example:
        >>> marked = np.zeros((10, 20), dtype=bool)
        >>> marked[2, 4:17] = True
        >>> _middle(marked, (5, 10))
        (1, 5)
    """
    places = np.argwhere(marked)
    middle = places[((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return tuple(int(place * new / old) for place, new, old in zip(middle, work, marked.shape, strict=True))
