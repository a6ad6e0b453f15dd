"""Marks as Label Studio keeps them: brush strokes as packed runs of RGBA bytes, and key points in percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from tallymark.data.mark_layer import AuthoredMark, united, whole_clicks
from tallymark.data.strokes import Stroke
from tallymark.errors import GeometryError, ReadError

_RUN_BITS = (3, 6, 10, 16)  # the sizes of run lengths that a packed run chooses from


def pack(values: UInt8[np.ndarray, " n"]) -> list[int]:
    """Pack bytes as Label Studio's brush does.

    A header (32 bits: how many; 5 bits: size of a value less 1; four times 4 bits: sizes of run lengths less 1), then
    runs: 1 bit (1: one value repeated), 2 bits which size, the length less 1, the value.

    Source: the packing of thi.ng/rle-pack, as Label Studio's converter reads it.

    Example:
        >>> unpack(pack(np.array([7, 7, 7, 0], np.uint8))).tolist()
        [7, 7, 7, 0]
    """
    parts = [f"{len(values):032b}", f"{7:05b}", *(f"{bits - 1:04b}" for bits in _RUN_BITS)]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])) if len(values) else np.array([], int)
    lengths = np.diff(np.concatenate([starts, [len(values)]]))
    most = 1 << _RUN_BITS[-1]
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        while length > 0:
            run = min(length, most)
            which = next(i for i, bits in enumerate(_RUN_BITS) if run <= 1 << bits)
            parts.append(f"1{which:02b}{run - 1:0{_RUN_BITS[which]}b}{int(values[start]):08b}")
            length -= run
    text = "".join(parts)
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


def unpack(packed: list[int]) -> UInt8[np.ndarray, " n"]:
    """The bytes of :func:`pack`.

    Raises:
        ValueError: they end too early, or are no bytes.
    """
    bits = np.unpackbits(np.array(packed, dtype=np.uint8))
    at = 0

    def read(size: int) -> int:
        nonlocal at
        if at + size > len(bits):
            raise ValueError("the packed brush ends too early")
        value = int("".join(map(str, bits[at : at + size])) or "0", 2)
        at += size
        return value

    total, size = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    if total > 1 << 30:
        raise ValueError("the packed brush is too large")
    out = np.zeros(total, dtype=np.uint8)
    done = 0
    while done < total:
        repeated = read(1)
        end = done + read(sizes[read(2)]) + 1
        if end > total:
            raise ValueError("the packed brush goes beyond its end")
        if repeated:
            out[done:end] = read(size)
        else:
            out[done:end] = [read(size) for _ in range(end - done)]
        done = end
    return out


def to_label_studio(marks: Sequence[AuthoredMark], image: str) -> dict[str, Any]:
    """A task that shows what the marks come to: a key point for each click, a brush for the rest of each structure.

    A click is a brush too where a key point would not be the same pixels: where its author erased some of it, where it
    is centred beyond the image, or where percents of the image do not give it back to the bit.

    Args:
        marks: of all authors in their order, all on one picture.
        image: how the task calls the image.

    Example:
        >>> click = Stroke(np.array([[0.0, 1.0]]), 2, (2, 4))
        >>> result = to_label_studio([("reader", "stroke", "lesion", click)], "a.png")["annotations"][0]["result"]
        >>> [each["value"] for each in result]
        [{'x': 37.5, 'y': 25.0, 'width': 50.0, 'keypointlabels': ['lesion']}]
    """
    shown = united(marks)
    points: dict[int, dict[str, Any]] = {}
    for place in whole_clicks(marks):
        _, _, structure, click = marks[place]
        if not isinstance(click, Stroke) or structure is None:
            continue
        pixels = click.raster()
        # A click as none of the structures gives way to structures where "nothing here" was said.
        if pixels.any() and shown[structure][pixels].all():
            point = _key_point(structure, click)
            if point is not None:
                points[place] = point
    # The other marks keep the pixels that they share with a click, so that a stroke under a click has no hole. Without
    # the clicks "nothing here" takes in more than is visible; hence the intersection.
    others = united(mark for place, mark in enumerate(marks) if place not in points)
    masks = {structure: mask & shown[structure] for structure, mask in others.items() if structure in shown}
    brushes = [_brush(structure, mask) for structure, mask in masks.items() if mask.any()]
    return {"data": {"image": image}, "annotations": [{"result": [*brushes, *points.values()]}]}


def _brush(structure: str, mask: Bool[np.ndarray, "r c"]) -> dict[str, Any]:
    rle = pack(np.repeat(mask.ravel().astype(np.uint8) * np.uint8(255), 4))
    return _result("brushlabels", "tag", mask.shape, {"format": "rle", "rle": rle, "brushlabels": [structure]})


def _key_point(structure: str, click: Stroke) -> dict[str, Any] | None:
    """A click as a key point; None where that is none, or is read as other pixels."""
    row, column = (click.points[0] + 0.5).tolist()
    rows, columns = click.shape
    value = {"x": 100 * column / columns, "y": 100 * row / rows, "width": 100 * click.width / columns}
    if not all(0 <= percent <= 100 for percent in value.values()):
        return None
    if not np.array_equal(_dot(value, (rows, columns)).raster(), click.raster()):
        return None
    return _result("keypointlabels", "point", click.shape, {**value, "keypointlabels": [structure]})


def _result(kind: str, control: str, shape: tuple[int, ...], value: Mapping[str, Any]) -> dict[str, Any]:
    """An annotation; each kind has a control of its own, as one of Label Studio makes one kind alone."""
    size = {"original_width": shape[1], "original_height": shape[0], "image_rotation": 0}
    return {"type": kind, "from_name": control, "to_name": "image", **size, "value": value}


def _dot(value: Mapping[str, Any], shape: tuple[int, int]) -> Stroke:
    """The click that a key point is read as, at least a pixel wide."""
    row, column = float(value["y"]) / 100 * shape[0] - 0.5, float(value["x"]) / 100 * shape[1] - 0.5
    return Stroke(np.array([[row, column]]), max(1.0, float(value.get("width", 0)) / 100 * shape[1]), shape)


def from_label_studio(document: Any, shape: tuple[int, int], where: object) -> dict[str, Bool[np.ndarray, "r c"]]:
    """Read the brushes and key points of a task's first annotation.

    Args:
        document: the task.
        shape: of the image.
        where: what to call the task in an error.

    Returns:
        By label, True where marked; a key point is a dot whose diameter is its width.

    Raises:
        ReadError: it is no such task.
        GeometryError: an annotation was made on an image of another size.

    Example:
        >>> point = {"x": 37.5, "y": 25, "width": 50, "keypointlabels": ["lesion"]}
        >>> result = {"type": "keypointlabels", "original_width": 4, "original_height": 2, "value": point}
        >>> from_label_studio({"annotations": [{"result": [result]}]}, (2, 4), "a.json")["lesion"].astype(int).tolist()
        [[1, 1, 1, 0], [0, 1, 0, 0]]
    """
    masks: dict[str, np.ndarray] = {}
    try:
        for result in document["annotations"][0]["result"]:
            found = int(result["original_height"]), int(result["original_width"])
            if found != shape:
                raise GeometryError(
                    "this annotation was made on another image", where=where, found=found, expected=shape
                )
            value, kind = result["value"], result["type"]
            if kind == "brushlabels":
                pixels = unpack(value["rle"]).reshape(*shape, 4)[..., 3] > 0
            elif kind == "keypointlabels":
                pixels = _dot(value, shape).raster()
            else:
                raise ValueError(f"the type {kind}")
            for name in value[kind]:
                masks[name] = masks[name] | pixels if name in masks else pixels
    except (KeyError, TypeError, IndexError, ValueError, OverflowError) as error:
        raise ReadError(
            "this is no Label Studio task with brushes or key points",
            where=where,
            found=f"{type(error).__name__}: {error}"[:120],
            remedy="export the project as JSON, one file for each task, called like its case",
        ) from error
    return masks
