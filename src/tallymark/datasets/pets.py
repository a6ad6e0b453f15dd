"""Oxford-IIIT Pet: photographs of cats and dogs with the outline of the animal.

Parkhi, Vedaldi, Zisserman and Jawahar 2012, Cats and dogs, CVPR, doi:10.1109/CVPR.2012.6248092.
"""

from __future__ import annotations

from pathlib import Path

from tallymark.data.cases import Case
from tallymark.data.findings import some
from tallymark.data.settings import SplitSettings
from tallymark.datasets.labelled import Labelled, each, look_at, refuse_study, study_of_labelled
from tallymark.datasets.pairs import ImportReport, Track
from tallymark.errors import ConfigError, ReadError, StudyError

BORDERS = ("includes", "excludes")

PET, BACKGROUND, BORDER = 1, 2, 3
_SPECIES = {"1": "cat", "2": "dog"}
_INNER = "oxford-iiit-pet"


def import_pets(
    folder: Path | str,
    study: Path | str,
    *,
    border: str = "includes",
    skip_unreadable: bool = False,
    split: SplitSettings | None = None,
    track: Track = iter,
) -> ImportReport:
    """Make a study of the photographs of ``annotations/list.txt``; the originals stay where they are.

    The structure is ``pet``, the stratum the breed. No pet is known to be on two photographs: each is a group.

    Args:
        folder: with ``images/*.jpg`` and ``annotations``, or the folder around ``oxford-iiit-pet``.
        study: the study folder to make.
        border: whether the pet includes the border of the trimap, a band of some pixels along the outline that its
            makers left open. It does here as in most segmentation benchmarks on this set.
        skip_unreadable: leave out photographs that cannot be read (damaged, or not the JPEG that they are called), and
            name them in the notes.
        split: shares of the splits.
        track: wraps the photographs while they are read, to show progress.

    Returns:
        What was made.

    Raises:
        ReadError: this is not the data set, or a file cannot be read.
        StudyError: the list cannot be read, labels that the set does not have, a study that is there already.
        GeometryError: a photograph and its trimap of different size.
        ConfigError: an option out of range.
    """
    folder, study = Path(folder), Path(study)
    if border not in BORDERS:
        raise ConfigError(
            "what the border is, is not clear", where="border", found=repr(border), expected=" or ".join(BORDERS)
        )
    refuse_study(study)
    root = folder / _INNER if (folder / _INNER).is_dir() else folder

    def look(entry: tuple[str, str]) -> Labelled | str:
        name, breed = entry
        case = Case(name, root / "images" / f"{name}.jpg", group=name, stratum=breed)
        try:
            return look_at(case, root / "annotations" / "trimaps" / f"{name}.png", (PET, BACKGROUND, BORDER))
        except ReadError as error:
            if not skip_unreadable:
                remedy = "copy it again, or leave such files out with --skip-unreadable"
                raise ReadError(
                    error.what, where=error.where, found=error.found, expected=error.expected, remedy=remedy
                ) from error
            return case.image.name

    looks = each(_listed(root), look, track=track, what="some photographs cannot be used")
    items = [look for look in looks if isinstance(look, Labelled)]
    skipped = [look for look in looks if isinstance(look, str)]
    return study_of_labelled(
        items,
        {"pet": (PET,) if border == "excludes" else (PET, BORDER)},
        study,
        name="pets",
        split=split,
        left_out=len(skipped),
        notes=[f"{len(skipped)} that cannot be read were left out: {some(skipped)}."] if skipped else [],
    )


def _listed(root: Path) -> list[tuple[str, str]]:
    """Name and breed of every photograph of the list."""
    path = root / "annotations" / "list.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(
            "this is not the Oxford-IIIT Pet data set",
            where=root,
            found=f"{path.name}: {error}",
            expected="the folders images and annotations with annotations/list.txt",
            remedy="name the folder that was unpacked, or fetch it with --download",
        ) from error
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) != 4 or words[2] not in _SPECIES or words[0] in listed:
            raise StudyError(
                "this line of the list cannot be read",
                where=f"{path}, line {number}",
                found=repr(line),
                expected="NAME CLASS SPECIES BREED, species 1 or 2, each name once",
            )
        listed[words[0]] = f"{_SPECIES[words[2]]}/{words[0].rpartition('_')[0]}"
    if not listed:
        raise StudyError("the list names no photograph", where=path)
    return list(listed.items())
