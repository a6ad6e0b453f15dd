"""Samples made small for a network, without losing a bit.

Neighbours are alike, so what is sent of each sample is its difference from the one to its left, all low bytes first,
then all high bytes: what gzip sees are long runs of small numbers. Browsers undo the gzip by themselves, the page the
rest.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from jaxtyping import Shaped

CODING_HEADER = "x-tallymark-coding"
"""Says that the samples of an answer are coded so."""

_LEVEL = 1  # higher levels take several times as long for a few percent


def encode(samples: Shaped[np.ndarray, "row column channel"]) -> bytes:
    """The samples of a plane as a gzip file.

    Args:
        samples: ``uint8``, ``int16``, ``uint16`` or ``float32``, little-endian. Differences are of integers of the same
            size, and begin with every row anew; of ``float32`` they are of the bits.

    Example:
        >>> import gzip
        >>> list(gzip.decompress(encode(np.array([[[256], [258], [257]]], "<u2"))))
        [0, 2, 255, 1, 0, 255]
    """
    size = samples.dtype.itemsize
    whole = samples.view(f"<u{size}")
    differences = whole.copy()
    differences[:, 1:] -= whole[:, :-1]
    planes = differences.reshape(-1, 1).view(np.uint8).T
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9)
    return compressor.compress(planes.tobytes()) + compressor.flush()


class Kept:
    """What was made before, as far as memory goes; the newest is kept in any case.

    Args:
        memory: bytes to keep at most.

    Example:
        >>> kept = Kept(memory=3)
        >>> [kept.get(name, lambda: b"ab") for name in "xy"], len(kept)
        ([b'ab', b'ab'], 1)
    """

    def __init__(self, memory: int = 256 << 20) -> None:
        self._memory = memory
        self._all: OrderedDict[Hashable, bytes] = OrderedDict()
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._all)

    def get(self, name: Hashable, make: Callable[[], bytes]) -> bytes:
        """The bytes of this name, made if they are not there."""
        with self._guard:
            found = self._all.get(name)
            if found is not None:
                self._all.move_to_end(name)
                return found
        made = make()
        with self._guard:
            self._all[name] = made
            while len(self._all) > 1 and sum(len(content) for content in self._all.values()) > self._memory:
                self._all.popitem(last=False)
        return made
