"""What a study would be made of, and everything that is wrong with it, before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tallymark.data.cases import Case
from tallymark.data.findings import some
from tallymark.data.numbers import NumberRow
from tallymark.data.settings import ImageSettings, StudySettings
from tallymark.data.study import Study
from tallymark.errors import TallymarkError
from tallymark.measure.definition import Statistic


@dataclass(frozen=True)
class Line:
    """A row of the table, and what became of it.

    Args:
        where: file, sheet and row.
        id: as the table has it.
        group: patient; empty if the table names none.
        value: in the unit of the statistic; NaN if none was kept.
        images: that the row means.
        state: ``matched``, ``no image``, ``repeated`` (the same once more, which is left out) or ``faulty``.
        how: the rule that found the images.
    """

    where: str
    id: str
    group: str
    value: float
    images: tuple[Path, ...] = ()
    state: str = "faulty"
    how: str = ""


@dataclass
class StudyPlan:
    """What a study would be made of.

    Args:
        statistic: what the numbers mean.
        lines: one for each row of the table.
        without_row: images that no row names.
        faults: that forbid to make the study.
        unmatched: faults that can be waved through: rows without an image, images without a row.
        notes: what should be known.
        cases: of the study: all images.
        numbers: of the study.
        dimension: of the images.
        coloured: whether any image is in colour.
    """

    statistic: Statistic
    lines: list[Line] = field(default_factory=list)
    without_row: list[Path] = field(default_factory=list)
    faults: list[TallymarkError] = field(default_factory=list)
    unmatched: list[TallymarkError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    numbers: list[NumberRow] = field(default_factory=list)
    dimension: Literal[2, 3] = 2
    coloured: bool = False

    @property
    def with_faulty_row(self) -> list[Path]:
        """Images that a faulty row names, and no row that is all right."""
        good = {image for line in self.lines if line.state == "matched" for image in line.images}
        faulty = [image for line in self.lines if line.state == "faulty" for image in line.images if image not in good]
        return list(dict.fromkeys(faulty))

    def sound(self, *, allow_unmatched: bool = False) -> bool:
        """Whether the study can be made."""
        return not self.faults and (allow_unmatched or not self.unmatched)

    def require_sound(self, *, allow_unmatched: bool = False) -> None:
        """Refuse a plan with faults.

        Args:
            allow_unmatched: leave rows without an image out, and keep images without a row, without a number.

        Raises:
            TallymarkError: the first fault, saying how many there are.
        """
        if self.sound(allow_unmatched=allow_unmatched):
            return
        faults = gathered(self.faults if allow_unmatched else [*self.faults, *self.unmatched])
        first = faults[0]
        more = f" (the first of {len(faults)} faults)" if len(faults) > 1 else ""
        where, found, expected = first.where, first.found, first.expected
        raise type(first)(first.what + more, where=where, found=found, expected=expected, remedy=first.remedy)

    def create(self, folder: Path, structures: Sequence[str], *, overwrite: bool = False) -> Study:
        """Make the study; as :meth:`Study.create`."""
        settings = StudySettings(
            name=folder.resolve().name,
            structures=tuple(structures),
            statistics=(self.statistic,),
            image=ImageSettings(channels=3 if self.coloured else 1, dimension=self.dimension),
        )
        return Study.create(folder, settings, self.cases, numbers=self.numbers, overwrite=overwrite)


def gathered(faults: Iterable[TallymarkError]) -> list[TallymarkError]:
    """Faults as a person is told them: the same one in many rows once, with a count and the first few rows.

    Args:
        faults: in any order.

    Returns:
        One of each kind, in the order of their first.

    Example:
        >>> for fault in gathered([TallymarkError("no", where=f"a.csv, row {n}", found=n * n) for n in (2, 3)]):
        ...     print(fault)
        a.csv, row 2: no, 2 times; found 4 in row 2, 9 in row 3
    """
    alike: dict[object, list[TallymarkError]] = {}
    for fault in faults:
        # A remedy may have the row's own number in it ("7 means 007"): the first stands for all.
        remedy = re.sub(r"\d+", "", fault.remedy or "")
        alike.setdefault((type(fault), fault.what, fault.expected, remedy), []).append(fault)
    return [_once(same) for same in alike.values()]


def _once(faults: Sequence[TallymarkError]) -> TallymarkError:
    first = faults[0]
    if len(faults) == 1:
        return first
    what, found = f"{first.what}, {len(faults)} times", some(_content(fault) for fault in faults)
    return type(first)(what, where=first.where, found=found, expected=first.expected, remedy=first.remedy)


def _content(fault: TallymarkError) -> str:
    """What stands in a row, and in which; a fault that is of no row has its whole place."""
    where = fault.where or ""
    place = (re.findall(r"row \d+", where) or [where])[-1]
    return place if fault.found is None else f"{fault.found} in {place}"
