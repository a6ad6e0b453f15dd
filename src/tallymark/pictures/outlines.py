"""Masks drawn over an image so that the image stays visible under them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tallymark.errors import GeometryError
from tallymark.pictures.palette import EXCLUSION, TRUTH, Colour, structure_colour

Mask = NDArray[np.bool_]

FILL_OPACITY = 0.16  # the texture under the fill must stay readable
HALO_OPACITY = 0.55  # a dark rim keeps a white line visible on bright tissue
_SUPERSAMPLING = 4  # lines are drawn this much larger and averaged down: smooth edges without a vector library


def overlay(
    image: NDArray[np.generic],
    prediction: Mask,
    truth: Mask | None = None,
    marks: Mask | None = None,
    *,
    enlarge: int = 1,
) -> NDArray[np.uint8]:
    """Draw a prediction as a coloured outline with a light fill, the truth as dashed white, marks as solid colour.

    The outline runs along the edge between pixels; it is 1 px wide for images up to 256 px and grows with the square
    root of the size. Structures take the colours of :func:`~tallymark.pictures.palette.structure_colour`.
    In 3-D the slice of :func:`fullest_slice` is drawn.

    Args:
        image: (h, w) or (h, w, c) with 1, 3 or 4 channels, uint8 or float in [0, 1]; with a 3-D prediction
            (d, h, w) or (d, h, w, c).
        prediction: (k, h, w), (h, w) for one structure, or (k, d, h, w).
        truth: as the prediction, if it is known.
        marks: as the prediction; may have one plane more, which holds the pixels marked as none of the structures.
        enlarge: whole factor by which the picture is drawn larger than the image, for small images.

    Returns:
        (h * enlarge, w * enlarge, 3), 0..255.

    Raises:
        GeometryError: the masks do not have the shape of the image or of each other.
        ValueError: an image that is neither uint8 nor float in [0, 1].

    Example:
        Where there is no mask the image is untouched; deep inside, the fill takes 16 % of the colour (230, 159, 0).

        >>> black = np.zeros((16, 16), np.uint8)
        >>> square = np.zeros((16, 16), bool)
        >>> square[4:12, 4:12] = True
        >>> picture = overlay(black, square)
        >>> picture[0, 0].tolist(), picture[8, 8].tolist()
        ([0, 0, 0], [37, 25, 0])
    """
    prediction = _with_structures(prediction, "prediction")
    truth = None if truth is None else _with_structures(truth, "truth")
    marks = None if marks is None else _with_structures(marks, "marks")
    _check(image, prediction, truth, marks)
    if prediction.ndim == 4:
        at = fullest_slice(prediction, truth)
        image, prediction = image[at], prediction[:, at]
        truth = None if truth is None else truth[:, at]
        marks = None if marks is None else marks[:, at]

    canvas = _enlarged_image(_to_rgb(image), enlarge)
    width = max(1.0, np.sqrt(max(canvas.shape[:2]) / 256.0))
    for index, mask in enumerate(prediction):
        colour = structure_colour(index)
        _blend(canvas, colour, FILL_OPACITY * _enlarged_mask(mask, enlarge))
        _blend(canvas, colour, _outline(mask, canvas.shape[:2], enlarge, 1.5 * width))
    for mask in () if truth is None else truth:
        dash = 6.0 * width
        _blend(canvas, (0, 0, 0), HALO_OPACITY * _outline(mask, canvas.shape[:2], enlarge, 2.4 * width, dash))
        _blend(canvas, TRUTH, _outline(mask, canvas.shape[:2], enlarge, 1.25 * width, dash))
    for index, mask in enumerate(() if marks is None else marks):
        colour = EXCLUSION if index == len(prediction) else structure_colour(index)
        _blend(canvas, colour, _enlarged_mask(mask, enlarge))
    return np.rint(canvas).astype(np.uint8)


def encircled(picture: NDArray[np.uint8], marks: Mask, *, enlarge: int = 1, shown_at: int) -> NDArray[np.uint8]:
    """Draw a circle around every mark that would be too small to see.

    Args:
        picture: (h * enlarge, w * enlarge, 3), as :func:`overlay` draws it.
        marks: (k, h, w); connected pixels of a structure are one mark.
        enlarge: as for :func:`overlay`.
        shown_at: the width in pixels at which the picture will be shown; marks less than 5 of them long are circled.

    Returns:
        As ``picture``.

    Example:
        >>> marks = np.zeros((1, 100, 100), bool)
        >>> marks[0, 50, 50] = True
        >>> black = np.zeros((100, 100, 3), np.uint8)
        >>> bool(encircled(black, marks, shown_at=100)[50, 50 - 8].any())
        True
    """
    from PIL import Image, ImageDraw
    from scipy.ndimage import find_objects, label

    pixel = picture.shape[1] / shown_at  # one pixel of what is shown, in pixels of the picture
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for index, mask in enumerate(marks):
        for box in find_objects(label(mask, np.ones((3, 3)))[0]):
            if max(axis.stop - axis.start for axis in box) * enlarge >= 5 * pixel:
                continue
            row, column = (enlarge * (axis.start + axis.stop) / 2 for axis in box)
            reach = 8 * pixel
            corners = (column - reach, row - reach, column + reach, row + reach)
            draw.ellipse(corners, outline=structure_colour(index), width=max(1, round(1.5 * pixel)))
    return np.asarray(image)


def enlargement(space: tuple[int, ...]) -> int:
    """How often a picture is enlarged so that its outlines are thin lines: to about 512 pixels.

    Example:
        >>> enlargement((96, 128)), enlargement((800, 600))
        (4, 1)
    """
    return max(1, round(512 / max(space[-2:])))


def fullest_slice(prediction: Mask, truth: Mask | None = None) -> int:
    """The slice along the first spatial axis that holds most of prediction and truth; the middle one if both are empty.

    Args:
        prediction: (k, d, h, w).
        truth: as the prediction.

    Example:
        >>> volume = np.zeros((1, 5, 4, 4), bool)
        >>> fullest_slice(volume)
        2
        >>> volume[0, 3, 1:3, 1:3] = True
        >>> fullest_slice(volume)
        3
    """
    pixels = prediction.sum(axis=(0, 2, 3))
    if truth is not None:
        pixels = pixels + truth.sum(axis=(0, 2, 3))
    return int(pixels.argmax()) if pixels.any() else prediction.shape[1] // 2


def _with_structures(mask: Mask, what: str) -> Mask:
    if mask.dtype != np.bool_:
        raise ValueError(f"{what} must be bool, found {mask.dtype}")
    return mask[np.newaxis] if mask.ndim == 2 else mask


def _check(image: NDArray[np.generic], prediction: Mask, truth: Mask | None, marks: Mask | None) -> None:
    space = prediction.shape[1:]
    if prediction.ndim not in (3, 4):
        expected = "(h, w), (k, h, w) or (k, d, h, w)"
        raise GeometryError("not a mask", where="prediction", found=prediction.shape, expected=expected)
    channels = image.shape[len(space) :]
    if image.shape[: len(space)] != space or channels not in ((), (1,), (3,), (4,)):
        expected = f"{space}, with 1, 3 or 4 channels last if any"
        raise GeometryError("does not fit the prediction", where="image", found=image.shape, expected=expected)
    if truth is not None and truth.shape != prediction.shape:
        raise GeometryError("does not fit the prediction", where="truth", found=truth.shape, expected=prediction.shape)
    if marks is not None and (marks.shape[1:] != space or len(marks) - len(prediction) not in (0, 1)):
        expected = f"{prediction.shape}, or one plane more for 'none of these'"
        raise GeometryError("does not fit the prediction", where="marks", found=marks.shape, expected=expected)


def _to_rgb(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    if image.dtype != np.uint8:
        if not np.issubdtype(image.dtype, np.floating):
            raise ValueError(f"image must be uint8 or float in [0, 1], found {image.dtype}")
        values = image.astype(np.float64)
        if not (values.min() >= 0 and values.max() <= 1):  # written so that NaN is refused as well
            raise ValueError(f"image must be in [0, 1], found {values.min():g} to {values.max():g}")
        image = np.rint(255 * values).astype(np.uint8)
    grey = image[..., np.newaxis] if image.ndim == 2 else image
    # A fourth channel is opacity.
    rgb = np.repeat(grey, 3, axis=2) if grey.shape[2] == 1 else grey[..., :3]
    return rgb.astype(np.uint8)


def _enlarged_image(rgb: NDArray[np.uint8], enlarge: int) -> NDArray[np.float64]:
    if enlarge == 1:
        return rgb.astype(np.float64)
    from PIL import Image

    size = (rgb.shape[1] * enlarge, rgb.shape[0] * enlarge)
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC), dtype=np.float64)


def _enlarged_mask(mask: Mask, enlarge: int) -> NDArray[np.float64]:
    return mask.repeat(enlarge, axis=0).repeat(enlarge, axis=1).astype(np.float64)


def _blend(canvas: NDArray[np.float64], colour: Colour, opacity: NDArray[np.float64]) -> None:
    canvas += opacity[..., np.newaxis] * (np.array(colour, dtype=np.float64) - canvas)


def _outline(
    mask: Mask, size: tuple[int, ...], enlarge: int, width: float, dash: float | None = None
) -> NDArray[np.float64]:
    """Opacity in [0, 1] of the outline of a mask (h, w) on a canvas of ``size``; widths in pixels of the canvas."""
    if not mask.any():
        return np.zeros(size)
    from PIL import Image, ImageDraw

    height, breadth = size
    large = Image.new("L", (breadth * _SUPERSAMPLING, height * _SUPERSAMPLING))
    draw = ImageDraw.Draw(large)
    stroke = max(1, round(width * _SUPERSAMPLING))
    for line in _contours(mask, enlarge * _SUPERSAMPLING):
        for piece in [line] if dash is None else _dashes(line, dash * _SUPERSAMPLING):
            # Coordinates are row, column; pillow wants column, row.
            draw.line([(float(column), float(row)) for row, column in piece], fill=255, width=stroke, joint="curve")
    return np.asarray(large.resize((breadth, height), Image.Resampling.BOX), dtype=np.float64) / 255.0


def _contours(mask: Mask, factor: int) -> Iterator[NDArray[np.float64]]:
    """Closed lines (n, 2) in row, column of a canvas ``factor`` times as large, with the corner of pixel 0 at 0."""
    from skimage import measure

    trace: Any = measure.find_contours  # has no types
    padded = np.pad(mask, 1).astype(np.float64)  # so that a mask at the border is closed
    for line in trace(padded, 0.5):
        yield (line - 0.5) * factor


def _dashes(line: NDArray[np.float64], length: float) -> Iterator[NDArray[np.float64]]:
    """Cut a line (n, 2) into dashes as long as the gaps between them; a line shorter than two dashes stays whole."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    count = int(along[-1] // (2 * length))
    if count == 0:
        yield line
        return
    period = along[-1] / count  # stretched a little, so that the pattern closes
    for start in period * np.arange(count):
        end = start + period / 2
        inside = (along > start) & (along < end)
        at = np.concatenate([[start], along[inside], [end]])
        yield np.stack([np.interp(at, along, line[:, axis]) for axis in (0, 1)], axis=1)
