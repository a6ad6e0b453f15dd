"""A study at one size, decoded once: training never decodes an image twice.

The caches lie in ``cache/`` (images and marks) and ``truth-cache/`` (full masks, so that a weak run can do without that
folder) and are named by the digest of everything they depend on. One that is there is used without a look at the
original files: a study folder with its caches can travel to a machine that has no images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped, UInt16

from tallymark.data.arrays import content_key, stored_array, write_rows
from tallymark.data.cases import Case
from tallymark.data.images import image_space, normalise, robust_window
from tallymark.data.marks import EXCLUDED
from tallymark.data.resize import resize_image, resize_marks, resize_mask
from tallymark.data.study import Study
from tallymark.errors import ConfigError, GeometryError, StudyError

_FORMAT = 1
_STEP = 257  # 65535 = 257 x 255: every 8-bit intensity has an exact 16-bit one


class DecodedCache:
    """The images of a study at one size.

    Args:
        images: intensities times the largest value of the type; uint8 where every original has 8 bits, else uint16.
            Divide by ``np.iinfo(images.dtype).max`` for [0, 1]. Memory-mapped and read-only.
        cases: in the order of ``images``.
        spaces: original shape of each.
        windows: the stored values that became 0 and 1 in each.
    """

    def __init__(
        self,
        images: Shaped[np.ndarray, "n *size c"],
        cases: Sequence[Case],
        spaces: Sequence[tuple[int, ...]],
        windows: Sequence[tuple[float, float]],
    ) -> None:
        self.images = images
        self.cases = tuple(cases)
        self._spaces = spaces
        self._windows = windows
        self._rows = {case.id: row for row, case in enumerate(cases)}

    def index(self, case_id: str) -> int:
        """The row of a case in ``images``.

        Raises:
            StudyError: the cache does not hold this case.
        """
        if case_id not in self._rows:
            raise StudyError("this case is not in the cache", found=repr(case_id))
        return self._rows[case_id]

    def space(self, case_id: str) -> tuple[int, ...]:
        """The original shape of a case, (plane,) row, column."""
        return self._spaces[self.index(case_id)]

    def spacing(self, case_id: str) -> tuple[float, ...] | None:
        """The edges of a pixel of the original image in mm, (plane,) row, column; None = unknown."""
        return self.cases[self.index(case_id)].spacing

    def window(self, case_id: str) -> tuple[float, float]:
        """The stored values of the original image that became 0 and 1."""
        return self._windows[self.index(case_id)]


def open_cache(
    study: Study, size: Sequence[int], cases: Sequence[Case] | None = None, folder: Path | str | None = None
) -> DecodedCache:
    """The images of a study at one size; decoded now if they were not before.

    Args:
        study: the study.
        size: length of each axis, (plane,) row, column. The aspect ratio is not kept.
        cases: which of its cases; None: all.
        folder: where the cache lies; None: ``cache`` in the study folder.

    Returns:
        The cache, its images in the order of the cases.

    Raises:
        ConfigError: a size that does not have one length >= 1 per axis.
        ReadError: an image cannot be decoded, or is not what it was when the study was made.
        GeometryError: an image has another number of axes or channels than the study allows.
        StorageError: the cache cannot be written.

    Example:
        >>> import tempfile, PIL.Image
        >>> from tallymark.data.study import StudySettings
        >>> folder = Path(tempfile.mkdtemp())
        >>> PIL.Image.new("L", (40, 20), 100).save(folder / "a.png")
        >>> settings = StudySettings(name="demo", structures=("lesion",))
        >>> study = Study.create(folder / "study", settings, [Case("a", folder / "a.png")])
        >>> cache = open_cache(study, (2, 2))
        >>> cache.images[cache.index("a")][..., 0].tolist(), cache.space("a")
        ([[100, 100], [100, 100]], (20, 40))
    """
    size, cases = _checked(study, size, cases)
    settings = study.settings.image
    content = {
        "format": _FORMAT,
        "cases": [(case.id, case.sha256) for case in cases],
        "size": size,
        "channels": settings.channels,
        "window": settings.window,
    }

    def decode(case: Case) -> tuple[np.ndarray, tuple[int, ...], tuple[float, float], bool]:
        image = case.read()
        _check_axes(image.space, settings.dimension, case)
        try:
            pixels = normalise(image, settings.channels, settings.window)
        except GeometryError as error:
            raise GeometryError(error.what, where=case.image, found=error.found, remedy=error.remedy) from error
        deep = np.rint(resize_image(pixels, size) * 65535).clip(0, 65535).astype(np.uint16)
        window = settings.window or robust_window(image)
        return deep, image.space, window, image.pixels.dtype == np.uint8

    def build(path: Path) -> Mapping[str, Any]:
        shape = (len(cases), *size, settings.channels)
        remembered: dict[str, list[Any]] = {"spaces": [], "windows": []}
        shallow = True

        def rows() -> Iterator[np.ndarray]:
            nonlocal shallow
            for row, space, window, eight in _parallel(decode, cases):
                remembered["spaces"].append(space)
                remembered["windows"].append(window)
                shallow = shallow and eight
                yield row

        write_rows(path, rows(), shape, np.uint16)
        if shallow:
            deep = path.rename(path.with_name("deep.npy"))
            write_rows(path, map(_shallow, np.load(deep, mmap_mode="r")), shape, np.uint8)
            deep.unlink()
        return remembered

    images, about = stored_array(_root(study, folder, "cache"), content_key("images", content), build)
    windows = [(float(low), float(high)) for low, high in about["windows"]]
    return DecodedCache(images, cases, [tuple(space) for space in about["spaces"]], windows)


def truth_cache(
    study: Study, size: Sequence[int], cases: Sequence[Case] | None = None, folder: Path | str | None = None
) -> Bool[np.ndarray, "n k *size"]:
    """The full masks of a study at one size; besides :attr:`Study.truth` the only thing that opens them.

    Args:
        study: the study.
        size: length of each axis, (plane,) row, column.
        cases: which of its cases; None: all.
        folder: where the cache lies; None: ``truth-cache`` in the study folder.

    Returns:
        True in the foreground, by case and structure, in their order; memory-mapped and read-only.

    Raises:
        ConfigError: a size that does not have one length >= 1 per axis.
        StudyError: the study has no full masks, or none of a case and structure.
        ReadError: a mask cannot be decoded, or is not what it was when the study was made.
        GeometryError: a mask does not have the shape of its image.
        StorageError: the cache cannot be written.
    """
    size, cases = _checked(study, size, cases)
    truth = study.truth
    content = {
        "format": _FORMAT,
        "cases": [(case.id, [truth.fingerprint(case.id, name) for name in study.structures]) for case in cases],
        "size": size,
    }

    def decode(case: Case) -> np.ndarray:
        return np.stack([resize_mask(truth.mask(case, name), size) for name in study.structures])

    def build(path: Path) -> Mapping[str, Any]:
        write_rows(path, _parallel(decode, cases), (len(cases), len(study.structures), *size), np.bool_)
        return {}

    return stored_array(_root(study, folder, "truth-cache"), content_key("truth", content), build)[0]


def marks_at(
    study: Study,
    mark_set: str,
    cases: Sequence[Case] | None,
    size: Sequence[int],
    folder: Path | str | None = None,
) -> Bool[np.ndarray, "n channel *size"]:
    """The marks of a set at one size; no mark is lost (:func:`resize_marks`).

    Args:
        study: the study.
        mark_set: of the marks.
        cases: which of the study's cases; None: all.
        size: length of each axis, (plane,) row, column.
        folder: where the cache lies; None: ``cache`` in the study folder.

    Returns:
        True where marked: the structures in their order, then what was marked as none of them. Memory-mapped and
        read-only. Where a pixel at this size holds marks of a structure and of none, the structure has it.

    Raises:
        ConfigError: a size that does not have one length >= 1 per axis.
        StudyError: there is no such mark set.
        GeometryError: marks do not have the shape of their image (checked where the image is at hand).
        ReadError: the marks are damaged.
        StorageError: the cache cannot be written.
    """
    size, cases = _checked(study, size, cases)
    channels = (*study.structures, EXCLUDED)
    content = {
        "format": _FORMAT,
        "cases": [case.id for case in cases],
        "structures": study.structures,
        "marks": study.marks.fingerprint(mark_set, [case.id for case in cases]),
        "size": size,
    }

    def decode(case: Case) -> np.ndarray:
        stack = np.zeros((len(channels), *size), bool)
        for name, marks in study.marks.labels(case.id, mark_set).items():
            if case.image.exists() and marks.shape != (space := image_space(case.image)):
                raise GeometryError(
                    f"the marks on '{case.id}' do not have the shape of the image",
                    where=study.marks.place,
                    found=marks.shape,
                    expected=f"{space} as {case.image}",
                )
            _check_axes(marks.shape, len(size), case)
            if name in channels:
                stack[channels.index(name)] = resize_marks(marks, size)
        stack[-1] &= ~stack[:-1].any(axis=0)
        return stack

    def build(path: Path) -> Mapping[str, Any]:
        write_rows(path, _parallel(decode, cases), (len(cases), len(channels), *size), np.bool_)
        return {}

    return stored_array(_root(study, folder, "cache"), content_key("marks", content), build)[0]


def _checked(
    study: Study, size: Sequence[int], cases: Sequence[Case] | None
) -> tuple[tuple[int, ...], tuple[Case, ...]]:
    size = tuple(int(length) for length in size)
    dimension = study.settings.image.dimension
    if len(size) != dimension or min(size) < 1:
        expected = f"{dimension} lengths, {'plane, ' if dimension == 3 else ''}row, column"
        raise ConfigError("this size does not fit the study", where="size", found=size, expected=expected)
    return size, study.cases if cases is None else tuple(cases)


def _check_axes(space: tuple[int, ...], dimension: int, case: Case) -> None:
    if len(space) != dimension:
        raise GeometryError(
            "this image does not have the axes that the study says",
            where=case.image,
            found=f"shape {space}",
            expected=f"{dimension} axes",
            remedy="set image.dimension in study.toml, or save single planes as pictures",
        )


def _shallow(row: UInt16[np.ndarray, "*size c"]) -> np.ndarray:
    return (row + np.uint32(_STEP // 2)) // np.uint32(_STEP)


def _root(study: Study, folder: Path | str | None, name: str) -> Path:
    return study.folder / name if folder is None else Path(folder)


def _parallel(work: Callable[[Case], Any], cases: Sequence[Case]) -> Iterator[Any]:
    """The results in the order of the cases; decoders release the interpreter lock, so threads are enough."""
    with ThreadPoolExecutor() as pool:
        yield from pool.map(work, cases)
