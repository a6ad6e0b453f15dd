"""The two ways a mark is stored: as the stroke that was drawn, or as runs of marked pixels."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Num

from tallymark.errors import GeometryError, ReadError


def encode_runs(mask: Bool[np.ndarray, "*space"]) -> bytes:
    """Run lengths of a mask.

    The payload is a list of little-endian unsigned 32-bit numbers: the number of axes, the shape, then the lengths of
    the runs in C order, alternating, the first of unmarked pixels (0 if the first pixel is marked).

    Args:
        mask: True where marked.

    Returns:
        The payload; 4 bytes per number.

    Example:
        >>> np.frombuffer(encode_runs(np.array([[False, True, True], [True, False, False]])), "<u4").tolist()
        [2, 2, 3, 1, 3, 2]
    """
    flat = mask.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], changes, [flat.size]])
    runs = np.diff(starts)
    if flat.size and flat[0]:
        runs = np.concatenate([[0], runs])
    return np.concatenate([[mask.ndim], mask.shape, runs]).astype("<u4").tobytes()


def decode_runs(payload: bytes) -> Bool[np.ndarray, "*space"]:
    """The mask of :func:`encode_runs`.

    Raises:
        ReadError: the payload is damaged: the runs do not add up to the shape.

    Example:
        >>> decode_runs(encode_runs(np.array([True, False]))).tolist()
        [True, False]
    """
    numbers = np.frombuffer(payload[: len(payload) // 4 * 4], "<u4").astype(np.int64)
    axes = int(numbers[0]) if len(numbers) else 0
    shape, runs = tuple(numbers[1 : axes + 1].tolist()), numbers[axes + 1 :]
    if len(payload) % 4 or not 0 < axes <= 3 or len(shape) != axes or runs.sum() != math.prod(shape):
        raise ReadError("a mark is damaged", found=f"{len(payload)} bytes whose runs do not add up to a shape")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(shape)


@dataclass(frozen=True)
class Stroke:
    """A polyline drawn with a round pen.

    Args:
        points: row and column of each corner in pixels of the original image; the centre of a pixel is whole. One
            point is a dot.
        width: of the pen in pixels, > 0.
        shape: of the image that was drawn on, (plane,) row, column.
        plane: of a volume; None for a picture.
        filled: the line is the outline of an area that is marked as well.

    Raises:
        GeometryError: no point, a width that is not above 0, values that are not finite, a plane where none belongs
            or outside of the volume.
    """

    points: Num[np.ndarray, "corner 2"]
    width: float | int
    shape: tuple[int, ...]
    plane: int | None = None
    filled: bool = False

    def __post_init__(self) -> None:
        if not len(self.points) or not np.isfinite(self.points).all():
            raise GeometryError("a stroke needs points with finite coordinates", found=self.points.tolist())
        if not 0 < self.width < math.inf:
            raise GeometryError("a stroke needs a width above 0", found=self.width)
        if len(self.shape) not in (2, 3) or (len(self.shape) == 3) != (self.plane is not None):
            raise GeometryError("a stroke on a volume names its plane, one on a picture none", found=self.shape)
        if self.plane is not None and not 0 <= self.plane < self.shape[0]:
            raise GeometryError("no such plane", found=self.plane, expected=f"0 to {self.shape[0] - 1}")

    def encode(self) -> bytes:
        """The payload: JSON with the points, width, shape and plane; of an outline, that it is filled."""
        values: dict[str, object] = {
            "points": self.points.tolist(),
            "width": self.width,
            "shape": list(self.shape),
            "plane": self.plane,
        }
        if self.filled:
            values["filled"] = True
        return json.dumps(values).encode()

    @classmethod
    def decode(cls, payload: bytes) -> Stroke:
        """The stroke of :meth:`encode`.

        Raises:
            ReadError: the payload is damaged.
        """
        try:
            values = json.loads(payload)
            points = np.asarray(values["points"], float).reshape(-1, 2)
            return cls(
                points, float(values["width"]), tuple(values["shape"]), values["plane"], bool(values.get("filled"))
            )
        except (ValueError, KeyError, TypeError, GeometryError) as error:
            raise ReadError("a mark is damaged", found=error) from error

    def raster(self) -> Bool[np.ndarray, "*space"]:
        """The pixels whose centre lies under the pen, and the pixel under each corner in any case.

        Returns:
            True where marked, at the size of the image; what was drawn outside of the image is not there.

        Example:
            >>> stroke = Stroke(np.array([[1.0, 0.0], [1.0, 2.0]]), width=1, shape=(3, 4))
            >>> stroke.raster().astype(int).tolist()
            [[0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
        """
        drawn = np.zeros(self.shape, bool)
        self.paint(drawn)
        return drawn

    def touches(self) -> bool:
        """Whether any pixel of the image lies under the stroke.

        Example:
            >>> Stroke(np.array([[-9.0, 0.0]]), width=1, shape=(3, 4)).touches()
            False
        """
        corners = np.floor(self.points + 0.5)
        if ((corners >= 0) & (corners < self.shape[-2:])).all(axis=1).any():
            return True
        flat = Stroke(self.points, self.width, self.shape[-2:], filled=self.filled)
        return bool(flat.raster().any())

    def paint(self, canvas: Bool[np.ndarray, "*space"], value: bool = True) -> None:
        """Set the pixels of :meth:`raster` in place.

        Args:
            canvas: of the shape of the image.
            value: what they become; False erases.
        """
        plane = canvas if self.plane is None else canvas[self.plane]
        for start, end in zip(self.points, self.points[1:] if len(self.points) > 1 else self.points, strict=False):
            low = np.floor(np.minimum(start, end) - self.width / 2).astype(int).clip(0)
            high = np.ceil(np.maximum(start, end) + self.width / 2).astype(int) + 1
            box = plane[low[0] : max(high[0], 0), low[1] : max(high[1], 0)]
            down = np.arange(box.shape[0])[:, None] + (low[0] - start[0])
            right = np.arange(box.shape[1]) + (low[1] - start[1])
            along_down, along_right = (end - start).tolist()
            length = max(along_down**2 + along_right**2, 1e-12)
            share = ((down * along_down + right * along_right) / length).clip(0, 1)
            distance = (down - share * along_down) ** 2 + (right - share * along_right) ** 2
            box[distance <= (self.width / 2 + 1e-9) ** 2] = value
        corners = np.floor(self.points + 0.5).astype(int)
        inside = ((corners >= 0) & (corners < plane.shape)).all(axis=1)
        plane[tuple(corners[inside].T)] = value
        if self.filled:
            plane[enclosed(self.points, plane.shape)] = value


def enclosed(points: Num[np.ndarray, "corner 2"], shape: tuple[int, ...]) -> Bool[np.ndarray, "r c"]:
    """The pixels whose centre a closed line goes around an odd number of times.

    Every edge turns over all pixels to its left, in the rows that it crosses; the page draws by the same arithmetic.

    Args:
        points: row and column of each corner; the centre of a pixel is whole.
        shape: of the image.

    Example:
        >>> enclosed(np.array([[-0.5, 0.5], [-0.5, 2.5], [0.5, 2.5], [0.5, 0.5]]), (2, 4)).astype(int).tolist()
        [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    inside = np.zeros(shape, bool)
    for (row, column), (next_row, next_column) in zip(points, np.roll(points, -1, axis=0), strict=True):
        low, high = sorted((row, next_row))
        rows = np.arange(max(0, math.floor(low) + 1), min(shape[0] - 1, math.floor(high)) + 1)
        if len(rows):
            crossing = column + (rows - row) / (next_row - row) * (next_column - column)
            inside[rows[0] : rows[-1] + 1] ^= np.arange(shape[1]) < crossing[:, None]
    return inside
