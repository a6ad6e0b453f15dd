"""Synthetic pictures written as a folder that an import reads."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tallymark.errors import StorageError


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
