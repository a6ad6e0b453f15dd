"""Everything that is wrong with a study, in one pass, and the one thing that is mended here: torn duplicates."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tallymark.data.cases import Case, cases_table
from tallymark.data.check_contents import Look, check_marks, check_meaning, check_splits, kept_numbers, look_at_images
from tallymark.data.check_groups import check_groups
from tallymark.data.check_ratios import check_ratios
from tallymark.data.check_sizes import check_sizes
from tallymark.data.check_tables import Tables, read_tables
from tallymark.data.findings import Finding, Severity, some
from tallymark.data.mark_place import mark_place
from tallymark.data.marks import MarkStore
from tallymark.data.near_duplicates import clusters, near_pairs
from tallymark.data.splits import assign_splits
from tallymark.data.study import CASES, NUMBERS, SETTINGS, Study
from tallymark.data.tables import write_table
from tallymark.errors import StudyError, TallymarkError

QUICK_BYTES = 300_000_000
"""Images of up to this size together are opened without being asked: that takes seconds."""


@dataclass(frozen=True)
class Duplicates:
    """Images that look the same and are in different groups.

    Args:
        case_ids: of the images.
        groups: that they are in.
        splits: that they are in.
        exact: whether all of them are the same file.
        correlation: the least of the correlations that link them; 1 where they are the same file.
    """

    case_ids: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    exact: bool
    correlation: float


@dataclass
class CheckReport:
    """What was looked at, and what was found.

    Args:
        folder: of the study.
        cases: number of them.
        opened: number of images that were opened.
        findings: everything that is wrong.
        duplicates: across groups; each is a finding, too.
        marked: number of marked images by mark set.
        notes: what was not looked at, and why.
    """

    folder: Path
    cases: int = 0
    opened: int = 0
    findings: list[Finding] = field(default_factory=list)
    duplicates: list[Duplicates] = field(default_factory=list)
    marked: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def count(self, severity: Severity) -> int:
        """Number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)


def check_study(folder: Path | str, *, images: bool | None = None) -> CheckReport:
    """Find everything that is wrong with a study. The full masks are not looked at: only those may who may read them.

    Args:
        folder: the study folder.
        images: whether to open every image (changed? readable? seen twice?); None: if they are few.

    Returns:
        The report.

    Raises:
        StudyError: there is no study in this folder.

    Example:
        >>> import tempfile, PIL.Image
        >>> from tallymark.data.settings import StudySettings
        >>> folder = Path(tempfile.mkdtemp())
        >>> PIL.Image.new("L", (4, 4)).save(folder / "a.png")
        >>> _ = Study.create(folder, StudySettings(name="x", structures=("fat",)), [Case("a", folder / "a.png")])
        >>> (folder / "a.png").unlink()
        >>> print(check_study(folder).findings[0].what)
        the image of the case 'a' is missing
    """
    folder = Path(folder)
    if not any((folder / name).exists() for name in ("study.toml", CASES)):
        raise StudyError("this folder holds no study", where=folder, remedy="name a study folder, or make one")
    tables = read_tables(folder)
    report = CheckReport(folder, len(tables.cases), findings=tables.findings)
    if tables.settings is None:
        report.notes.append("only cases.csv was looked at: everything else needs study.toml")
        return report
    size = sum(case.image.stat().st_size for case in tables.cases if case.image.is_file())
    if images is None:
        images = size <= QUICK_BYTES
        if not images:
            report.notes.append(f"the images ({size / 1e9:.1f} GB) were not opened; --images opens them")
    looks = look_at_images(tables.cases, tables.settings, opened=images)
    report.opened = sum(look.space is not None for look in looks)
    report.findings += [look.finding for look in looks if look.finding is not None]
    report.findings += check_splits(tables.cases, tables.settings, str(folder / CASES))
    numbers = kept_numbers(tables.numbers, tables.settings.statistics)
    store = MarkStore(mark_place(folder, tables.settings))
    with contextlib.suppress(TallymarkError):  # marks that cannot be read are a finding of check_marks
        report.marked = {name: kept.cases for name, kept in store.sets().items()}
    found, marked = check_marks(store, tables.cases, looks, tables.settings.statistics, numbers)
    report.findings += found
    spaces = {case.id: look.space for case, look in zip(tables.cases, looks, strict=True) if look.space is not None}
    statistics = tables.settings.statistics
    report.findings += check_sizes(tables.cases, looks, statistics, tables.numbers, str(folder / NUMBERS))
    report.findings += check_groups(tables.cases, spaces, statistics, tables.numbers, str(folder / NUMBERS))
    report.findings += check_ratios(
        tables.settings.structures, statistics, tables.numbers, marked, str(folder / SETTINGS)
    )
    report.findings += check_meaning(tables.cases, tables.settings, tables.numbers, marked, folder)
    report.duplicates = find_duplicates(tables.cases, looks)
    report.findings += [_told(duplicates, folder / CASES) for duplicates in report.duplicates]
    report.findings += _twins(tables, folder)
    return report


