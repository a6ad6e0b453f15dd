"""Images with label images that a data set's layout pairs and explains, made into a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NoReturn, TypeVar

import numpy as np

from tallymark.data.cases import Case
from tallymark.data.findings import some
from tallymark.data.images import file_sha256, read_image
from tallymark.data.settings import SPLITS, ImageSettings, SplitSettings, StudySettings
from tallymark.data.study import Study
from tallymark.data.truth import TruthRow
from tallymark.datasets.identical import join_identical
from tallymark.datasets.pairs import ImportReport, Track
from tallymark.datasets.volumes import read_label_grid, require_grid
from tallymark.errors import ReadError, StudyError, TallymarkError
from tallymark.measure.definition import Statistic

Codes = Mapping[str, tuple[int, ...]]
"""Structure to the labels whose union it is; no labels: every label but 0, as in images of numbered instances."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Labelled:
    """An image and its label image, both decoded once and found to fit.

    Args:
        case: with the digest of its image.
        labels: the label image.
        labels_sha256: its digest.
        found: the labels that occur.
        axes: number of space axes.
        coloured: whether the image has colour.
        source_sha256: digest of the volume that the image was cut from; empty where the image is the file as published.
    """

    case: Case
    labels: Path
    labels_sha256: str
    found: frozenset[int]
    axes: int
    coloured: bool = False
    source_sha256: str = ""


def look_at(case: Case, labels: Path, known: Collection[int] | None = None) -> Labelled:
    """Decode an image and its labels, and see that they fit.

    Args:
        case: its digest may be missing.
        labels: the label image.
        known: the labels that may occur; None for any.

    Returns:
        What was found.

    Raises:
        ReadError: a file cannot be read.
        GeometryError: they differ in shape or geometry.
        StudyError: a label that is not known.
    """
    image = read_image(case.image)
    values, geometry = read_label_grid(labels)
    require_grid(labels, values.shape, geometry, case.image, image.space, image.geometry)
    pixels = image.pixels
    return Labelled(
        case=replace(case, sha256=case.sha256 or file_sha256(case.image)),
        labels=labels,
        labels_sha256=file_sha256(labels),
        found=known_labels(values, known, labels),
        axes=len(image.space),
        coloured=pixels.shape[-1] == 3 and bool((pixels != pixels[..., :1]).any()),
    )


def known_labels(values: np.ndarray, known: Collection[int] | None, where: Path) -> frozenset[int]:
    """The labels that occur.

    Raises:
        StudyError: one of them is not known.
    """
    found = frozenset(np.unique(values).tolist())
    strange = sorted(found.difference(found if known is None else known))
    if strange:
        raise StudyError(
            "these labels have no meaning here",
            where=where,
            found=some(str(label) for label in strange),
            expected=", ".join(str(label) for label in sorted(known or ())),
            remedy="look whether this is the label image of that data set, as published",
        )
    return found


def each(
    items: Sequence[Item], work: Callable[[Item], Result], *, track: Track, what: str, workers: int = 4
) -> list[Result]:
    """Work through all items in threads and raise one error for all that failed.

    Args:
        items: to be worked through.
        work: what to do with each.
        track: shows progress.
        what: what to say where several fail.
        workers: threads.

    Returns:
        The results in the order of the items.

    Raises:
        TallymarkError: the one error, or one of the same class that names up to five.
    """

    def attempt(item: Item) -> Result | TallymarkError:
        try:
            return work(item)
        except TallymarkError as error:
            return error

    with ThreadPoolExecutor(max_workers=workers) as pool:
        futures = [pool.submit(attempt, item) for item in items]
        try:
            results = [future.result() for future in track(futures)]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    errors = [result for result in results if isinstance(result, TallymarkError)]
    if errors:
        raise_together(errors, what)
    return [result for result in results if not isinstance(result, TallymarkError)]


