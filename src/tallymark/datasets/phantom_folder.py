"""Synthetic pictures, and the folder of them that an import reads."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from tallymark.errors import ConfigError, StorageError


@dataclass(frozen=True)
class Phantom:
    """One synthetic picture and what lies in it.

    Args:
        image: grey values 0..255, shape (row, column), or (plane, row, column) for a volume.
        masks: structure name to mask of the same shape; none overlaps another.
    """

    image: UInt8[np.ndarray, "*space"]
    masks: Mapping[str, Bool[np.ndarray, "*space"]]

    def labels(self) -> UInt8[np.ndarray, "*space"]:
        """The structures numbered from 1 on, in their order; 0 is none of them."""
        found = np.zeros(self.image.shape, dtype=np.uint8)
        for number, mask in enumerate(self.masks.values(), start=1):
            found[mask] = number
        return found


def require_sides(shape: Sequence[int], least: int) -> None:
    """No phantom is drawn on fewer pixels a side.

    Raises:
        ConfigError: a side below ``least``.
    """
    if min(shape) < least:
        raise ConfigError("the phantom is too small", found=tuple(shape), expected=f"sides of at least {least} pixels")


class Written(NamedTuple):
    """One picture of the folder.

    Attributes:
        name: without a suffix.
        group: its patient.
        image: grey values.
        mask: of the shape of the image.
        kind: of the mask's file, ``mask`` or ``labels``.
    """

    name: str
    group: str
    image: UInt8[np.ndarray, "*space"]
    mask: np.ndarray
    kind: str


def write_folder(folder: Path | str, pictures: Iterable[Written]) -> Path:
    """Write ``images/``, ``masks/`` and ``groups.csv`` as :func:`tallymark.datasets.pairs.import_pairs` reads them.

    Args:
        folder: where to write; made if it does not exist.
        pictures: drawn one after the other; only one is in memory at a time.

    Returns:
        ``folder``.

    Raises:
        StorageError: the folder cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> dot = np.eye(2, dtype=np.uint8)
        >>> with TemporaryDirectory() as folder:
        ...     root = write_folder(folder, [Written("a", "patient", dot, dot == 1, "mask")])
        ...     print(sorted(path.name for path in root.rglob("*.*")))
        ['a.png', 'a_mask.png', 'groups.csv']
    """
    folder = Path(folder)
    try:
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        with (folder / "groups.csv").open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow(("id", "group"))
            for picture in pictures:
                Image.fromarray(picture.image).save(folder / "images" / f"{picture.name}.png")
                Image.fromarray(picture.mask).save(folder / "masks" / f"{picture.name}_{picture.kind}.png")
                table.writerow((picture.name, picture.group))
    except OSError as error:
        raise StorageError(
            "the phantoms cannot be written",
            where=folder,
            found=error.strerror or error,
            remedy="choose another folder",
        ) from error
    return folder


def write_patients(folder: Path | str, name: str, count: int, draw: Callable[[int], Phantom]) -> Path:
    """Write phantoms with label images ``NAME_labels.png``, one image a patient.

    Args:
        folder: where to write; made if it does not exist.
        name: of the images, before their number.
        count: number of images, >= 1.
        draw: draws the image of a number.

    Returns:
        ``folder``, as :func:`tallymark.datasets.pairs.import_pairs` reads it.

    Raises:
        ConfigError: a count below 1.
        StorageError: the folder cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> dot = np.eye(2, dtype=np.uint8)
        >>> with TemporaryDirectory() as folder:
        ...     root = write_patients(Path(folder), "dot", 1, lambda index: Phantom(dot, {"dot": dot == 1}))
        ...     print(sorted(path.name for path in root.rglob("*.*")))
        ['dot_0000.png', 'dot_0000_labels.png', 'groups.csv']
    """
    if count < 1:
        raise ConfigError("these phantoms cannot be drawn", found=f"count {count}", expected="count >= 1")

    def written(index: int) -> Written:
        phantom = draw(index)
        return Written(f"{name}_{index:04d}", f"patient_{index:04d}", phantom.image, phantom.labels(), "labels")

    return write_folder(folder, map(written, range(count)))
