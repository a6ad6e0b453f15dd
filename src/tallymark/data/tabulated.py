"""From a folder of images and a clinic's table to a study: everything is looked at before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tallymark.data.cases import Case
from tallymark.data.findings import some
from tallymark.data.group_table import groups_of_images
from tallymark.data.images import read_image
from tallymark.data.matching import ImageNames, Match, case_ids, list_images, members
from tallymark.data.numbers import NumberRow
from tallymark.data.plan_groups import settle_groups, settle_repeats
from tallymark.data.plan_remarks import remarks
from tallymark.data.quantities import read_quantities
from tallymark.data.spreadsheet import Row, read_sheet
from tallymark.data.study_plan import Line, StudyPlan
from tallymark.data.table_cells import clean
from tallymark.data.table_layout import TableLayout
from tallymark.errors import ReadError, StudyError, TallymarkError
from tallymark.measure.definition import Statistic

Spacing = tuple[float, ...] | Literal["header"] | None

_OR_LEAVE_OUT = ", or leave such rows out with --allow-unmatched"


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
    names = ImageNames(files, images, as_numbers=layout.ids_as_numbers)
    known: dict[Path, str] = {}
    if layout.groups is not None:
        known, wrong = groups_of_images(layout.groups, files, images, names)
        plan.faults += wrong
    find = _finder(files, images, names, layout, known)
    plan.lines += [_line(plan, row, value, layout, find) for row, value in zip(sheet.rows, values, strict=True)]
    settle_repeats(plan, by_group=layout.by_group)
    group_of = settle_groups(plan, layout.level, known)
    taken = {image for line in plan.lines for image in line.images}
    plan.without_row = [file for file in files if file not in taken]
    if plan.without_row:
        plan.unmatched.append(
            StudyError(
                f"{len(plan.without_row)} images have no row{' for their group' if layout.by_group else ''}",
                where=sheet.where,
                found=some(str(file.relative_to(images)) for file in plan.without_row),
                remedy="add their rows, move them away, or keep them without a number with --allow-unmatched",
            )
        )
    _make_cases(plan, files, images, group_of, spacing, strata=not layout.by_group or layout.groups is not None)
    _make_numbers(plan, layout, half)
    plan.notes += remarks(plan, layout)
    return plan


def _finder(
    files: Sequence[Path], folder: Path, names: ImageNames, layout: TableLayout, known: Mapping[Path, str]
) -> Callable[[str], Match]:
    """What finds the images of a row by the name in it, which is that of an image or of a group."""
    if not layout.by_group:
        return names.find
    if layout.groups is None:
        where = "put its images into a sub-folder of its name, or name them in a table with --groups"
        return lambda name: Match(tuple(members(name, files, folder)), "group", hint=f"{where}{_OR_LEAVE_OUT}")
    hint = f"correct the name, here or in {layout.groups}{_OR_LEAVE_OUT}"
    return lambda name: Match(tuple(file for file in files if known.get(file) == name), "group", hint=hint)


def _line(plan: StudyPlan, row: Row, value: float, layout: TableLayout, find: Callable[[str], Match]) -> Line:
    """Match a row; what is wrong with it goes to the faults of the plan."""
    line = Line(row.where, "", "", value)
    try:
        line = replace(line, id=layout.id_of(row))
        match = find(line.id)
        line = replace(line, images=match.images, how=match.how)
        line = replace(line, group=layout.group_of(row))
    except StudyError as error:
        plan.faults.append(error)
        return line
    if not match.images:
        remedy = match.hint or f"correct the name{_OR_LEAVE_OUT}"
        what = "no image belongs to this group" if layout.by_group else "no image has this name"
        plan.unmatched.append(StudyError(what, where=row.where, found=repr(line.id), remedy=remedy))
        return replace(line, state="no image")
    if len(match.images) > 1 and not layout.by_group:
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


def _make_cases(
    plan: StudyPlan,
    files: Sequence[Path],
    folder: Path,
    group_of: Mapping[Path, str],
    spacing: Spacing,
    *,
    strata: bool,
) -> None:
    """Decode every image once, so that none is found unreadable in the middle of a training.

    Sub-folders are strata, unless they are how the images say their group.
    """
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
            stratum = sub_folder if strata and sub_folder != "." else ""
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


def _make_numbers(plan: StudyPlan, layout: TableLayout, half: float | None) -> None:
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