def raise_together(errors: Sequence[TallymarkError], what: str) -> NoReturn:
    """Raise one error that stands for several; the class and the remedy are those of the first."""
    if len(errors) == 1:
        raise errors[0]
    first = errors[0]
    listed = some(f"{error.where}: {error.what}" + (f" ({error.found})" if error.found else "") for error in errors)
    raise type(first)(what, found=f"{len(errors)}: {listed}", expected=first.expected, remedy=first.remedy)


def refuse_study(study: Path) -> None:
    """Refuse a folder that holds a study, before hours of work are spent on it.

    Raises:
        StudyError: there is one.
    """
    if (study / "study.toml").exists():
        raise StudyError("this folder holds a study already", where=study, remedy="choose another folder")


def require_folder(path: Path, expected: str, remedy: str = "name the unpacked folder") -> None:
    """Refuse a folder that is not there.

    Raises:
        ReadError: it is not.
    """
    if not path.is_dir():
        raise ReadError("there is no such folder", where=path, expected=expected, remedy=remedy)


def study_of_labelled(
    items: Sequence[Labelled],
    of: Codes,
    study: Path,
    *,
    name: str,
    window: tuple[float, float] | None = None,
    statistics: Iterable[Statistic] = (),
    split: SplitSettings | None = None,
    left_out: int = 0,
    notes: Iterable[str] = (),
) -> ImportReport:
    """Make a study of images that were looked at. Groups that share an identical image become one group.

    Args:
        items: the images.
        of: the structures and their labels.
        study: the study folder to make.
        name: of the study.
        window: the stored values that become 0 and 1.
        statistics: besides the share of the image that each structure covers, ``<structure>_fraction``.
        split: shares of the splits.
        left_out: images that the data set has and the study has not.
        notes: what the user should know.

    Returns:
        What was made.

    Raises:
        StudyError: no image, or a study that is there already.
        StorageError: the folder cannot be written.
    """
    if not items:
        raise StudyError("no image is left", where=study, remedy="look into the notes of the data set's layout")
    settings = StudySettings(
        name=name,
        structures=tuple(of),
        statistics=(
            *(Statistic(f"{structure}_fraction", "area_fraction", (structure,)) for structure in of),
            *statistics,
        ),
        image=ImageSettings(
            channels=3 if any(item.coloured for item in items) else 1, window=window, dimension=_dimension(items)
        ),
        split=split or SplitSettings(),
    )
    truth = [
        TruthRow(item.case.id, structure, item.labels, _codes(item, labels), item.labels_sha256)
        for item in items
        for structure, labels in of.items()
    ]
    groups, joined = join_identical(
        [item.case.group or item.case.id for item in items],
        [item.source_sha256 or item.case.sha256 for item in items],
    )
    cases = [replace(item.case, group=group) for item, group in zip(items, groups, strict=True)]
    made = Study.create(study, settings, cases, truth)
    present = {
        structure: [bool(item.found.intersection(_codes(item, labels))) for item in items]
        for structure, labels in of.items()
    }
    return ImportReport(
        study=study,
        cases=len(items),
        groups=len({case.group for case in made.cases}),
        with_structure={structure: sum(here) for structure, here in present.items()},
        empty=sum(not any(here) for here in zip(*present.values(), strict=True)),
        unmasked=0,
        several_masks=0,
        strata=dict(sorted(Counter(item.case.stratum for item in items).items())),
        splits={name: len(made.split(name)) for name in SPLITS},
        channels=settings.image.channels,
        left_out=left_out,
        notes=(*notes, *_joined(joined)),
    )


def _joined(groups: Sequence[tuple[str, ...]]) -> Iterable[str]:
    if groups:
        listed = some(" = ".join(names) for names in groups)
        yield f"Groups that share an identical image were joined, under the first name: {listed}."


def _codes(item: Labelled, labels: tuple[int, ...]) -> tuple[int, ...]:
    return labels or tuple(sorted(item.found - {0}))


def _dimension(items: Sequence[Labelled]) -> Literal[2, 3]:
    return 3 if items[0].axes == 3 else 2
