"""What one author marked on one image: marks united in their order, less what was erased after them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool

from tallymark.data.strokes import Stroke, decode_runs

EXCLUDED = "(none of these)"
"""The structure of pixels that someone marked as none of the structures."""

Mark = Stroke | np.ndarray
"""A stroke, or a mask of marked pixels."""

AuthoredMark = tuple[str, str, str | None, Mark]
"""Author, kind, structure (None of an erasure and of "nothing here") and mark."""


def decode_mark(kind: str, payload: bytes) -> Mark:
    """The mark that a row of the file holds.

    Args:
        kind: ``raster``, ``stroke``, ``erase`` or ``nothing``.
        payload: of :meth:`Stroke.encode` for strokes and erasures, else of
            :func:`tallymark.data.strokes.encode_runs`.

    Raises:
        ReadError: the payload is damaged.
    """
    return Stroke.decode(payload) if kind in ("stroke", "erase") else decode_runs(payload)


class Layer:
    """The marks of one author on one image.

    Args:
        shape: of the image, (plane,) row, column; every mark is on an image of this shape.

    Example:
        >>> layer = Layer((1, 3))
        >>> layer.add("lesion", np.array([[True, True, False]]))
        >>> layer.erase(Stroke(np.array([[0.0, 0.0]]), 1, (1, 3)))
        >>> layer.nothing_else()
        >>> {name: mask.astype(int).tolist() for name, mask in layer.labels().items()}
        {'lesion': [[0, 1, 0]], '(none of these)': [[1, 0, 1]]}
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._masks: dict[str, np.ndarray] = {}
        self._nothing_else = False

    def add(self, structure: str, mark: Mark) -> None:
        """Mark pixels as a structure, besides whatever else they are marked as."""
        mask = self._masks.setdefault(structure, np.zeros(self._shape, bool))
        if isinstance(mark, Stroke):
            mark.paint(mask)
        else:
            mask |= mark

    def erase(self, stroke: Stroke) -> None:
        """Unmark pixels, whatever they are marked as."""
        for mask in self._masks.values():
            stroke.paint(mask, value=False)

    def nothing_else(self) -> None:
        """Mark all that is not marked as a structure in the end as :data:`EXCLUDED`."""
        self._nothing_else = True

    def labels(self) -> dict[str, Bool[np.ndarray, "*space"]]:
        """By structure, True where marked; a structure without a pixel is absent."""
        labels = {name: mask for name, mask in self._masks.items() if mask.any()}
        if self._nothing_else:
            marked = [mask for name, mask in labels.items() if name != EXCLUDED]
            labels[EXCLUDED] = ~np.logical_or.reduce([np.zeros(self._shape, bool), *marked])
        return labels


def whole_clicks(marks: Sequence[AuthoredMark]) -> tuple[int, ...]:
    """The clicks, which are strokes of a single point, that their author has not erased any pixel of since.

    Args:
        marks: in their order, all on one image.

    Returns:
        The places of the clicks among the marks, in their order.

    Example:
        >>> click, other = (Stroke(np.array([[0.0, column]]), 1, (1, 4)) for column in (0.0, 2.0))
        >>> whole_clicks([("one", "stroke", "a", click), ("one", "stroke", "a", other), ("one", "erase", None, click),
        ...               ("two", "erase", None, other)])
        (1,)
    """
    erased: dict[str, np.ndarray] = {}
    places = []
    for place, (author, kind, _, mark) in reversed(list(enumerate(marks))):
        if not isinstance(mark, Stroke):
            continue
        later = erased.setdefault(author, np.zeros(mark.shape, bool))
        if kind == "erase":
            mark.paint(later)
        elif len(mark.points) == 1 and not later[mark.raster()].any():
            places.append(place)
    return tuple(reversed(places))


def united(marks: Iterable[AuthoredMark]) -> dict[str, Bool[np.ndarray, "*space"]]:
    """What the marks of all authors come to.

    Args:
        marks: in their order, all on one image. Everyone has a layer.

    Returns:
        By structure, True where anyone's layer is marked; a structure without a pixel is absent.

    Example:
        >>> dot = np.array([[True, False]])
        >>> erasure = Stroke(np.array([[0.0, 0.0]]), 1, (1, 2))
        >>> united([("one", "raster", "a", dot), ("other", "erase", None, erasure)])["a"].tolist()
        [[True, False]]
    """
    layers: dict[str, Layer] = {}
    for author, kind, structure, mark in marks:
        layer = layers.setdefault(author, Layer(tuple(mark.shape)))
        if kind == "nothing":
            layer.nothing_else()
        elif isinstance(mark, Stroke) and kind == "erase":
            layer.erase(mark)
        elif structure is not None:
            layer.add(structure, mark)
    labels: dict[str, np.ndarray] = {}
    for layer in layers.values():
        for structure, mask in layer.labels().items():
            labels[structure] = labels[structure] | mask if structure in labels else mask
    return labels
