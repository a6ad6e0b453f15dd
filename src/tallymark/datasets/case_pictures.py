"""Cases of a study as pictures: an image with its full masks and its marks drawn over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, UInt8

from tallymark.data.images import image_space, normalise
from tallymark.data.marks import EXCLUDED
from tallymark.data.study import TRUTH, Case, Study
from tallymark.errors import StudyError
from tallymark.pictures import OKABE_ITO, Panel, encircled, enlargement, fullest_slice, overlay, overlay_sheet

T = TypeVar("T")

_WIDTH = 320  # of a picture on a sheet, pixels

Layers = Bool[np.ndarray, "k *space"]
"""One mask a structure."""

Marked = Bool[np.ndarray, "m *space"]
"""One mask a structure and, where there is one more, the pixels marked as none of them."""


def marks_picture(study: Study, mark_set: str, path: Path | None = None, *, shown: int = 6) -> Path:
    """Draw some images of a mark set: the marks solid, the full masks, where there are any, dashed.

    Marks that are too small to see get a circle.

    Args:
        study: with the marks.
        mark_set: simulated or real.
        path: the PNG; None: ``pictures/marks-<mark_set>.png`` in the study folder.
        shown: how many images, evenly spaced from the fewest marked pixels to the most.

    Returns:
        The file.

    Raises:
        StudyError: no such set, or no marks in it.
        ReadError: an image or a mask cannot be read.
        StorageError: the picture cannot be written.
    """
    path = path or study.folder / "pictures" / f"marks-{mark_set}.png"
    marked = set(study.marks.case_ids(mark_set))
    counts = {case.id: int(case_marks(study, case, mark_set).sum()) for case in study.cases if case.id in marked}
    if not counts:
        raise StudyError("there is nothing to draw", where=study.marks.place, found=f"no marks in the set '{mark_set}'")
    panels = []
    for case_id in spaced(sorted(counts, key=lambda id: (counts[id], id)), shown):
        case = study.case(case_id)
        marks, truth = case_marks(study, case, mark_set), case_truth(study, case)
        caption = f"{case_id}\n{counts[case_id]} marked"
        if truth.any():
            caption += f", {100 * (marks[:-1] & truth).sum() / truth.sum():.2g} % of the full mask"
        picture = draw_layers(
            case_image(study, case), truth=truth, marks=marks, plane=shown_plane(truth | marks[:-1]), shown_at=_WIDTH
        )
        panels.append(Panel(picture, caption))
    overlay_sheet(panels, path, width=_WIDTH)
    return path


def case_image(study: Study, case: Case) -> Float[np.ndarray, "*space c"]:
    """The image of a case in [0, 1], as the study says that it is to be read."""
    settings = study.settings.image
    return np.asarray(normalise(case.read(), settings.channels, settings.window), dtype=np.float64)


def case_truth(study: Study, case: Case) -> Layers:
    """The full masks of a case by structure; empty where the study has none."""
    there = (study.folder / TRUTH).exists()
    nothing = np.zeros(image_space(case.image), dtype=bool)
    return np.stack(
        [
            study.truth.mask(case, name) if there and study.truth.has(case.id, name) else nothing
            for name in study.structures
        ]
    )


def case_marks(study: Study, case: Case, mark_set: str) -> Marked:
    """The marks of a case by structure, and as the last layer those of "none of these"."""
    labels = study.marks.labels(case.id, mark_set)
    nothing = np.zeros(image_space(case.image), dtype=bool)
    return np.stack([labels.get(name, nothing) for name in (*study.structures, EXCLUDED)])


def shown_plane(masks: Layers) -> int | None:
    """The plane of a volume that holds most of some masks; None for a picture."""
    return fullest_slice(masks) if masks.ndim == 4 else None


def draw_layers(
    image: Float[np.ndarray, "*space c"],
    filled: Layers | None = None,
    truth: Layers | None = None,
    marks: Marked | None = None,
    *,
    plane: int | None = None,
    shown_at: int | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw masks over an image as :func:`tallymark.pictures.overlay` does, at a size to look at.

    Args:
        image: in [0, 1].
        filled: coloured outline with a light fill.
        truth: dashed white outline.
        marks: solid colour.
        plane: of a volume; see :func:`shown_plane`.
        shown_at: the width at which the picture will be shown; marks too small to see there get a circle.
    """
    if plane is not None:
        image = image[plane]
        filled, truth, marks = (None if layer is None else layer[:, plane] for layer in (filled, truth, marks))
    if filled is None:
        given = truth if truth is not None else marks
        filled = np.zeros((1 if given is None else len(given), *image.shape[:-1]), dtype=bool)
    enlarge = enlargement(image.shape[:-1])
    picture = overlay(image, filled, truth=truth, marks=marks, enlarge=enlarge)
    if marks is None or shown_at is None:
        return picture
    return encircled(picture, marks[: len(filled)], enlarge=enlarge, shown_at=shown_at)


def spaced(items: Sequence[T], count: int) -> list[T]:
    """Up to ``count`` items, evenly spaced from the first to the last.

    Example:
        >>> spaced("abcdefg", 3)
        ['a', 'd', 'g']
    """
    if not items:
        return []
    positions = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[position] for position in positions]


def legend(study: Study) -> str:
    """What stands under a picture of full masks: which colour is which structure, where there are several."""
    if len(study.structures) == 1:
        return "the full mask"
    colours = list(OKABE_ITO)
    named = (f"{name} {colours[index % len(colours)]}" for index, name in enumerate(study.structures))
    return f"the full masks: {', '.join(named)}"
