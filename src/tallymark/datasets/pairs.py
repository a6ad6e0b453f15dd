"""Images and their full masks, paired by name, made into a study."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tallymark.data.cases import Case
from tallymark.data.findings import counted, some
from tallymark.data.group_table import read_group_table, without_group
from tallymark.data.settings import SPLITS, ImageSettings, SplitSettings, StudySettings
from tallymark.data.study import Study
from tallymark.data.truth import TruthRow
from tallymark.datasets.inspection import Look, Track, dimension_of, look_at_all
from tallymark.datasets.naming import MASK_ENDINGS, Pair, pair_files
from tallymark.errors import ConfigError, StudyError
from tallymark.measure.definition import Statistic

__all__ = ["MASK_ENDINGS", "ImportReport", "Pair", "Track", "import_pairs", "pair_files", "parse_codes"]


@dataclass(frozen=True)
class ImportReport:
    """What an import made.

    Args:
        study: the study folder.
        cases: number of images.
        groups: number of groups (patients).
        with_structure: images in which each structure is present.
        empty: images whose masks are all empty.
        unmasked: images without any mask.
        several_masks: images with more than one mask file.
        strata: number of images in each sub-folder.
        splits: number of images in each split.
        channels: 1 (grey) or 3 (RGB).
        left_out: images that were left out because their masks are empty.
        notes: what the user should know, one sentence each.
    """

    study: Path
    cases: int
    groups: int
    with_structure: Mapping[str, int]
    empty: int
    unmasked: int
    several_masks: int
    strata: Mapping[str, int]
    splits: Mapping[str, int]
    channels: int
    left_out: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        present = ", ".join(f"{count} with {structure}" for structure, count in self.with_structure.items())
        parts = [f"{counted(self.cases, 'image')} of {counted(self.groups, 'group')}: {present}"]
        parts += [
            f"{count} {what}"
            for count, what in ((self.empty, "with empty masks"), (self.unmasked, "without masks"))
            if count
        ]
        splits = ", ".join(f"{name} {count}" for name, count in self.splits.items())
        return "\n".join([", ".join(parts), f"splits: {splits}", *self.notes])


def import_pairs(
    images: Path | str,
    masks: Path | str | None,
    study: Path | str,
    *,
    groups: Path | str | None = None,
    structure: str = "lesion",
    codes: Mapping[str, Sequence[int]] | None = None,
    endings: Sequence[str] = MASK_ENDINGS,
    recursive: bool = True,
    strata: Collection[str] | None = None,
    allow_missing: bool = False,
    skip_empty: bool = False,
    name: str | None = None,
    channels: Literal[1, 3] | None = None,
    keep_spacing: bool = True,
    split: SplitSettings | None = None,
    statistics: Sequence[Statistic] = (),
    overwrite: bool = False,
    track: Track = iter,
) -> ImportReport:
    """Make a study of images and masks that are paired by name (:func:`pair_files`).

    Every file is decoded once, so that nothing unreadable is found later. The originals stay where they are.

    Args:
        images: folder of the images; sub-folders become strata.
        masks: folder of the masks; None if they lie among the images.
        study: the study folder to make.
        groups: CSV with the columns ``id`` and ``group`` (more are allowed): images of one group, as a rule of one
            patient, stay in one split. None: each image is a group of its own.
        structure: what the masks show, where ``codes`` is not given.
        codes: structure to its labels, for label images; see :func:`parse_codes`.
        endings: what may follow an image's name in the name of its mask.
        recursive: look into sub-folders too.
        strata: take the images of these sub-folders only; None for all.
        allow_missing: keep images without a mask.
        skip_empty: leave out images whose masks are all empty.
        name: of the study; None for the name of its folder.
        channels: 1 or 3; None for 3 if any image has colour, else 1.
        keep_spacing: believe the spacing in the headers of volumes; False where they hold placeholders.
        split: shares of the splits and the seed that deals the groups.
        statistics: more of them, as a ratio of two structures.
        overwrite: replace the study that is there; its marks and runs are kept.
        track: wraps the images while they are read, to show progress.

    Returns:
        What was made. The study has one statistic per structure, ``<structure>_fraction``, before any others, and no
        numbers yet.

    Raises:
        ReadError: a folder or file cannot be read; up to five are named.
        StudyError: names that do not pair up, an image without a group, or a study that is there already.
        GeometryError: images and masks that differ in size or geometry; up to five are named.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from tallymark.datasets.phantom import write_phantoms
        >>> with TemporaryDirectory() as folder:
        ...     root = write_phantoms(Path(folder), 10, size=32, normals=0.0)
        ...     report = import_pairs(root / "images", root / "masks", root / "study", groups=root / "groups.csv")
        >>> report.cases, report.with_structure, report.channels
        (10, {'lesion': 10}, 1)
    """
    pairs = pair_files(images, masks, endings=endings, recursive=recursive, allow_missing=allow_missing)
    if strata is not None:
        pairs = [pair for pair in pairs if pair.stratum in strata]
    study = Path(study)
    of = {structure: ()} if codes is None else {name: tuple(labels) for name, labels in codes.items()}
    group_of = {pair.id: pair.id for pair in pairs} if groups is None else read_groups(Path(groups), pairs)
    looks = look_at_all(pairs, of, track)
    kept = [look for look in looks if not (skip_empty and look.pair.masks and not any(look.present.values()))]
    if not kept:
        raise StudyError(
            "no image is left", found=f"{len(looks)} images, all with empty masks", remedy="keep empty masks"
        )
    if channels is None:
        channels = 3 if any(look.coloured for look in kept) else 1
    settings = StudySettings(
        name=name or study.resolve().name,
        structures=tuple(of),
        statistics=(*(Statistic(f"{one}_fraction", "area_fraction", (one,)) for one in of), *statistics),
        image=ImageSettings(channels=channels, dimension=dimension_of(kept)),
        split=split or SplitSettings(),
    )
    cases = [
        Case(
            id=look.pair.id,
            image=look.pair.image,
            sha256=look.sha256,
            group=group_of[look.pair.id],
            stratum=look.pair.stratum,
            spacing=look.spacing if keep_spacing else None,
        )
        for look in kept
    ]
    truth = [
        TruthRow(look.pair.id, structure, path.resolve(), labels)
        for look in kept
        for structure, labels in of.items()
        for path in look.pair.masks
    ]
    made = Study.create(study, settings, cases, truth if truth else None, overwrite=overwrite)
    return ImportReport(
        study=study,
        cases=len(kept),
        groups=len({case.group for case in cases}),
        with_structure={structure: sum(look.present[structure] for look in kept) for structure in of},
        empty=sum(bool(look.pair.masks) and not any(look.present.values()) for look in kept),
        unmasked=sum(not look.pair.masks for look in kept),
        several_masks=sum(len(look.pair.masks) > 1 for look in kept),
        strata=dict(sorted(Counter(look.pair.stratum for look in kept).items())),
        splits={name: len(made.split(name)) for name in SPLITS},
        channels=channels,
        left_out=len(looks) - len(kept),
        notes=tuple(_notes(kept, cases, of, groups)),
    )


def parse_ratio(text: str) -> Statistic:
    """Read a ratio of structures.

    Args:
        text: for example ``fat/fat+muscle``.

    Returns:
        The statistic, called by what is above the line: ``fat_ratio``.

    Raises:
        ConfigError: it cannot be read so.

    Example:
        >>> ratio = parse_ratio("fat/fat+muscle")
        >>> ratio.name, ratio.of, ratio.over
        ('fat_ratio', ('fat',), ('fat', 'muscle'))
    """
    of, line, over = ([part.strip() for part in side.split("+")] for side in text.partition("/"))
    if line != ["/"] or not all([*of, *over]):
        raise ConfigError(
            "the ratio cannot be read", found=repr(text), expected="STRUCTURE[+STRUCTURE...]/STRUCTURE[+STRUCTURE...]"
        )
    return Statistic(f"{'_'.join(of)}_ratio", "area_ratio", tuple(of), tuple(over))


def parse_codes(text: str) -> dict[str, tuple[int, ...]]:
    """Read which labels of a label image belong to which structure.

    Args:
        text: for example ``kidney=1+2,tumour=2``: structures may share labels, 0 is the background.

    Returns:
        Structure to labels, in the order of the text.

    Raises:
        ConfigError: it cannot be read so, or a structure is there twice.

    Example:
        >>> parse_codes("kidney=1+2, tumour=2")
        {'kidney': (1, 2), 'tumour': (2,)}
    """
    codes: dict[str, tuple[int, ...]] = {}
    for part in text.split(","):
        structure, _, labels = (piece.strip() for piece in part.partition("="))
        numbers = [label.strip() for label in labels.split("+")]
        wrong = not structure or structure in codes or not all(n.isdecimal() and int(n) > 0 for n in numbers)
        if wrong:
            expected = "STRUCTURE=LABEL[+LABEL...], each structure once, labels above 0"
            raise ConfigError("the codes cannot be read", found=repr(text), expected=expected)
        codes[structure] = tuple(int(number) for number in numbers)
    return codes


def read_groups(path: Path, pairs: Sequence[Pair]) -> dict[str, str]:
    """The group of every image, from a table with the columns id and group.

    Args:
        path: the table, a CSV file.
        pairs: the images; the table may name others as well.

    Returns:
        Group by id.

    Raises:
        ReadError: the table cannot be read.
        StudyError: an image without a group, or in two.
    """
    group_of = read_group_table(path)
    missing = [pair.id for pair in pairs if pair.id not in group_of]
    if missing:
        raise without_group(path, missing)
    return group_of


def _notes(
    looks: Sequence[Look], cases: Sequence[Case], of: Mapping[str, tuple[int, ...]], groups: Path | str | None
) -> Iterable[str]:
    if groups is None:
        yield (
            "No groups were given: each image counts as a patient of its own. If patients have several images, give a "
            "table of groups, or the scores will flatter."
        )
    groups_with: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        groups_with[case.sha256].add(case.group)
    twins = [case.id for case in cases if len(groups_with[case.sha256]) > 1]
    if twins:
        yield f"{len(twins)} images are the same file as an image of another group: {some(twins)}."
    strange = sorted(set().union(*(look.strange_labels for look in looks)))
    if strange and any(of.values()):
        yield f"Labels that belong to no structure: {some(str(label) for label in strange)}."
