"""Marks that people made in any tool, brought in as label images: which label is what is said, never guessed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Integer

from tallymark.data.findings import counted, some
from tallymark.data.formats import SUFFIXES, VOLUMES, suffix_of
from tallymark.data.images import image_space
from tallymark.data.marks import EXCLUDED, MarkStore
from tallymark.data.study import Case, Study
from tallymark.datasets.labelled import each, require_folder
from tallymark.datasets.pairs import Track
from tallymark.datasets.volumes import read_label_grid, require_grid
from tallymark.errors import ConfigError, ReadError, StudyError


@dataclass(frozen=True)
class LabelMarksReport:
    """What :func:`import_marks` stored.

    Args:
        mark_set: the set of the marks.
        images: label images that were read.
        marked: images with at least one mark.
        structures: how many images have marks of each structure ("(none of these)" among them).
        without_file: cases of the study that had no label image.
    """

    mark_set: str
    images: int
    marked: int
    structures: Mapping[str, int]
    without_file: int

    def __str__(self) -> str:
        counts = ", ".join(f"{count} with {name}" for name, count in self.structures.items())
        images = counted(self.images, "label image")
        text = f"marks on {self.marked} of {images}, now in the set '{self.mark_set}': {counts}"
        return text + (f"\nno label image of {counted(self.without_file, 'case')}" if self.without_file else "")


@dataclass(frozen=True)
class Pixels:
    """Marked pixels of one structure on one image, kept small.

    Args:
        case_id: of the image.
        structure: what was marked.
        shape: of the image.
        flat: where, counted along the flattened image.
    """

    case_id: str
    structure: str
    shape: tuple[int, ...]
    flat: Int[np.ndarray, " n"]

    def raster(self) -> Bool[np.ndarray, "*space"]:
        """True where marked."""
        marked = np.zeros(self.shape, bool)
        marked.reshape(-1)[self.flat] = True
        return marked


def import_marks(
    study: Study,
    folder: Path | str,
    mark_set: str,
    codes: Mapping[int, str],
    *,
    unmarked: Collection[int] = (0,),
    allow_missing: bool = False,
    author: str = "",
    track: Track = iter,
) -> LabelMarksReport:
    """Take label images as a new set of real marks, all of them or none.

    A file belongs to the case that it is called like: ``scan7.png`` or ``scan7.nii.gz`` to the case ``scan7``.

    Args:
        study: whose cases are marked.
        folder: with the label images, its sub-folders not.
        mark_set: what to call the set. There must be none of this name: real marks are never replaced.
        codes: what each label means: a structure of the study, or :data:`tallymark.data.marks.EXCLUDED` for "none of
            these"; see :func:`parse_label_codes`.
        unmarked: the labels that mean nothing at all. They are not background.
        allow_missing: cases may have no label image.
        author: who marked.
        track: wraps the files while they are read, to show progress.

    Returns:
        What was stored.

    Raises:
        ConfigError: no label is explained, or one in two ways.
        StudyError: a file of no case, two files of one case, a case without file, a label that is not explained, an
            unknown structure, or a set of this name.
        ReadError: a file cannot be read.
        GeometryError: labels that do not lie on their image: shape, and of volumes origin, direction and spacing.
    """
    folder = Path(folder)
    _check_codes(study, codes, unmarked)
    require_new_set(study.marks, mark_set)
    files = _files(study, folder, allow_missing)
    known = {*codes, *unmarked}

    def read(entry: tuple[Case, Path]) -> list[Pixels]:
        case, path = entry
        labels, geometry = read_label_grid(path)
        if suffix_of(case.image) in VOLUMES:
            image = case.read()
            require_grid(path, labels.shape, geometry, case.image, image.space, image.geometry)
        else:
            require_grid(path, labels.shape, geometry, case.image, image_space(case.image), None)
        strange = sorted(set(np.unique(labels).tolist()) - known)
        if strange:
            raise StudyError(
                "labels that were not explained",
                where=path,
                found=some(str(label) for label in strange),
                expected=", ".join(str(label) for label in sorted(known)),
                remedy="say what they mean: --codes STRUCTURE=LABEL, --none-of-these LABEL or --unmarked LABEL",
            )
        return pixels_of(case.id, labels, codes)

    marks = [
        mark for found in each(files, read, track=track, what="some label images cannot be used") for mark in found
    ]
    if not marks:
        raise StudyError(
            "nothing is marked in these label images",
            where=folder,
            found=f"{len(files)} files with the labels {', '.join(str(label) for label in sorted(unmarked))} alone",
            remedy="look whether these are the files with the marks",
        )
    add_marks(study, mark_set, marks, author=author)
    return LabelMarksReport(
        mark_set=mark_set,
        images=len(files),
        marked=len({mark.case_id for mark in marks}),
        structures={
            name: sum(mark.structure == name for mark in marks)
            for name in (*study.structures, EXCLUDED)
            if name in codes.values()
        },
        without_file=len(study.cases) - len(files),
    )


def parse_label_codes(codes: Sequence[str], none_of_these: Sequence[int] = ()) -> dict[int, str]:
    """Read what the labels mean.

    Args:
        codes: each ``STRUCTURE=LABEL`` or ``STRUCTURE=LABEL+LABEL``.
        none_of_these: labels that mean "none of the structures".

    Returns:
        Label to structure; :data:`tallymark.data.marks.EXCLUDED` for ``none_of_these``.

    Raises:
        ConfigError: it cannot be read so, or a label means two things.

    Example:
        >>> parse_label_codes(["kidney=1+3", "tumour=2"], [4])
        {1: 'kidney', 3: 'kidney', 2: 'tumour', 4: '(none of these)'}
    """
    meaning: dict[int, str] = {}
    pairs: list[tuple[str, str]] = []
    for text in codes:
        structure, equals, labels = (part.strip() for part in text.rpartition("="))
        if not structure or not equals or not re.fullmatch(r"-?\d+(\s*\+\s*-?\d+)*", labels):
            raise ConfigError(
                "these codes cannot be read", found=repr(text), expected="STRUCTURE=LABEL, as in lesion=1"
            )
        pairs += [(structure, label) for label in labels.split("+")]
    pairs += [(EXCLUDED, str(label)) for label in none_of_these]
    for structure, label in pairs:
        code = int(label)
        if code in meaning:
            raise ConfigError(
                f"the label {code} means two things",
                found=f"{meaning[code]} and {structure}",
                remedy="keep one of them",
            )
        meaning[code] = structure
    return meaning


def pixels_of(case_id: str, labels: Integer[np.ndarray, "*space"], codes: Mapping[int, str]) -> list[Pixels]:
    """The marked pixels of every structure that is marked.

    Args:
        case_id: of the image.
        labels: the label image.
        codes: structure of each label; other labels are passed over.

    Returns:
        One entry for each structure with at least one pixel.

    Example:
        >>> marks = pixels_of("a", np.array([[0, 1], [2, 1]]), {1: "lesion", 3: "cyst"})
        >>> [(mark.structure, mark.raster().tolist()) for mark in marks]
        [('lesion', [[False, True], [False, True]])]
    """
    labels_of: dict[str, list[int]] = defaultdict(list)
    for label, structure in codes.items():
        labels_of[structure].append(label)
    marks = (
        Pixels(case_id, structure, labels.shape, np.flatnonzero(np.isin(labels, wanted)))
        for structure, wanted in labels_of.items()
    )
    return [mark for mark in marks if mark.flat.size]


def require_new_set(store: MarkStore, mark_set: str) -> None:
    """Refuse a mark set that is there, before work is spent on it.

    Raises:
        StudyError: there is one of this name.
        ReadError: the marks cannot be read.
    """
    there = store.sets().get(mark_set)
    if there is not None:
        raise StudyError(
            f"there is a mark set '{mark_set}' already",
            where=store.place,
            found=f"{there.marks} {there.origin} marks",
            remedy="choose another name; imported marks never replace others",
        )


def add_marks(study: Study, mark_set: str, marks: Iterable[Pixels], *, author: str) -> None:
    """Store real marks in one transaction.

    Raises:
        StudyError: an unknown case or structure; nothing is stored then.
        StorageError: the file cannot be written; nothing is stored then.
    """
    with study.marks.batch():
        for mark in marks:
            study.marks.add_raster(mark.case_id, mark_set, mark.structure, mark.raster(), author=author, origin="real")


def _check_codes(study: Study, codes: Mapping[int, str], unmarked: Collection[int]) -> None:
    if not codes:
        raise ConfigError("no label is explained", remedy="say which label is what, as in --codes lesion=1")
    both = sorted(set(codes).intersection(unmarked))
    if both:
        raise ConfigError(
            f"the label {both[0]} means two things",
            found=f"{codes[both[0]]} and unmarked",
            remedy="say with --unmarked which label means nothing",
        )
    unknown = [name for name in codes.values() if name not in (*study.structures, EXCLUDED)]
    if unknown:
        expected = ", ".join(study.structures)
        raise StudyError("unknown structure", where="codes", found=repr(unknown[0]), expected=expected)


def _files(study: Study, folder: Path, allow_missing: bool) -> list[tuple[Case, Path]]:
    """Every case with its label image, in the order of the study."""
    require_folder(folder, "the folder of the label images", "name the folder that holds them")
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if suffix_of(path) in SUFFIXES and path.is_file() and not path.name.startswith("."):
            by_name[path.name[: len(path.name) - len(suffix_of(path))]].append(path)
    if not by_name:
        raise ReadError("no image is in this folder", where=folder, expected=f"files ending in {', '.join(SUFFIXES)}")
    ids = [case.id for case in study.cases]
    strangers = sorted(set(by_name).difference(ids))
    twice = sorted(name for name, paths in by_name.items() if len(paths) > 1)
    missing = [] if allow_missing else [id for id in ids if id not in by_name]
    problems = (
        ("label images of no case of the study", strangers, "name each file after the id of its case, or move it away"),
        ("cases with several label images", twice, "keep one of them"),
        ("cases without a label image", missing, "add them, or say that some may be missing with --allow-missing"),
    )
    wrong = [(what, names, remedy) for what, names, remedy in problems if names]
    if wrong:
        raise StudyError(
            "label images and cases do not pair up",
            where=folder,
            found="; ".join(f"{len(names)} {what}: {some(names)}" for what, names, _ in wrong),
            remedy="; ".join(remedy for _, _, remedy in wrong),
        )
    return [(case, by_name[case.id][0]) for case in study.cases if case.id in by_name]
