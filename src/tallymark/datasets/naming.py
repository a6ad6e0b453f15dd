"""Which mask belongs to which image, by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tallymark.data.findings import some
from tallymark.data.matching import list_images, stem_of
from tallymark.errors import ConfigError, StudyError

MASK_ENDINGS: tuple[str, ...] = ("mask", "segmentation", "seg", "labels", "label", "gt", "annotation")
"""What is put behind an image's name to name its mask, after ``_``, ``-`` or a blank; a number may follow."""


@dataclass(frozen=True)
class Pair:
    """An image and its masks.

    Args:
        id: the image's file name without its suffix.
        image: path of the image.
        masks: paths of its masks, whose union counts; empty if it has none.
        stratum: sub-folder of the image inside the folder that was searched, with ``/``; empty at its top.
    """

    id: str
    image: Path
    masks: tuple[Path, ...]
    stratum: str


def pair_files(
    images: Path | str,
    masks: Path | str | None = None,
    *,
    endings: Sequence[str] = MASK_ENDINGS,
    recursive: bool = True,
    allow_missing: bool = False,
) -> list[Pair]:
    """Pair images and masks by name.

    A mask is called like its image, or like its image and ``_mask``, ``-seg``, ``_label``, ``_gt`` ... (``endings``,
    in any case), perhaps with a number (``_mask_1``): several masks of one image are a union. In a common folder a
    file is a mask if another file bears its name without the ending. Sub-folders do not matter for pairing; the
    sub-folder of the image becomes its stratum. Files that are no images, and hidden ones, are passed over.

    Args:
        images: folder of the images.
        masks: folder of the masks; None if they lie among the images. One folder may lie inside the other.
        endings: what may follow ``_``, ``-`` or a blank in the name of a mask.
        recursive: look into sub-folders too.
        allow_missing: keep images without a mask; ``masks`` of the pair is then empty.

    Returns:
        Pairs in the natural order of their ids (2 before 10).

    Raises:
        ReadError: a folder that is not there or holds no image.
        StudyError: an image without a mask, a mask without an image, two images of one name, or masks of one image in
            several folders (are they several structures?); up to five of each are named.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("a.png", "a_mask.png", "a_mask_1.png", "b.jpg", "b-GT.png"):
        ...         (Path(folder) / name).touch()
        ...     [(pair.id, [mask.name for mask in pair.masks]) for pair in pair_files(folder)]
        [('a', ['a_mask.png', 'a_mask_1.png']), ('b', ['b-GT.png'])]
    """
    images = Path(images)
    masks = None if masks is None else Path(masks)
    ending = _ending_pattern(endings)
    if masks is None or masks.resolve() == images.resolve():
        found = list_images(images, recursive=recursive)
        stems, owners = {stem_of(path) for path in found}, {_owner(path, ending) for path in found}
        # A name with the ending of a mask that nothing stands behind is a mask whose image is missing, not an image.
        mask_files = [
            path
            for path in found
            if (owner := _owner(path, ending)) is not None and (owner in stems or stem_of(path) not in owners)
        ]
        among_masks = set(mask_files)
        image_files = [path for path in found if path not in among_masks]
        where = str(images)
    else:
        image_files = _without(list_images(images, recursive=recursive), masks, inside=images)
        mask_files = _without(list_images(masks, recursive=recursive), images, inside=masks)
        where = f"{images} and {masks}"
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in image_files:
        by_name[stem_of(path)].append(path)
    owned: dict[str, list[Path]] = defaultdict(list)
    strangers = []
    for path in mask_files:
        owner = _owner(path, ending)
        # The whole name first: in a folder of its own a mask may be called exactly as its image.
        name = next((n for n in (stem_of(path), owner) if n in by_name and (masks is not None or n == owner)), None)
        if name is None:
            strangers.append(path.name)
        else:
            owned[name].append(path)
    without = [] if allow_missing else [paths[0].name for name, paths in by_name.items() if name not in owned]
    _refuse(
        "images and masks do not pair up",
        where,
        {
            "image without a mask": without,
            "mask without an image": strangers,
            "name shared by several images": [name for name, paths in by_name.items() if len(paths) > 1],
            "image with masks in several folders": [
                n for n, paths in owned.items() if len({p.parent for p in paths}) > 1
            ],
        },
    )
    return sorted(
        (
            Pair(name, paths[0], tuple(sorted(owned[name], key=_natural)), _stratum(paths[0], images))
            for name, paths in by_name.items()
        ),
        key=lambda pair: _natural(pair.image),
    )


_REMEDIES = {
    "image without a mask": "add the mask, or allow images without one",
    "mask without an image": "rename it after its image (NAME_mask.png) or move it away",
    "name shared by several images": "rename them so that every name is unique",
    "image with masks in several folders": "import one structure, the masks of one folder, at a time",
}


def _refuse(what: str, where: str, problems: dict[str, list[str]]) -> None:
    """One error for all that is wrong, with up to five names of each kind."""
    wrong = {kind: names for kind, names in problems.items() if names}
    if wrong:
        raise StudyError(
            what,
            where=where,
            found="; ".join(f"{len(names)} x {kind}: {some(names)}" for kind, names in wrong.items()),
            remedy="; ".join(_REMEDIES[kind] for kind in wrong),
        )


def _without(files: list[Path], other: Path, *, inside: Path) -> list[Path]:
    """Leave out the files of the other folder where it lies inside this one."""
    other, inside = other.resolve(), inside.resolve()
    if inside not in other.parents:
        return files
    return [path for path in files if other not in path.resolve().parents]


def _ending_pattern(endings: Sequence[str]) -> re.Pattern[str]:
    if not endings or not all(endings):
        raise ConfigError("no ending of the masks' names is given", expected="for example mask, seg")
    return re.compile(rf"(.+)[_\- ](?:{'|'.join(re.escape(e.strip('_- ')) for e in endings)})(?:[_\- ]?\d+)?", re.I)


def _owner(path: Path, ending: re.Pattern[str]) -> str | None:
    """The name of the image that a mask's name points to."""
    match = ending.fullmatch(stem_of(path))
    return None if match is None else match[1]


def _natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sort key that counts: ``2`` before ``10``."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", stem_of(path)) if part
    )


def _stratum(path: Path, folder: Path) -> str:
    parent = path.parent.relative_to(folder).as_posix()
    return "" if parent == "." else parent
