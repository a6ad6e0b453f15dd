"""From a folder of images and a clinic's table to a study: everything is looked at before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tallymark.data.cases import Case
from tallymark.data.findings import some
from tallymark.data.images import read_image
from tallymark.data.matching import ImageNames, Match, case_ids, list_images, members
from tallymark.data.numbers import NumberRow
from tallymark.data.plan_remarks import remarks
from tallymark.data.quantities import read_quantities
from tallymark.data.spreadsheet import Row, read_sheet
from tallymark.data.study_plan import Line, StudyPlan
from tallymark.data.table_cells import clean
from tallymark.data.table_layout import TableLayout
from tallymark.errors import ReadError, StudyError, TallymarkError
from tallymark.measure.definition import Statistic

Spacing = tuple[float, ...] | Literal["header"] | None


@dataclass(frozen=True)
class _Look:
    """What is kept of an image that was decoded."""

    dimension: int
    spacing: tuple[float, ...] | None
    coloured: bool


def plan_study(
    images: Path,
    table: Path,
    statistic: Statistic,
    layout: TableLayout,
    *,
    spacing: Spacing = None,
    half: float | None = None,
) -> StudyPlan:
    r"""Look at all images and all rows, and find everything that is wrong with them.

    Args:
        images: folder of the images; they stay where they are.
        table: CSV file or Excel workbook.
        statistic: what the numbers mean.
        layout: where in the table stands what.
        spacing: mm per axis, (plane,) row, column, of all images; ``"header"``: as each volume says; None: unknown.
        half: half of the unit that numbers were rounded to; each becomes the interval around it.

    Returns:
        The plan; its faults are yet to be refused.

    Raises:
        ReadError: the folder or the table cannot be read.
        ConfigError: which sheet or header is meant has to be said, or a column is named twice.
        StudyError: a column is missing or not clear, or rows are hidden.

    Example:
        >>> import tempfile, numpy, PIL.Image
        >>> folder = Path(tempfile.mkdtemp())
        >>> PIL.Image.fromarray(numpy.zeros((4, 4), numpy.uint8)).save(folder / "a.png")
        >>> _ = (folder / "kept.csv").write_text("image,fat\na,12.5\n")
        >>> share = Statistic("fat", "area_fraction", of=("fat",), unit="percent")
        >>> plan = plan_study(folder, folder / "kept.csv", share, TableLayout("image", "fat"), half=0.5)
        >>> plan.faults, [(row.id, row.value, row.low, row.high) for row in plan.numbers]
        ([], [('a', 12.5, 12.0, 13.0)])
    """
    files = list_images(images)
    sheet = read_sheet(table, layout.columns, sheet=layout.sheet, header=layout.header, hidden=layout.hidden)
    cells = [row.cells[clean(layout.value)] for row in sheet.rows]
    values, faults = read_quantities(cells, statistic, decimal=layout.decimal, missing=layout.missing)
    plan = StudyPlan(statistic, faults=faults, notes=list(sheet.notes))
    if sheet.header > 1:
        plan.notes.append(f"the header is row {sheet.header}")
    by_group = layout.level == "group" and layout.group is None
    names = ImageNames(files, images, as_numbers=layout.ids_as_numbers)

    def find(name: str) -> Match:
        return Match(tuple(members(name, files, images)), "group") if by_group else names.find(name)

    for row, value in zip(sheet.rows, values, strict=True):
        plan.lines.append(_line(plan, row, value, layout, find, several=by_group))
    _settle_repeats(plan, by_group)
    group_of = _groups(plan, layout)
    taken = {image for line in plan.lines for image in line.images}
    plan.without_row = [file for file in files if file not in taken]
    if plan.without_row:
        plan.unmatched.append(
            StudyError(
                f"{len(plan.without_row)} images have no row",
                where=sheet.where,
                found=some(str(file.relative_to(images)) for file in plan.without_row),
                remedy="add their rows, move them away, or keep them without a number with --allow-unmatched",
            )
        )
    _make_cases(plan, files, images, group_of, spacing, by_group)
    _make_numbers(plan, layout, group_of, half)
    plan.notes += remarks(plan, layout)
    return plan


def _line(
    plan: StudyPlan, row: Row, value: float, layout: TableLayout, find: Callable[[str], Match], *, several: bool
) -> Line:
    """Match a row; what is wrong with it goes to the faults of the plan."""
    line = Line(row.where, "", "", value)
    try:
        name = layout.id_of(row)
        cell = row.cells[clean(layout.group)] if layout.group else None
        if cell is not None:
            cell.refuse()
        group = cell.shown if cell is not None else name if several else ""
        line = replace(line, id=name, group=group)
        if not name or (cell is not None and cell.empty):
            what = "image" if not name else "group"
            raise StudyError(f"this row does not say its {what}", where=row.where, remedy="fill the cell in")
    except StudyError as error:
        plan.faults.append(error)
        return line
    match = find(name)
    line = replace(line, images=match.images, how=match.how)
    if not match.images:
        remedy = match.hint or "correct the name, or leave such rows out with --allow-unmatched"
        what = "no image belongs to this group" if several else "no image has this name"
        plan.unmatched.append(StudyError(what, where=row.where, found=repr(name), remedy=remedy))
        return replace(line, state="no image")
    if len(match.images) > 1 and not several:
        plan.faults.append(
            StudyError(
                f"{len(match.images)} images have this name",
                where=row.where,
                found=some(str(image) for image in match.images),
                remedy="write the sub-folder or the suffix into the table, or take the image that is not meant away",
            )
        )
        return line
    # A fault of the number has its column in its place, which starts with the place of the row.
    faulty = any(fault.where and fault.where.startswith(f"{row.where}, ") for fault in plan.faults)
    return replace(line, state="faulty" if faulty else "matched")


def _settle_repeats(plan: StudyPlan, by_group: bool) -> None:
    """The same number twice is kept once; two numbers for one image are a fault."""
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


def _groups(plan: StudyPlan, layout: TableLayout) -> dict[Path, str]:
    """The group of each image that has one, and at the level of groups no two numbers of one."""
    group_of: dict[Path, str] = {}
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
                        remedy="put the images of each group into a sub-folder of its name",
                    )
                )
        if layout.level == "group" and not math.isnan(line.value):
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


def _make_cases(
    plan: StudyPlan, files: Sequence[Path], folder: Path, group_of: dict[Path, str], spacing: Spacing, by_group: bool
) -> None:
    """Decode every image once, so that none is found unreadable in the middle of a training."""
    ids = case_ids(files, folder)
    dimensions: dict[int, Path] = {}
    with ThreadPoolExecutor() as pool:
        for file, look in zip(files, pool.map(_look, files), strict=True):
            if isinstance(look, TallymarkError):
                plan.faults.append(look)
                continue
            plan.coloured |= look.coloured
            dimensions.setdefault(look.dimension, file)
            edges = look.spacing if spacing == "header" else spacing
            if spacing == "header" and edges is None:
                remedy = "give the edges of a pixel, --spacing ROW,COLUMN"
                plan.faults.append(ReadError("this file does not state its spacing", where=file, remedy=remedy))
            if edges is not None and len(edges) != look.dimension:
                plan.faults.append(
                    StudyError("the spacing does not fit", where=file, found=edges, expected=f"{look.dimension} edges")
                )
            sub_folder = file.parent.relative_to(folder).as_posix()
            stratum = "" if by_group or sub_folder == "." else sub_folder
            name = ids[file]
            plan.cases.append(Case(name, file, group=group_of.get(file, name), stratum=stratum, spacing=edges))
    if len(dimensions) > 1:
        found = ", ".join(f"{dimension}-D ({file.name})" for dimension, file in dimensions.items())
        plan.faults.append(
            StudyError("pictures and volumes are mixed", where=folder, found=found, remedy="make a study of each")
        )
    if not dimensions:
        return
    plan.dimension = 3 if min(dimensions) == 3 else 2
    try:
        statistic = plan.statistic
        names = (*statistic.of, *statistic.over)
        statistic.require(names, dimension=plan.dimension, spacing=spacing is not None, image=True)
    except TallymarkError as error:
        remedy = "give --spacing ROW,COLUMN in mm" if "size of a pixel" in error.what else "give a --unit that fits"
        place = error.where
        plan.faults.append(
            type(error)(error.what, where=place, found=error.found, expected=error.expected, remedy=remedy)
        )


def _make_numbers(plan: StudyPlan, layout: TableLayout, group_of: dict[Path, str], half: float | None) -> None:
    id_of = {case.image: case.id for case in plan.cases}
    highest = plan.statistic.bounds[1] / plan.statistic.scale
    done: set[str] = set()
    for line in plan.lines:
        if line.state != "matched" or math.isnan(line.value) or line.images[0] not in id_of:
            continue
        name = line.group if layout.level == "group" else id_of[line.images[0]]
        if name in done:
            continue
        done.add(name)
        low = math.nan if half is None else max(0.0, line.value - half)
        high = math.nan if half is None else min(highest, line.value + half)
        plan.numbers.append(NumberRow(name, plan.statistic.name, line.value, low, high, level=layout.level))


def _look(file: Path) -> _Look | TallymarkError:
    try:
        image = read_image(file)
    except TallymarkError as error:
        return error
    pixels = image.pixels
    coloured = pixels.shape[-1] == 3 and bool((pixels != pixels[..., :1]).any())
    return _Look(len(image.space), image.spacing, coloured)


def _same(first: float, second: float) -> bool:
    return first == second or (math.isnan(first) and math.isnan(second))


def _shown(line: Line) -> str:
    value = "no number" if math.isnan(line.value) else f"{line.value:g}"
    return f"{value} of group {line.group}" if line.group else value
