"""Every image and mask decoded once before a study is made of them, and one error for all that cannot be used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tallymark.data.findings import some
from tallymark.data.formats import VOLUMES, Geometry, decode, suffix_of
from tallymark.data.images import file_sha256, read_image, read_labels, read_mask
from tallymark.datasets.naming import Pair
from tallymark.errors import GeometryError, ReadError

Track = Callable[[Iterable[Any]], Iterable[Any]]
"""Wraps what is worked through, to show progress; ``iter`` shows none."""


@dataclass(frozen=True)
class Look:
    """What one pair of files was found to hold.

    Args:
        pair: the files.
        sha256: of the image file.
        space: shape of the image without its channels.
        spacing: of the image as its header states it; None if unknown.
        coloured: whether any pixel is not grey.
        present: whether each structure has any pixel.
        strange_labels: labels in the masks that belong to no structure.
        differs: what does not fit between image and masks; empty if all does.
    """

    pair: Pair
    sha256: str
    space: tuple[int, ...]
    spacing: tuple[float, ...] | None
    coloured: bool
    present: Mapping[str, bool]
    strange_labels: frozenset[int]
    differs: str


def look_at_all(pairs: Sequence[Pair], of: Mapping[str, tuple[int, ...]], track: Track) -> list[Look]:
    """Decode everything once; one error for all files that cannot be used.

    Args:
        pairs: images and masks.
        of: structure to its labels; no labels for binary masks.
        track: wraps the work, to show progress.

    Returns:
        One look per pair, in their order.

    Raises:
        ReadError: a file cannot be read, or is no mask; up to five are named.
        GeometryError: a mask that does not lie on its image; up to five are named.
    """

    def attempt(pair: Pair) -> Look | ReadError:
        try:
            return _look_at(pair, of)
        except ReadError as error:
            return error

    with ThreadPoolExecutor(max_workers=4) as pool:
        results = [future.result() for future in track([pool.submit(attempt, pair) for pair in pairs])]
    unreadable = [result for result in results if isinstance(result, ReadError)]
    looks = [result for result in results if isinstance(result, Look)]
    differing = [look.differs for look in looks if look.differs]
    if len(unreadable) == 1 and not differing:
        raise unreadable[0]
    if unreadable:
        found = f"{len(unreadable)} that cannot be read: {some(f'{e.where} ({e.what})' for e in unreadable)}"
        if differing:
            found += f"; {len(differing)} that do not fit: {some(differing)}"
        raise ReadError("some images or masks cannot be used", found=found, remedy=unreadable[0].remedy)
    if differing:
        raise GeometryError(
            "images and their masks differ",
            found=f"{len(differing)}: {some(differing)}",
            remedy="export every mask on the grid of its image",
        )
    return looks


def _look_at(pair: Pair, of: Mapping[str, tuple[int, ...]]) -> Look:
    image = read_image(pair.image)
    pixels = image.pixels
    present = dict.fromkeys(of, False)
    labels: set[int] = set()
    differs = ""
    for path in pair.masks:
        if any(of.values()):
            values = read_labels(path)
            found = set(np.unique(values).tolist())
            labels |= found
            shape = values.shape
            present = {name: here or bool(found & set(of[name])) for name, here in present.items()}
        else:
            mask = read_mask(path)
            shape = mask.shape
            present = {name: here or bool(mask.any()) for name, here in present.items()}
        if shape != image.space:
            differs = f"{path} is {_size(shape)}, its image {_size(image.space)}"
        elif suffix_of(path) in VOLUMES and not _same_geometry(decode(path).geometry, image.geometry):
            differs = f"{path} has another spacing, origin or orientation than its image"
    known = {0}.union(*of.values())
    return Look(
        pair=pair,
        sha256=file_sha256(pair.image),
        space=image.space,
        spacing=image.spacing,
        coloured=pixels.shape[-1] == 3 and bool((pixels != pixels[..., :1]).any()),
        present=present,
        strange_labels=frozenset(labels - known),
        differs=differs,
    )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in shape)


def _same_geometry(mask: Geometry | None, image: Geometry | None) -> bool:
    """Whether two grids are one, up to the rounding of headers."""
    if mask is None or image is None:
        return mask is image
    return all(
        len(a) == len(b) and np.allclose(a, b, rtol=1e-4, atol=1e-3)
        for a, b in ((mask.origin, image.origin), (mask.direction, image.direction), (mask.spacing, image.spacing))
    )


def dimension_of(looks: Sequence[Look]) -> Literal[2, 3]:
    """Number of axes of all images.

    Raises:
        GeometryError: pictures and volumes are mixed.
    """
    by_axes: dict[int, list[str]] = defaultdict(list)
    for look in looks:
        by_axes[len(look.space)].append(look.pair.image.name)
    if len(by_axes) > 1:
        found = "; ".join(f"{len(names)} with {axes} axes: {some(names)}" for axes, names in sorted(by_axes.items()))
        raise GeometryError("pictures and volumes are mixed", found=found, remedy="import them as two studies")
    return 3 if 3 in by_axes else 2
