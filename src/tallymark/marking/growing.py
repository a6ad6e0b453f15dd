"""What a mark leads to, shown at once: grown to the kept number, on a coarser grid where the image is large."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool
from skimage.measure import find_contours

from tallymark.data.mark_layer import EXCLUDED
from tallymark.data.resize import resize_layers, resized_spacing
from tallymark.grow import grow_together
from tallymark.marking.frames import Frame

Areas = Mapping[str, tuple[float, float]]
Masks = dict[str, np.ndarray]
Run = Callable[..., Masks]
Wholes = Sequence[tuple[str, str]]


def grow_marks(
    frame: Frame,
    marks: Mapping[str, Bool[np.ndarray, "*space"]],
    areas: Areas,
    structures: Sequence[str],
    run: Run | None = None,
    wholes: Wholes = (),
) -> tuple[dict[str, Bool[np.ndarray, "*coarse"]], list[str]]:
    """Grow the marks of every structure whose size is known.

    Args:
        frame: the image.
        marks: by structure, what is marked ("none of these" among them).
        areas: least and most pixels of the structures whose number is known.
        structures: of the study, in its order.
        run: runs a function with its arguments, elsewhere if it likes; None: here.
        wholes: pairs of structures that make up one whole.

    Returns:
        The grown masks on a grid of at most 192 x 192 pixels (150 000 voxels), and warnings where more is marked than
        the number allows.
    """
    own = {name: mask for name, mask in marks.items() if name in structures}
    warnings = [
        f"{name}: {own[name].sum() / areas[name][1]:.1f} times as much is marked as the number says"
        for name in structures
        if name in own and 0 < areas.get(name, (0.0, 0.0))[1] < own[name].sum() - 0.5
    ]
    sized = [name for name in structures if name in own and areas.get(name, (0.0, 0.0))[1] > 0]
    if not sized:
        return {}, warnings
    space = frame.coarse.shape[:-1]
    pixels = math.prod(space)
    share = pixels / math.prod(frame.space)
    # One of which no number tells the size does not grow, and is a wall to the others.
    sizes = {name: (min(areas[name][0] * share, pixels), min(areas[name][1] * share, pixels)) for name in sized}
    spacing = resized_spacing(frame.spacing or (1.0,) * len(space), frame.space, space)
    grown = (run or _call)(_grow, marks, sizes, frame.coarse, spacing, wholes)
    return grown, warnings


class LastGrown:
    """What was grown last for each person and image: who turns the slices of a volume grows nothing anew.

    Args:
        most: how many to keep.

    Example:
        >>> last, marks = LastGrown(), {"lesion": np.array([[True, False]])}
        >>> [last.get(("case", "reader"), marks, lambda word=word: ({}, [word]))[1] for word in ("first", "second")]
        [['first'], ['first']]
        >>> last.get(("case", "reader"), {"lesion": ~marks["lesion"]}, lambda: ({}, ["other marks"]))[1]
        ['other marks']
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, str], tuple[bytes, tuple[Masks, list[str]]]] = OrderedDict()
        self._guard = threading.Lock()

    def get(
        self,
        name: tuple[str, str],
        marks: Mapping[str, Bool[np.ndarray, "*space"]],
        grow: Callable[[], tuple[Masks, list[str]]],
    ) -> tuple[Masks, list[str]]:
        """What the marks grow to.

        Args:
            name: of image and person.
            marks: by structure.
            grow: grows them, if these are not the marks that were grown last.
        """
        digest = hashlib.blake2b()
        for structure, mask in marks.items():
            digest.update(f"{structure} {mask.shape}".encode() + np.packbits(mask).tobytes())
        with self._guard:
            kept = self._kept.get(name)
            if kept is not None and kept[0] == digest.digest():
                self._kept.move_to_end(name)
                return kept[1]
        grown = grow()
        with self._guard:
            self._kept[name] = digest.digest(), grown
            self._kept.move_to_end(name)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return grown


def loaded() -> bool:
    """True; a process that can say so has loaded all that growth needs.

    Example:
        >>> loaded()
        True
    """
    return True


def _call(function: Callable[..., Masks], *arguments: object) -> Masks:
    return function(*arguments)


def _grow(
    marks: Mapping[str, Bool[np.ndarray, "*space"]],
    sizes: Areas,
    image: np.ndarray,
    spacing: Sequence[float],
    wholes: Wholes,
) -> Masks:
    """The part that takes long, on the coarse grid."""
    layers = resize_layers(marks, image.shape[:-1])
    excluded = layers.pop(EXCLUDED, np.zeros(image.shape[:-1], bool))
    known = {name: sizes.get(name) for name in layers}
    marked = [pair for pair in wholes if set(pair) <= layers.keys()]
    barred = dict.fromkeys(layers, excluded)
    growths = grow_together(layers, known, image, spacing, "paths", excluded=barred, wholes=marked)
    return {name: growths[name].mask for name in sizes}


def outlines(mask: Bool[np.ndarray, "r c"], space: Sequence[int]) -> list[list[list[float]]]:
    """The outlines of a mask as closed lines in pixels of the image.

    Args:
        mask: on any grid.
        space: rows and columns of the image.

    Returns:
        Lines of (row, column) with one decimal.

    Example:
        >>> outlines(np.array([[True]]), (2, 2))
        [[[1.5, 0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 1.5], [1.5, 0.5]]]
    """
    if not mask.any():
        return []
    scale = np.array(space) / mask.shape
    lines = find_contours(np.pad(mask, 1).astype(float), 0.5)
    return [np.round((line - 0.5) * scale - 0.5, 1).tolist() for line in lines]


def shown(
    masks: Mapping[str, Bool[np.ndarray, "*grid"]], structures: Sequence[str], space: Sequence[int], plane: int
) -> list[dict[str, Any]]:
    """Outlines for the page: of a volume, of the plane that is shown."""
    found = []
    for k, name in enumerate(structures):
        if name in masks:
            mask = masks[name]
            if mask.ndim == 3:
                mask = mask[min(len(mask) - 1, plane * len(mask) // space[0])]
            found.append({"structure": k, "lines": outlines(mask, space[-2:])})
    return found
