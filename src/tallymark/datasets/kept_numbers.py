"""Numbers as clinics keep them, simulated from exact ones: rounded, noisy, biased, an interval, missing, per group.

An exact zero stays an exact zero, and nothing else becomes one: only an exact zero means that nothing is there. A
small lesion that is rounded to "0 %" has the interval from 0 to half a unit.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tallymark.data.findings import counted
from tallymark.data.images import image_space
from tallymark.data.study import RECORDED, Case, Number, NumberRow, Study
from tallymark.datasets.exact_numbers import EXACT, measure_exact
from tallymark.datasets.kept_kinds import NUMBER_KINDS, NumberSpec, parse_numbers
from tallymark.datasets.pairs import Track
from tallymark.datasets.seeds import named_rng
from tallymark.errors import ConfigError, StudyError
from tallymark.measure.definition import UNITS, Statistic
from tallymark.measure.groups import pooled, weight


@dataclass(frozen=True)
class KeptNumbersReport:
    """What :func:`simulate_numbers` wrote.

    Args:
        variant: the name of the numbers.
        kept: how, for example ``rounded:5%``.
        source: the variant that they were made from.
        numbers: how many were written.
        dropped: how many of the source have none.
        read_as_zero: how many have the value 0 and are none: small ones that were rounded away.
    """

    variant: str
    kept: str
    source: str
    numbers: int
    dropped: int
    read_as_zero: int

    def __str__(self) -> str:
        lines = [f"{counted(self.numbers, 'number')} '{self.variant}': {self.source} ones, {self.kept}"]
        if self.dropped:
            lines.append(f"{self.dropped} have none")
        if self.read_as_zero:
            lines.append(f"{self.read_as_zero} read 0 although something is there: their interval starts at 0")
        return "\n".join(lines)


def simulate_numbers(
    study: Study,
    spec: str | NumberSpec,
    name: str,
    *,
    source: str = EXACT,
    statistics: Sequence[str] | None = None,
    draw: int = 0,
    replace: bool = False,
    track: Track = iter,
) -> KeptNumbersReport:
    """Write a variant of the numbers as a clinic would have kept them.

    Chance is seeded by the SHA-256 of case id, statistic, kind and ``draw``, so that nothing depends on order, and
    ``noisy:10%`` and ``noisy:20%`` err in the same direction. What misses at 20 % misses at 50 % too.

    Per group, areas and volumes are summed, fractions of the image become the fraction of all pixels of the group,
    ratios and intensities those of all its pixels, and of lengths the longest counts; a group of which an image has no
    number has none.

    Args:
        study: that has the source.
        spec: how; see :func:`tallymark.datasets.kept_kinds.parse_numbers`.
        name: what to call the variant.
        source: the variant to start from: "exact", which is measured on the full masks now if it was not before, or any
            other, so that simulations can be chained.
        statistics: only these; None for all.
        draw: another number draws other chance.
        replace: take the place of a simulated variant of this name. Recorded and exact numbers are never replaced.
        track: wraps the cases while they are measured, to show progress.

    Returns:
        Counts.

    Raises:
        ConfigError: the specification cannot be read, or a step whose unit does not fit a statistic.
        StudyError: no such source or statistic, no statistic of that kind, a source that holds intervals where values
            are needed, or a name that is taken.
        ReadError: an image or mask that group numbers need cannot be read.
        StorageError: the table cannot be written; it is as before.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from tallymark.datasets.pairs import import_pairs
        >>> from tallymark.datasets.phantom import write_phantoms
        >>> with TemporaryDirectory() as folder:
        ...     root = write_phantoms(Path(folder), 2, size=32, normals=0.0)
        ...     _ = import_pairs(root / "images", root / "masks", root / "study")
        ...     study = Study.open(root / "study")
        ...     rows = [NumberRow(c.id, "lesion_fraction", v) for c, v in zip(study.cases, (0.12, 0.01))]
        ...     study.add_numbers(rows, "exact")
        ...     _ = simulate_numbers(study, "rounded:5%", "r5")
        ...     list(study.numbers("r5").values())
        [Number(value=0.1, low=0.075, high=0.125), Number(value=0.0, low=0.0, high=0.025)]
    """
    spec = parse_numbers(spec) if isinstance(spec, str) else spec
    _check_name(study, name, source, replace)
    chosen = _chosen(study, spec, statistics)
    if source == EXACT and EXACT not in study.number_variants():
        measure_exact(study, track=track)
    before = [row for row in _rows(study, source) if row.statistic in chosen]
    if not before:
        raise StudyError("the source has no number of these statistics", where=study.folder, found=", ".join(chosen))
    if spec.kind == "group":
        after = _grouped(study, chosen, before)
    elif spec.kind == "missing":
        after = _thinned(study, before, spec.amount, draw)
    elif spec.kind in _KEPT:
        after = before
    else:
        after = [_changed(row, chosen[row.statistic], spec, source, draw) for row in before]
    if not after:
        raise StudyError("no number would be left", where=study.folder, found=str(spec), remedy="keep more")
    study.add_numbers(after, name)
    zeros = sum(row.value == 0 and not row.high <= 0 and not math.isnan(row.high) for row in after)
    dropped = 0 if spec.kind == "group" else len(before) - len(after)
    return KeptNumbersReport(name, str(spec), source, len(after), dropped, zeros)


_KEPT = {"ratio": "area_ratio", "longest-axis": "longest_axis", "shortest-axis": "shortest_axis"}


def _check_name(study: Study, name: str, source: str, replace: bool) -> None:
    taken = name in (RECORDED, EXACT, source) or (name in study.number_variants() and not replace)
    if not name.strip() or taken:
        raise StudyError(
            f"numbers cannot be called '{name}'",
            where=study.folder / "statistics.csv",
            found=", ".join(study.number_variants()),
            expected=f"a new name; never {RECORDED}, {EXACT} or the source",
            remedy="choose another name, or replace a simulated variant on purpose",
        )


def _chosen(study: Study, spec: NumberSpec, names: Sequence[str] | None) -> dict[str, Statistic]:
    """The statistics that are kept, by name."""
    there = {statistic.name: statistic for statistic in study.statistics}
    unknown = [name for name in names or () if name not in there]
    if unknown:
        raise StudyError("unknown statistic", where=study.folder, found=repr(unknown[0]), expected=", ".join(there))
    chosen = there if names is None else {name: there[name] for name in names}
    kind = _KEPT.get(spec.kind)
    if kind is None:
        return chosen
    chosen = {name: statistic for name, statistic in chosen.items() if statistic.kind == kind}
    if not chosen:
        raise StudyError(
            f"this study has no statistic of the kind {kind}",
            where=study.folder / "study.toml",
            found=", ".join(f"{name} ({statistic.kind})" for name, statistic in there.items()) or "none",
            remedy=f'add [[statistics]] with kind = "{kind}" and measure it anew (weaken)',
        )
    return chosen


def _rows(study: Study, source: str) -> list[NumberRow]:
    """The numbers of a variant at both levels, in the units of the table."""
    scale = {statistic.name: statistic.scale for statistic in study.statistics}
    levels: dict[str, Mapping[tuple[str, str], Number]] = {
        "image": study.numbers(source),
        "group": study.group_numbers(source),
    }
    return [
        NumberRow(
            id,
            statistic,
            number.value / scale[statistic],
            number.low / scale[statistic],
            number.high / scale[statistic],
            level=level,
        )
        for level, numbers in levels.items()
        for (id, statistic), number in numbers.items()
    ]


def _changed(row: NumberRow, statistic: Statistic, spec: NumberSpec, source: str, draw: int) -> NumberRow:
    """One number kept in another way; a missing one stays missing."""
    if not (math.isnan(row.low) and math.isnan(row.high)):
        raise StudyError(
            f"'{spec.kind}' needs numbers without intervals",
            where=f"'{row.statistic}' of '{row.id}' in the variant '{source}'",
            found=f"{row.low:g} to {row.high:g}",
            remedy="start from another variant, for example exact",
        )
    quantity = _quantity(spec, statistic) if NUMBER_KINDS[spec.kind][0] == "quantity" else math.nan
    if math.isnan(row.value):
        return row
    top = statistic.bounds[1] / statistic.scale
    value, low, high = float(row.value), math.nan, math.nan
    if spec.kind == "rounded":
        value, low, high = _rounded(value, quantity, top)
    elif spec.kind == "biased":
        value = min(value * (1 + spec.amount), top)
    elif spec.kind == "interval" and value == 0:
        low, high = 0.0, 0.0
    elif spec.kind == "interval":
        value, low, high = math.nan, value * (1 - spec.amount), min(value * (1 + spec.amount), top)
    elif value > 0:
        rng = named_rng(row.id, row.statistic, spec.kind, draw)
        spread = spec.amount * value if spec.kind == "noisy" else quantity
        value = _drawn(value, top, lambda: value + spread * rng.standard_normal())
    return _row(row.level, row.id, row.statistic, value, low, high)


def _quantity(spec: NumberSpec, statistic: Statistic) -> float:
    """The amount in the unit of the table."""
    unit = "percent" if spec.unit == "%" else spec.unit
    factor = UNITS[statistic.kind].get(unit)
    if factor is None:
        raise ConfigError(
            f"'{spec}' does not fit the statistic '{statistic.name}'",
            found=f"{statistic.kind} in {statistic.unit}",
            expected=f"an amount in {', '.join(UNITS[statistic.kind])}",
            remedy="give another unit, or name the statistics it is meant for",
        )
    return spec.amount * factor / statistic.scale


def _rounded(value: float, step: float, top: float) -> tuple[float, float, float]:
    """Nearest multiple (halves go up) and the interval that rounds to it; an exact zero is known to be zero."""
    if value == 0:
        return 0.0, 0.0, 0.0
    nearest = math.floor(value / step + 0.5 + 1e-9) * step
    return min(nearest, top), max(nearest - step / 2, 0.0), min(nearest + step / 2, top)


def _drawn(value: float, top: float, draw: Callable[[], float]) -> float:
    """The first draw above 0 and at most ``top``; at least about every third one is."""
    drawn = draw()
    while not 0 < drawn <= top:
        drawn = draw()
    return drawn


def _thinned(study: Study, rows: Sequence[NumberRow], share: float, draw: int) -> list[NumberRow]:
    """Without all numbers of ``share`` of the images (or groups) of each split."""
    split_of = {("image", case.id): case.split for case in study.cases}
    split_of |= {("group", case.group): case.split for case in study.cases}
    by_split: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        by_split[row.level, split_of[row.level, row.id]].add(row.id)
    dropped: set[tuple[str, str]] = set()
    for (level, _), ids in by_split.items():
        ranked = sorted(ids, key=lambda id: named_rng(id, "missing", draw).random())
        dropped |= {(level, id) for id in ranked[: math.floor(share * len(ids) + 0.5)]}
    return [row for row in rows if (row.level, row.id) not in dropped]


def _grouped(study: Study, statistics: Mapping[str, Statistic], rows: Sequence[NumberRow]) -> list[NumberRow]:
    """One number for all images of a group together."""
    number_of = {(row.id, row.statistic): row for row in rows if row.level == "image"}
    members: dict[str, list[Case]] = defaultdict(list)
    for case in study.cases:
        members[case.group].append(case)
    grouped = []
    for statistic in statistics.values():
        for group, cases in members.items():
            weights = [_weight(study, statistic, case) for case in cases]
            counted = [(one, case) for one, case in zip(weights, cases, strict=True) if one > 0]
            if not counted or any((case.id, statistic.name) not in number_of for _, case in counted):
                continue
            parts = [number_of[case.id, statistic.name] for _, case in counted]
            value, low, high = (
                pooled(statistic, [one for one, _ in counted], [getattr(part, end) for part in parts])
                for end in ("value", "low", "high")
            )
            grouped.append(_row("group", group, statistic.name, value, low, high))
    return grouped


def _weight(study: Study, statistic: Statistic, case: Case) -> float:
    """How much an image counts in its group's number; masks are opened where they decide."""
    if statistic.kind == "area_fraction":
        return float(math.prod(image_space(case.image)))
    masks: dict[str, np.ndarray] = {}
    if statistic.kind in ("area_ratio", "mean_intensity"):
        masks = {name: study.truth.mask(case, name) for name in statistic.over or statistic.of}
    return weight(statistic, masks)


def _row(level: str, id: str, statistic: str, value: float, low: float, high: float) -> NumberRow:
    """A row without the last digits, in which 7 percent is 7.000000000000001."""
    value, low, high = (float(f"{end:.14g}") for end in (value, low, high))
    return NumberRow(id, statistic, value, low, high, level=level)