def find_duplicates(cases: Sequence[Case], looks: Sequence[Look]) -> list[Duplicates]:
    """Images of different groups that look the same, or are the same file.

    Args:
        cases: of the study.
        looks: at their images; those without a thumbnail are compared by their SHA-256 alone.

    Returns:
        One entry for all images that hang together.
    """
    links: dict[tuple[int, int], float] = {}
    seen: dict[str, int] = {}
    for position, case in enumerate(cases):
        if case.sha256.strip("0"):
            first = seen.setdefault(case.sha256, position)
            if first != position:
                links[first, position] = 1.0
    positions = [position for position, look in enumerate(looks) if look.thumbnail is not None]
    thumbnails = [look.thumbnail for look in looks if look.thumbnail is not None]
    for pair in near_pairs(thumbnails):
        links.setdefault((positions[pair.first], positions[pair.second]), pair.correlation)
    # Images of one group belong together already and carry a link on, though they are no duplicates themselves.
    across = {pair: value for pair, value in links.items() if cases[pair[0]].group != cases[pair[1]].group}
    names = list(dict.fromkeys(case.group for case in cases))
    index = {name: position for position, name in enumerate(names)}
    linked = [(index[cases[first].group], index[cases[second].group]) for first, second in across]
    found = []
    for cluster in clusters(len(names), linked):
        groups = {names[position] for position in cluster}
        pairs = {pair: value for pair, value in across.items() if cases[pair[0]].group in groups}
        members = [cases[position] for position in sorted({position for pair in pairs for position in pair})]
        found.append(
            Duplicates(
                tuple(case.id for case in members),
                tuple(sorted(groups)),
                tuple(sorted({case.split for case in members})),
                len({case.sha256 for case in members}) == 1,
                min(pairs.values()),
            )
        )
    return found


@dataclass(frozen=True)
class Regrouping:
    """What was changed.

    Args:
        merged: the groups that became one, and its name.
        moved: number of cases whose split changed.
        runs: names of runs that were made with the old splits.
    """

    merged: dict[str, tuple[str, ...]]
    moved: int
    runs: tuple[str, ...]


def group_duplicates(folder: Path | str, duplicates: Sequence[Duplicates]) -> Regrouping:
    """Put images that look the same into one group, and deal all groups to the splits anew.

    Args:
        folder: the study folder.
        duplicates: of :func:`check_study`.

    Returns:
        What was changed; ``cases.csv`` is replaced in one step.

    Raises:
        StudyError: the study is not sound otherwise, or a number is of a group that would be merged.
        StorageError: ``cases.csv`` cannot be written; it is as before.
    """
    study = Study.open(folder)
    name_of = {group: found.groups[0] for found in duplicates for group in found.groups}
    numbered = {key[0] for variant in study.number_variants() for key in study.group_numbers(variant)}
    torn = sorted(numbered & name_of.keys())
    if torn:
        raise StudyError(
            "these groups have numbers of their own, which a merged group would not have",
            where=study.folder / "statistics.csv",
            found=some(torn),
            remedy="take the duplicates out of cases.csv by hand, or correct the numbers of the groups",
        )
    groups = [name_of.get(case.group, case.group) for case in study.cases]
    settings = study.settings.split
    splits = assign_splits(groups, [case.stratum for case in study.cases], settings.shares, settings.seed)
    cases = [replace(c, group=g, split=s) for c, g, s in zip(study.cases, groups, splits, strict=True)]
    write_table(study.folder / CASES, cases_table(cases, study.folder))
    moved = sum(new.split != old.split for new, old in zip(cases, study.cases, strict=True))
    runs = study.folder / "runs"
    made = tuple(sorted(run.name for run in runs.iterdir() if run.is_dir())) if runs.is_dir() else ()
    return Regrouping({found.groups[0]: found.groups for found in duplicates}, moved, made)


def _told(found: Duplicates, path: Path) -> Finding:
    leaks = len(found.splits) > 1
    what = f"{len(found.case_ids)} images of {len(found.groups)} groups " + (
        "are the same file" if found.exact else f"look the same (correlation {found.correlation:.3f} or more)"
    )
    if leaks:
        what += f", and they are in {len(found.splits)} splits ({', '.join(found.splits)})"
    remedy = "look at them; if they are one patient, --group-duplicates puts them into one group and one split"
    # All of them are listed by --json.
    shown = f"{some(found.case_ids)}, of the groups {some(found.groups)}"
    return Finding("error" if leaks else "warning", "duplicates", str(path), what, remedy, shown)


def _twins(tables: Tables, folder: Path) -> list[Finding]:
    """The same file under two ids with two different numbers."""
    same: dict[str, list[str]] = defaultdict(list)
    for case in tables.cases:
        if case.sha256.strip("0"):
            same[case.sha256].append(case.id)
    values: dict[tuple[str, str, str], float] = {
        (row.id, row.statistic, row.variant): row.value for row in tables.numbers if row.level == "image"
    }
    findings = []
    for ids in same.values():
        for statistic, variant in {(statistic, variant) for _, statistic, variant in values}:
            kept = [(name, values[name, statistic, variant]) for name in ids if (name, statistic, variant) in values]
            if len({value for _, value in kept}) > 1:
                what = f"the same file has different numbers '{statistic}' ({variant})"
                found = ", ".join(f"{name}: {value:g}" for name, value in kept)
                remedy = "keep the number that is right, or one of the cases"
                findings.append(Finding("error", "numbers", str(folder / "statistics.csv"), what, remedy, found))
    return findings
