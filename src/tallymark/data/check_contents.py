"""Looking into the images and marks of a study, and at what its numbers and splits can teach."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from tallymark.data.cases import Case
from tallymark.data.findings import Finding, Severity, counted, some
from tallymark.data.images import image_space, read_image
from tallymark.data.marks import EXCLUDED, MarkSet, MarkStore
from tallymark.data.near_duplicates import thumbnail
from tallymark.data.numbers import RECORDED, Number, NumberRow
from tallymark.data.room import has_room
from tallymark.data.settings import SPLITS, StudySettings
from tallymark.errors import TallymarkError
from tallymark.measure.definition import Statistic

FEW_GROUPS = 5
"""A split of fewer groups than this says little about anything."""


@dataclass(frozen=True)
class Look:
    """What is kept of an image that was opened.

    Args:
        space: its shape; None if it could not be opened.
        thumbnail: see :func:`tallymark.data.near_duplicates.thumbnail`; None if there is none.
        finding: what is wrong with it.
    """

    space: tuple[int, ...] | None = None
    thumbnail: Float32[np.ndarray, "*small"] | None = None
    finding: Finding | None = None


def look_at_images(cases: Sequence[Case], settings: StudySettings, *, opened: bool) -> list[Look]:
    """Find images that are missing, have changed, cannot be decoded or do not fit the study.

    Args:
        cases: whose images they are.
        settings: of the study.
        opened: whether to decode them; else only that they are there is looked at.

    Returns:
        One look per case.
    """

    def look(case: Case) -> Look:
        if not case.image.is_file():
            what = f"the image of the case '{case.id}' is missing"
            remedy = "put it back, or correct its path in cases.csv, or take the case out"
            return Look(finding=Finding("error", "images", str(case.image), what, remedy))
        if not opened:
            return Look()
        try:
            # A digest that is none is reported with its row; the image may be sound.
            image = case.read() if case.sha256.strip("0") else read_image(case.image)
            small = thumbnail(image)
        except TallymarkError as error:
            return Look(finding=Finding.of(error, "images"))
        if len(image.space) != settings.image.dimension:
            what, found = "the image is of another dimension than the study", f"{len(image.space)}-D"
            remedy = "take the case out, or make a study of its own"
            expected = f"{settings.image.dimension}-D"
            return Look(finding=Finding("error", "images", str(case.image), what, remedy, found, expected))
        return Look(image.space, small)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(look, cases))


def check_splits(cases: Sequence[Case], settings: StudySettings, where: str) -> list[Finding]:
    """Splits that are empty though they have a share, or too small to say anything."""
    findings = []
    for name in SPLITS:
        groups = {case.group for case in cases if case.split == name}
        remedy = "add images, or correct the splits in cases.csv or their shares in study.toml"
        if not groups and settings.split.shares[name] > 0:
            severity: Severity = "error" if name == "train" else "warning"
            findings.append(Finding(severity, "splits", where, f"the split '{name}' is empty", remedy))
        elif groups and len(groups) < FEW_GROUPS:
            what = f"the split '{name}' is so small that its figures are chance"
            found = counted(len(groups), "group")
            findings.append(Finding("warning", "splits", where, what, remedy, found, f"{FEW_GROUPS} or more"))
    return findings


def check_marks(
    store: MarkStore, cases: Sequence[Case], looks: Sequence[Look], statistics: Sequence[Statistic], numbers: Numbers
) -> tuple[list[Finding], set[tuple[str, str]]]:
    """Marks that do not fit their images, each other or the kept numbers.

    Args:
        store: of the marks.
        cases: of the study.
        looks: at their images.
        statistics: what the numbers mean.
        numbers: by case id and statistic, canonical.

    Returns:
        The findings, and which (case, structure) bear a mark.
    """
    findings: list[Finding] = []
    marked: set[tuple[str, str]] = set()
    by_id = {case.id: (case, look) for case, look in zip(cases, looks, strict=True)}
    try:
        sets = store.sets()
        held = [(kept, case_id) for kept in sets.values() for case_id in store.case_ids(kept.name)]
    except TallymarkError as error:
        return [Finding.of(error, "marks")], marked
    for kept, case_id in held:
        where = f"{store.place}, mark set '{kept.name}', case '{case_id}'"
        if case_id not in by_id:
            what, remedy = "these marks are of a case that is not in the study", "put the case back into cases.csv"
            findings.append(Finding("warning", "marks", where, what, remedy))
            continue
        case, look = by_id[case_id]
        try:
            labels = store.labels(case_id, kept.name)
            space = look.space or image_space(case.image)
        except TallymarkError as error:
            if look.finding is None:  # an image that cannot be read is reported already
                findings.append(Finding.of(error, "marks"))
            continue
        marked |= {(case_id, structure) for structure, mask in labels.items() if mask.any()}
        findings += _misfits(labels, space, where)
        if all(mask.shape == space for mask in labels.values()):
            findings += _contradictions(labels, case, kept, where, statistics, numbers)
    return findings, marked


Numbers = Mapping[tuple[str, str], Number]


def kept_numbers(rows: Iterable[NumberRow], statistics: Sequence[Statistic]) -> dict[tuple[str, str], Number]:
    """The numbers that marks are held against: the recorded ones of images.

    Args:
        rows: of the table.
        statistics: what they mean.

    Returns:
        By case id and statistic, in canonical units.
    """
    scale = {statistic.name: statistic.scale for statistic in statistics}
    kept = (row for row in rows if row.level == "image" and row.variant == RECORDED)
    return {(row.id, row.statistic): row.canonical(scale[row.statistic]) for row in kept}


def _misfits(labels: Mapping[str, Bool[np.ndarray, "*space"]], space: tuple[int, ...], where: str) -> list[Finding]:
    findings = []
    for structure, mask in labels.items():
        if mask.shape != space:
            what = f"the marks on '{structure}' were made on an image of another size, so that some lie outside"
            remedy = "mark the image again, or put back the image that was marked"
            findings.append(Finding("error", "marks", where, what, remedy, str(mask.shape), str(space)))
        elif structure != EXCLUDED and EXCLUDED in labels and labels[EXCLUDED].shape == space:
            both = int((mask & labels[EXCLUDED]).sum())
            if both:
                what = f"pixels are marked as '{structure}' and as none of the structures"
                remedy = "clear the case and mark it again"
                findings.append(Finding("error", "marks", where, what, remedy, f"{both} pixels"))
    return findings


def _contradictions(
    labels: Mapping[str, Bool[np.ndarray, "*space"]],
    case: Case,
    kept: MarkSet,
    where: str,
    statistics: Sequence[Statistic],
    numbers: Numbers,
) -> list[Finding]:
    """More marked than the number allows, or more excluded than it leaves."""
    severity: Severity = "error" if kept.origin == "real" else "warning"
    findings = []
    for statistic in statistics:
        number = numbers.get((case.id, statistic.name))
        if number is None or statistic.kind not in ("area_fraction", "area"):
            continue
        some_mask = next(iter(labels.values()))
        if statistic.kind == "area" and case.spacing is None:
            continue  # reported once for the whole statistic
        pixel = 1 / some_mask.size if statistic.kind == "area_fraction" else math.prod(case.spacing or ())
        most = number.value if math.isnan(number.high) else number.high
        least = number.value if math.isnan(number.low) else number.low
        inside = np.logical_or.reduce([labels[name] for name in statistic.of if name in labels] or [some_mask & False])
        excluded = int(labels.get(EXCLUDED, some_mask & False).sum())
        free = some_mask.size - excluded
        unit, scale = statistic.unit, statistic.scale
        remedy = "correct the number in statistics.csv, or clear the marks of this case and mark it again"
        # A number comes from a mask of whole pixels: half a pixel is no contradiction.
        if inside.sum() * pixel > most + pixel / 2:
            what = f"more is marked than the number '{statistic.name}' says there is"
            found = f"{inside.sum() * pixel / scale:.4g} {unit} marked"
            findings.append(
                Finding(severity, "marks", where, what, remedy, found, f"at most {most / scale:.4g} {unit}")
            )
        # What is larger than the whole image has no room whatever is marked: see check_sizes.
        if excluded and free * pixel < least - pixel / 2 and has_room(least, some_mask.size * pixel):
            what = f"so much is marked as none of the structures that the number '{statistic.name}' has no room"
            found = f"{free * pixel / scale:.4g} {unit} left"
            findings.append(
                Finding(severity, "marks", where, what, remedy, found, f"at least {least / scale:.4g} {unit}")
            )
    return findings


def check_meaning(
    cases: Sequence[Case],
    settings: StudySettings,
    rows: Sequence[NumberRow],
    marked: set[tuple[str, str]],
    folder: Path,
) -> list[Finding]:
    """What cannot be learned from what there is."""
    findings = []
    numbered = {row.id for row in rows if row.level == "image" and not _empty(row)}
    groups = {row.id for row in rows if row.level == "group" and not _empty(row)}
    with_mark = {case_id for case_id, _ in marked}
    idle = [c.id for c in cases if c.id not in numbered and c.group not in groups and c.id not in with_mark]
    if idle:
        what = f"nothing is to be learned from {counted(len(idle), 'case')} without a number and without a mark"
        remedy = "add numbers to statistics.csv, mark them, or leave them to be predicted"
        findings.append(Finding("warning", "meaning", str(folder / "cases.csv"), what, remedy, some(idle)))
    for statistic in settings.statistics:
        findings += _unmeasurable(statistic, cases, settings, folder)
    where = str(folder / "study.toml")
    for statistic in settings.statistics:
        findings += _not_identifiable(statistic, settings, {structure for _, structure in marked}, where)
    measured = {name for statistic in settings.statistics for name in (*statistic.of, *statistic.over)}
    for structure in settings.structures:
        if structure not in measured and structure not in {name for _, name in marked}:
            what = f"nothing is known of the structure '{structure}': no number and no mark"
            remedy = "define a statistic of it, mark it, or take it out of study.toml"
            findings.append(Finding("warning", "meaning", where, what, remedy))
    sizes: dict[str, int] = defaultdict(int)
    for case in cases:
        sizes[case.group] += 1
    if any(sizes[group] > 1 for group in groups):
        what = "numbers of groups fix the sum over the images of a group, not each image"
        remedy = "mark every image of such groups that shows the structure, or add numbers of images"
        several = [f"{group} ({sizes[group]} images)" for group in sorted(groups) if sizes[group] > 1]
        findings.append(Finding("warning", "meaning", str(folder / "statistics.csv"), what, remedy, some(several)))
    return findings


def _unmeasurable(statistic: Statistic, cases: Sequence[Case], settings: StudySettings, folder: Path) -> list[Finding]:
    """Cases on which a statistic cannot be evaluated, in one finding."""
    wrong: dict[str, list[str]] = defaultdict(list)
    errors: dict[str, TallymarkError] = {}
    for case in cases:
        known = case.spacing is not None
        try:
            statistic.require(settings.structures, dimension=settings.image.dimension, spacing=known, image=True)
        except TallymarkError as error:
            errors[error.what] = error
            wrong[error.what].append(case.id)
    where = f"{folder / 'cases.csv'}, statistic '{statistic.name}'"
    return [
        Finding("error", "meaning", where, what, errors[what].remedy or "correct study.toml", some(ids))
        for what, ids in wrong.items()
    ]


def _not_identifiable(statistic: Statistic, settings: StudySettings, marked: set[str], where: str) -> list[Finding]:
    place = f"{where}, statistic '{statistic.name}'"
    unmarked = [name for name in dict.fromkeys((*statistic.of, *statistic.over)) if name not in marked]
    if statistic.kind == "area_ratio":
        return []  # see check_ratios
    if statistic.kind not in ("area_fraction", "area"):
        if unmarked:
            what = f"the kind {statistic.kind} alone does not fix an area"
            return [Finding("warning", "meaning", place, what, f"mark {', '.join(unmarked)} in some images")]
    elif unmarked:
        what = "the number says how much, and without marks nothing says where"
        return [Finding("warning", "meaning", place, what, f"mark {', '.join(unmarked)}: a few pixels per image do")]
    return []


def _empty(row: NumberRow) -> bool:
    return math.isnan(row.value) and math.isnan(row.low) and math.isnan(row.high)
