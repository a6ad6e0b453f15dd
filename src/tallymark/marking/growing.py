"""What a mark leads to, shown at once: grown to the kept number, on a coarser grid where the image is large."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool
from skimage.measure import find_contours

from tallymark.data.images import Image, normalise
from tallymark.data.mark_layer import EXCLUDED
from tallymark.data.resize import resize_image, resize_marks
from tallymark.grow import grow
from tallymark.marking.frames import Frame

# In-plane side and voxels on which growth takes a fraction of a second.
_SIDE, _VOXELS = 192, 150_000

Areas = Mapping[str, tuple[float, float]]


def grow_marks(
    frame: Frame, marks: Mapping[str, Bool[np.ndarray, "*space"]], areas: Areas, structures: Sequence[str]
) -> tuple[dict[str, Bool[np.ndarray, "*coarse"]], list[str]]:
    """Grow the marks of every structure whose size is known.

    Args:
        frame: the image.
        marks: by structure, what is marked ("none of these" among them).
        areas: least and most pixels of the structures whose number is known.
        structures: of the study, in its order.

    Returns:
        The grown masks on a grid of at most 192 x 192 pixels (150 000 voxels), and warnings where more is marked than
        the number allows.
    """
    grown: dict[str, np.ndarray] = {}
    warnings = []
    space = coarse_space(frame.space)
    share = math.prod(space) / math.prod(frame.space)
    edges = tuple(
        edge * was / now
        for edge, was, now in zip(frame.spacing or (1.0,) * len(space), frame.space, space, strict=True)
    )
    pixels: np.ndarray | None = None
    coarse = {name: _coarse(mask, space) for name, mask in marks.items()}
    for name in structures:
        if name not in marks or name not in areas or areas[name][1] <= 0:
            continue
        if int(marks[name].sum()) > areas[name][1] + 0.5:
            excess = marks[name].sum() / areas[name][1]
            warnings.append(f"{name}: {excess:.1f} times as much is marked as the number says")
        if pixels is None:
            pixels = _picture(frame, space)
        others = [mask for other, mask in coarse.items() if other not in (name, EXCLUDED)]
        nothing = np.zeros(space, bool)
        excluded = np.logical_or.reduce([coarse.get(EXCLUDED, nothing), *others])
        low, high = (min(pixels_known * share, float(nothing.size)) for pixels_known in areas[name])
        grown[name] = grow(coarse[name], (low, high), pixels, edges, "paths", excluded=excluded).mask
    return grown, warnings


def coarse_space(space: Sequence[int]) -> tuple[int, ...]:
    """The grid on which an image is grown: its own proportions.

    Example:
        >>> coarse_space((400, 300)), coarse_space((20, 30)), coarse_space((100, 500, 500))
        ((192, 144), (20, 30), (18, 91, 91))
    """
    scale = min(1.0, _SIDE / max(space[-2:]))
    if len(space) == 3:
        scale = min(scale, (_VOXELS / math.prod(space)) ** (1 / 3))
        return tuple(max(1, round(length * scale)) for length in space)
    return tuple(max(1, round(length * scale)) for length in space)


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


def _coarse(mask: np.ndarray, space: tuple[int, ...]) -> np.ndarray:
    return mask if mask.shape == space else resize_marks(mask, space)


def _picture(frame: Frame, space: tuple[int, ...]) -> np.ndarray:
    pixels = frame.samples if len(frame.space) == 3 else frame.samples[0]
    image = normalise(Image(pixels), 1, frame.window)
    return image if image.shape[:-1] == space else resize_image(image, space)
