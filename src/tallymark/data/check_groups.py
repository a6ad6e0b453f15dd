"""Numbers of groups that the numbers of their images contradict."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tallymark.data.cases import Case
from tallymark.data.findings import Finding
from tallymark.data.numbers import NumberRow
from tallymark.data.room import most_in_image
from tallymark.measure.definition import Statistic
from tallymark.measure.groups import UNKNOWN, Range, pooled

# Numbers are typed with few digits: what differs by less than this share of the total is no contradiction.
_SLACK = 0.005


def check_groups(
    cases: Sequence[Case],
    spaces: Mapping[str, tuple[int, ...]],
    statistics: Sequence[Statistic],
    rows: Sequence[NumberRow],
    where: str,
) -> list[Finding]:
    """Find groups whose number is less than what their images have, or more than all of them can have.

    Args:
        cases: of the study.
        spaces: shapes of the images by case id, as far as they were opened; fractions are weighed by them, and areas
            are at most those of the images.
        statistics: what the numbers mean.
        rows: the numbers at both levels.
        where: the table that a finding names.

    Returns:
        An error for each group, size and variant that cannot be.

    Example:
        >>> from pathlib import Path
        >>> cases = [Case(id, Path(id), group="p1") for id in "ab"]
        >>> area = Statistic("area", "area", of=("cyst",), unit="mm2")
        >>> rows = [NumberRow("a", "area", 30), NumberRow("p1", "area", 20, level="group")]
        >>> print(check_groups(cases, {}, [area], rows, "statistics.csv")[0].found)
        20 mm2 in all, at least 30 mm2 in its images
    """
    members: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        members[case.group].append(case)
    number = {(row.level, row.id, row.statistic, row.variant): _range(row) for row in rows}
    findings = []
    for statistic in statistics:
        if statistic.kind not in ("area", "area_fraction"):
            continue
        for (level, group, name, variant), total in number.items():
            if level != "group" or name != statistic.name or not total.known:
                continue
            images = members[group]
            weights = [float(math.prod(spaces.get(image.id, ()))) for image in images]
            if statistic.kind == "area_fraction" and not all(image.id in spaces for image in images):
                continue
            ranges = [number.get(("image", image.id, name, variant), UNKNOWN) for image in images]
            largest = [most_in_image(statistic, spaces.get(image.id, ()), image.spacing) for image in images]
            least = pooled(statistic, weights, [max(one.low, 0.0) if one.known else 0.0 for one in ranges])
            most = pooled(
                statistic,
                weights,
                [one.high if one.known else end for one, end in zip(ranges, largest, strict=True)],
            )
            if total.high < least * (1 - _SLACK) or total.low * (1 - _SLACK) > most:
                bound, end = ("at least", least) if total.high < least else ("at most", most)
                shown = total.high if total.high < least else total.low
                what = f"the number '{name}' ({variant}) of the group '{group}' contradicts those of its images"
                found = f"{shown:g} {statistic.unit} in all, {bound} {end:g} {statistic.unit} in its images"
                remedy = "correct the number of the group or of an image, or keep one of the two levels"
                findings.append(Finding("error", "numbers", where, what, remedy, found))
    return findings


def _range(row: NumberRow) -> Range:
    return Range.of(float(row.value), float(row.low), float(row.high))
