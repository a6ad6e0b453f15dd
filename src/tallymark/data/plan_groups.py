"""What rows say of one image or one group more than once: kept once where it is the same, a fault where it is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tallymark.data.study_plan import Line, StudyPlan
from tallymark.data.table_layout import Level
from tallymark.errors import StudyError


def settle_repeats(plan: StudyPlan, *, by_group: bool) -> None:
    """The same number twice is kept once; two numbers for one image are a fault.

    Args:
        plan: with its lines.
        by_group: whether a row is of a whole group.
    """
    first: dict[object, Line] = {}
    for position, line in enumerate(plan.lines):
        if line.state != "matched":
            continue
        before = first.setdefault(line.group if by_group else line.images[0], line)
        if before is line:
            continue
        if _same(before.value, line.value) and before.group == line.group:
            plan.lines[position] = replace(line, state="repeated")
            continue
        plan.lines[position] = replace(line, state="faulty")
        plan.faults.append(
            StudyError(
                f"this {'group' if by_group else 'image'} is there twice, with different content",
                where=line.where,
                found=f"'{line.id}': {_shown(line)}, but {_shown(before)} in {before.where}",
                remedy="keep the row that is right",
            )
        )


def settle_groups(plan: StudyPlan, level: Level, known: Mapping[Path, str]) -> dict[Path, str]:
    """The group of each image that has one, and at the level of groups no two numbers of one.

    Args:
        plan: with its lines; images of two groups and groups of two numbers go to its faults.
        level: of the numbers.
        known: group of each image that a table of groups names.

    Returns:
        Group by image.
    """
    group_of = dict(known)
    kept: dict[str, Line] = {}
    for line in plan.lines:
        if line.state != "matched" or not line.group:
            continue
        for image in line.images:
            if group_of.setdefault(image, line.group) != line.group:
                plan.faults.append(
                    StudyError(
                        "this image belongs to two groups",
                        where=line.where,
                        found=f"{image.name}: {group_of[image]} and {line.group}",
                        remedy="correct one of the two, or put the images of each group into a sub-folder of its name",
                    )
                )
        if level == "group" and not math.isnan(line.value):
            before = kept.setdefault(line.group, line)
            if before.value != line.value:
                plan.faults.append(
                    StudyError(
                        f"the group '{line.group}' has two numbers",
                        where=line.where,
                        found=f"{line.value:g}, but {before.value:g} in {before.where}",
                        remedy="keep one, or give --level image if each image has a number of its own",
                    )
                )
    return group_of


def _same(first: float, second: float) -> bool:
    return first == second or (math.isnan(first) and math.isnan(second))


def _shown(line: Line) -> str:
    value = "no number" if math.isnan(line.value) else f"{line.value:g}"
    return f"{value} of group {line.group}" if line.group else value
