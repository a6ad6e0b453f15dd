"""Images as the page gets them: samples at full depth, so that window and level happen in the browser."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Shaped

from tallymark.data.images import Image, normalise, robust_window
from tallymark.data.resize import resize_image
from tallymark.data.study import Case, Study
from tallymark.errors import GeometryError, StudyError
from tallymark.marking.coding import encode

_MEMORY = 1 << 30

# In-plane side and voxels on which growth takes a fraction of a second.
_SIDE, _VOXELS = 192, 150_000


@dataclass(frozen=True)
class Frame:
    """An image made ready for the page.

    Args:
        samples: (plane,) row, column, channel; ``uint8``, ``int16``, ``uint16`` or ``float32``, little-endian.
        window: the values that are first shown as black and white.
        range: lowest and highest value.
        spacing: mm per axis, None = unknown.
        space: shape of the image without channels, as marks know it.
    """

    samples: Shaped[np.ndarray, "plane row column channel"]
    window: tuple[float, float]
    range: tuple[float, float]
    spacing: tuple[float, ...] | None
    space: tuple[int, ...]

    @cached_property
    def coarse(self) -> Float[np.ndarray, "*coarse c"]:
        """The image in [0, 1] on the grid on which it is grown (:func:`coarse_space`)."""
        pixels = self.samples if len(self.space) == 3 else self.samples[0]
        image = normalise(Image(pixels), 1, self.window)
        space = coarse_space(self.space)
        return image if self.space == space else resize_image(image, space)

    def plane(self, number: int) -> bytes:
        """The samples of a plane in C order.

        Raises:
            StudyError: there is no such plane.
        """
        return bytes(self._plane(number).tobytes())

    def coded(self, number: int) -> bytes:
        """The same, small enough for a network (:mod:`tallymark.marking.coding`)."""
        return encode(self._plane(number))

    def _plane(self, number: int) -> Shaped[np.ndarray, "row column channel"]:
        if not 0 <= number < len(self.samples):
            raise StudyError("no such plane", found=number, expected=f"0 to {len(self.samples) - 1}")
        return np.asarray(self.samples[number])


def frame_of(image: Image, window: tuple[float, float] | None = None) -> Frame:
    r"""Make an image ready.

    Args:
        image: of 1 or 3 channels; three equal ones become one.
        window: as the study has it; None: :func:`tallymark.data.images.robust_window`.

    Returns:
        The frame; 16 bits stay 16 bits.

    Raises:
        GeometryError: an image of another number of channels.

    Example:
        >>> frame = frame_of(Image(np.array([[[5], [700]]], np.uint16)))
        >>> frame.samples.dtype.str, frame.range, frame.plane(0)
        ('<u2', (5.0, 700.0), b'\x05\x00\xbc\x02')
    """
    pixels = image.pixels
    if pixels.shape[-1] not in (1, 3):
        raise GeometryError(
            "this image has neither 1 nor 3 channels",
            found=f"{pixels.shape[-1]} channels",
            remedy="save the channels to be used as a grey or RGB image",
        )
    if pixels.shape[-1] == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    low, high = float(pixels.min()), float(pixels.max())
    samples = np.ascontiguousarray(pixels, dtype=_sample_type(pixels.dtype, low, high))
    if len(image.space) == 2:
        samples = samples[None]
    return Frame(samples, window or robust_window(image), (low, high), image.spacing, image.space)


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


def _sample_type(stored: np.dtype, low: float, high: float) -> np.dtype:
    """The smallest type that a browser knows and that holds every value."""
    if stored.kind in "iub":
        for name in ("u1", "<u2", "<i2"):
            limits = np.iinfo(name)
            if limits.min <= low and high <= limits.max:
                return np.dtype(name)
    return np.dtype("<f4")


class Frames:
    """The frames of a study, the last used kept in memory.

    Args:
        study: whose images.
        memory: bytes to keep at most; the newest is kept in any case.
    """

    def __init__(self, study: Study, memory: int = _MEMORY) -> None:
        self._window = study.settings.image.window
        self._memory = memory
        self._kept: OrderedDict[str, Frame] = OrderedDict()
        self._guard = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}

    def get(self, case: Case) -> Frame:
        """The frame of a case; several threads that ask for the same wait for one decoding.

        Raises:
            ReadError: the image cannot be read, or is not what it was when the study was made.
            GeometryError: see :func:`frame_of`.
        """
        with self._guard:
            loading = self._loading.setdefault(case.id, threading.Lock())
        with loading:
            with self._guard:
                if case.id in self._kept:
                    self._kept.move_to_end(case.id)
                    return self._kept[case.id]
            frame = frame_of(case.read(), self._window)
            with self._guard:
                self._kept[case.id] = frame
                while len(self._kept) > 1 and sum(kept.samples.nbytes for kept in self._kept.values()) > self._memory:
                    self._kept.popitem(last=False)
            return frame
