"""Ratios of structures of which nothing tells the sizes, and what would settle them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from tallymark.data.findings import Finding, some
from tallymark.data.marks import EXCLUDED
from tallymark.data.numbers import NumberRow
from tallymark.measure.definition import Statistic
from tallymark.measure.sizes import sizes_that_follow

_SIZES = ("area_fraction", "area")


def check_ratios(
    structures: Sequence[str],
    statistics: Sequence[Statistic],
    rows: Sequence[NumberRow],
    marked: Collection[tuple[str, str]],
    where: str,
) -> list[Finding]:
    """Find ratios that divide something of unknown size.

    Args:
        structures: of the study.
        statistics: what the numbers mean.
        rows: the numbers.
        marked: which (case, structure) bear a mark, "none of these" among them.
        where: what a finding names.

    Returns:
        A warning for each such ratio and variant: with the structures that nobody marked, or with the images on which
        not even "none of these" was drawn.

    Example:
        >>> ratio = Statistic("ratio", "area_ratio", of=("fat",), over=("fat", "muscle"))
        >>> whole = Statistic("whole", "area_fraction", of=("fat", "muscle"))
        >>> rows = [NumberRow("a", "ratio", 0.2), NumberRow("b", "ratio", 0.3), NumberRow("b", "whole", 0.4)]
        >>> marks = {("a", "fat"), ("a", "muscle"), ("b", "fat")}
        >>> found = check_ratios(("fat", "muscle"), (ratio, whole), rows, marks, "study.toml")
        >>> len(found), found[0].found
        (1, 'a')
    """
    findings = []
    marked_anywhere = {structure for _, structure in marked}
    for statistic in statistics:
        if statistic.kind != "area_ratio":
            continue
        place = f"{where}, statistic '{statistic.name}'"
        named = list(dict.fromkeys((*statistic.of, *statistic.over)))
        unmarked = [name for name in named if name not in marked_anywhere]
        for variant, free in _free(structures, statistics, rows, statistic).items():
            if unmarked:
                what = f"a ratio alone fixes neither of its two areas: any size with this ratio fits ({variant})"
                remedy = (
                    f"mark {', '.join(unmarked)} in some images, and keep the area of one structure or of both "
                    "together, or draw 'none of these' around both"
                )
                findings.append(Finding("warning", "meaning", place, what, remedy, some(free)))
                continue
            open_images = [case_id for case_id in free if (case_id, EXCLUDED) not in marked]
            if open_images:
                what = (
                    f"on {len(open_images)} images a ratio is all that is known ({variant}): it fixes neither of its "
                    "two areas, and how much both cover is guessed from the image"
                )
                remedy = (
                    "draw 'none of these' as a closed line around both on these images, or keep the area of one of "
                    "them or of both together"
                )
                findings.append(Finding("warning", "meaning", place, what, remedy, some(open_images)))
    return findings


def _free(
    structures: Sequence[str], statistics: Sequence[Statistic], rows: Sequence[NumberRow], ratio: Statistic
) -> dict[str, list[str]]:
    """Images (and groups) whose ratio is kept and whose sizes do not follow from their numbers, by variant."""
    told = [s for s in statistics if s.kind in _SIZES or s is ratio]
    column = {statistic.name: place for place, statistic in enumerate(told)}
    numbers: dict[tuple[str, str, str], np.ndarray] = {}
    for row in rows:
        if row.statistic in column and not math.isnan(_some(row)):
            # What follows does not depend on how large the numbers are, but for 0 and 1.
            value = float(row.value) * ratio.scale if row.statistic == ratio.name else 0.2
            image = numbers.setdefault((row.variant, row.level, row.id), np.full(len(told), np.nan))
            image[column[row.statistic]] = 0.5 if math.isnan(value) else value
    images = [key for key, values in numbers.items() if not math.isnan(values[column[ratio.name]])]
    if not images:
        return {}
    values = np.stack([numbers[key] for key in images])
    sizes = sizes_that_follow(structures, told, values, values)
    places = [structures.index(name) for name in {*ratio.of, *ratio.over}]
    free: dict[str, list[str]] = {}
    for (variant, _, name), low in zip(images, sizes.low[:, places], strict=True):
        if np.isnan(low).any():
            free.setdefault(variant, []).append(name)
    return free


def _some(row: NumberRow) -> float:
    known = [float(end) for end in (row.value, row.low, row.high) if not math.isnan(end)]
    return known[0] if known else math.nan
