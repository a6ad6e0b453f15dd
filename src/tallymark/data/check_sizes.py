"""Numbers of images that are larger than the image."""

from __future__ import annotations

from collections.abc import Sequence

from tallymark.data.cases import Case
from tallymark.data.check_contents import Look
from tallymark.data.findings import Finding
from tallymark.data.images import image_space
from tallymark.data.numbers import RECORDED, NumberRow
from tallymark.data.room import no_room
from tallymark.errors import ReadError
from tallymark.measure.definition import Statistic


def check_sizes(
    cases: Sequence[Case], looks: Sequence[Look], statistics: Sequence[Statistic], rows: Sequence[NumberRow], where: str
) -> list[Finding]:
    """Find areas, volumes and axes that their image has no room for, be its file opened or not.

    Args:
        cases: of the study.
        looks: at their images; of one that was not opened the size alone is read, where a number needs it.
        statistics: what the numbers mean.
        rows: the numbers.
        where: the table that a finding names.

    Returns:
        An error for each such number. Images of which no pixel's size is known say nothing.
    """
    physical = {one.name: one for one in statistics if one.physical}
    spaces = {case.id: look.space for case, look in zip(cases, looks, strict=True)}
    by_id = {case.id: case for case in cases if case.spacing is not None}
    findings = []
    for row in rows:
        if row.level != "image" or row.statistic not in physical or row.id not in by_id:
            continue
        case, statistic = by_id[row.id], physical[row.statistic]
        if spaces[case.id] is None:
            spaces[case.id] = _space(case)
        place = f"{where}, case '{case.id}'" + (f", variant '{row.variant}'" if row.variant != RECORDED else "")
        error = no_room(statistic, row.canonical(statistic.scale), spaces[case.id] or (), case.spacing, where=place)
        if error is not None:
            findings.append(Finding.of(error, "numbers"))
    return findings


def _space(case: Case) -> tuple[int, ...]:
    """The shape of an image; empty where it cannot be read, which is found where images are opened."""
    try:
        return image_space(case.image)
    except ReadError:
        return ()
