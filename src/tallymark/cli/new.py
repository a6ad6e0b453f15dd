"""``new``: a folder of images and a spreadsheet of numbers become a study."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallymark.cli.asking import Asker, choice
from tallymark.cli.output import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tallymark.data.spreadsheet import Table
    from tallymark.data.study_plan import StudyPlan
    from tallymark.errors import TallymarkError
    from tallymark.measure.definition import Statistic

_SHOWN = 12  # rows of the preview that are all right; those that are not are all shown


def new(
    study: Annotated[Path, typer.Argument(help="The study folder to make.", metavar="STUDY")],
    images: Annotated[Path, typer.Option(help="Folder of images; they stay where they are.")],
    table: Annotated[Path, typer.Option(help="The numbers: a CSV file or an Excel workbook (.xlsx).")],
    sheet: Annotated[str | None, typer.Option(help="Sheet of the workbook, if it has several.")] = None,
    header: Annotated[int | None, typer.Option(min=1, help="Row of the header, if it is not clear.")] = None,
    id: Annotated[
        str | None, typer.Option(help="Column that names the image, or a pattern of columns: '{patient}_{side}'.")
    ] = None,
    value: Annotated[str | None, typer.Option(help="Column of the numbers.")] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="What was measured: area_fraction (share of the image), area, area_ratio, mean_intensity, "
            "longest_axis or shortest_axis."
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="Of the numbers: fraction, percent, mm2, cm2, mm3, ml, mm, cm or intensity."),
    ] = None,
    structure: Annotated[
        list[str] | None, typer.Option(help="What is outlined in the images; may be repeated.")
    ] = None,
    of: Annotated[str | None, typer.Option(help="Structures that were measured together, with commas between.")] = None,
    over: Annotated[
        str | None, typer.Option(help="Of an area_ratio: the structures that were divided by; fat,muscle.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Column that names the patient.")] = None,
    groups: Annotated[
        Path | None, typer.Option(help="CSV with columns id, group: the patient of each image, if TABLE does not say.")
    ] = None,
    level: Annotated[
        str, typer.Option(help="image: a number for each image; group: one for all images of a patient.")
    ] = "image",
    spacing: Annotated[
        str | None, typer.Option(help="Edges of a pixel in mm, ROW,COLUMN; or header: as each volume says.")
    ] = None,
    decimal: Annotated[str | None, typer.Option(help="In texts, the decimal mark is a point or a comma.")] = None,
    missing: Annotated[
        list[str] | None, typer.Option(help="Text that means that no number was kept, as n/a; may be repeated.")
    ] = None,
    hidden: Annotated[str | None, typer.Option(help="Hidden rows of the sheet: include or skip.")] = None,
    digits: Annotated[
        int | None, typer.Option(min=0, max=12, help="Digits behind the decimal mark that were kept.")
    ] = None,
    rounding: Annotated[float | None, typer.Option(help="Instead: the step that numbers were rounded to.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the statistic; the column's name if left away.")] = None,
    ids_as_numbers: Annotated[
        bool, typer.Option("--ids-as-numbers", help="Take 7 for 007: spreadsheets drop zeros.")
    ] = False,
    allow_unmatched: Annotated[
        bool, typer.Option("--allow-unmatched", help="Leave out rows without image; keep images without a row.")
    ] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Show what would be made, and make nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Make a study from a folder of images and a table of numbers. What is not said is asked for, never guessed.

    Example: `tallymark new my-study --images scans --table kept.xlsx --id image --value "fat %" --kind area_fraction
    --unit percent --structure fat --group patient`
    """
    typed = dict(locals())
    from tallymark.data.group_table import read_group_table
    from tallymark.data.matching import list_images
    from tallymark.data.spreadsheet import Table
    from tallymark.data.table_layout import TableLayout, named_columns
    from tallymark.data.tabulated import plan_study
    from tallymark.errors import StudyError
    from tallymark.measure.definition import UNITS, Statistic

    # Whatever was said and is there is looked at before anybody is asked for the rest.
    choice(kind, "--kind", tuple(UNITS))
    choice(unit, "--unit", tuple(UNITS.get(_any(kind), ())))
    choice(level, "--level", ("image", "group"))
    choice(hidden, "--hidden", ("include", "skip"))
    choice(decimal, "--decimal", ("point", "comma"))
    _spacing(spacing)
    list_images(images)
    if groups is not None:
        read_group_table(groups)
    opened = Table.open(table, sheet=sheet, header=header)
    opened.holding(named_columns(id, value, group, _any(level)))
    ask = Asker(sys.stdin.isatty() and not json)
    id, value, group = _columns(ask, opened, level, id, value, group)
    kind = ask(kind, "--kind", "What do they measure?", choices=tuple(UNITS))
    unit = ask(unit, "--unit", "In which unit are they?", choices=tuple(UNITS.get(_any(kind), ())))
    measured = _names(of) or structure or _names(ask(None, "--structure", "Which structure was measured?"))
    divided = _names(over)
    if kind == "area_ratio" and not divided:
        divided = _names(ask(None, "--over", "Which structures were divided by (with commas between)?"))
    statistic = Statistic(name or value, _any(kind), tuple(measured), tuple(divided), unit)
    if statistic.physical:
        asked = "How large is a pixel (ROW,COLUMN in mm)?"
        spacing = ask(spacing, "--spacing", asked, check=_spacing)
    if ask.answers and group is None and groups is None and level == "image":
        asked = "Which column names the patient? (Enter: no patient has two images)"
        group = ask.maybe("--group", asked, lambda answer: opened.holding(named_columns(id, value, answer, "image")))
    half = _half(ask, statistic, digits, rounding)
    layout = TableLayout(
        id=id,
        value=value,
        group=group,
        groups=groups,
        level=_any(level),
        sheet=sheet,
        header=header,
        hidden=_any(hidden),
        decimal=_any(decimal),
        missing=tuple(missing or ()),
        ids_as_numbers=ids_as_numbers,
    )
    plan = plan_study(images, table, statistic, layout, spacing=_spacing(spacing), half=half)
    if not json:
        _show(plan, allow_unmatched=allow_unmatched)
    elif preview:
        print_json(_document(plan))
        raise typer.Exit(0 if plan.sound(allow_unmatched=allow_unmatched) else StudyError.exit_code)
    plan.require_sound(allow_unmatched=allow_unmatched)
    if preview:
        typer.echo(f"to make it: {_command(typed, ask.answers)}")
        return
    made = plan.create(study, tuple(dict.fromkeys([*(structure or []), *measured, *divided])))
    if json:
        print_json({"study": study, "images": len(made.cases), "numbers": len(plan.numbers), "notes": plan.notes})
    else:
        typer.echo(f"made: {study}: {len(made.cases)} images, {len(plan.numbers)} numbers; the images stay in place")
        typer.echo(f"next: tallymark check {study}")


def _columns(
    ask: Asker, table: Table, level: str, id: str | None, value: str | None, group: str | None
) -> tuple[str, str, str | None]:
    """The columns of the image, of the number and of the patient, each one of the table."""
    from tallymark.data.table_layout import named_columns

    def named(id: str | None, value: str | None, group: str | None) -> None:
        table.holding(named_columns(id, value, group, _any(level)))

    shown = table.columns
    if level == "group" and id is None:
        asked = "Which column names the patient?"
        group = ask(group, "--group", asked, shown=shown, check=lambda answer: named(None, value, answer))
        if ask.answers:
            asked = "Which column names the image? (Enter: a row is of all images of a patient)"
            id = ask.maybe("--id", asked, lambda answer: named(answer, value, group))
        id = id or group
    asked = "Which column names the image?"
    id = ask(id, "--id", asked, shown=shown, check=lambda answer: named(answer, value, group))
    asked = "Which column holds the numbers?"
    value = ask(value, "--value", asked, shown=shown, check=lambda answer: named(id, answer, group))
    return id, value, group


def _half(ask: Asker, statistic: Statistic, digits: int | None, rounding: float | None) -> float | None:
    """Half of the unit that numbers were rounded to; who was asked at all is asked for it, too."""
    from tallymark.data.quantities import half_unit

    half = half_unit(statistic, digits, rounding)
    if half is not None or not ask.answers:
        return half
    asked = "To which step were the numbers rounded? (5, 0.1; Enter: not rounded)"
    answer = ask.maybe("--rounding", asked, lambda answer: half_unit(statistic, None, _step(answer)))
    return half_unit(statistic, None, _step(answer))


def _command(typed: Mapping[str, Any], answers: Mapping[str, str]) -> str:
    """The line that was typed, with what was answered and without ``--preview``, to be typed again."""
    words = ["tallymark", "new", str(typed["study"])]
    for name, value in typed.items():
        option = f"--{name.replace('_', '-')}"
        if name in ("study", "preview") or value is None or value is False or (name, value) == ("level", "image"):
            continue
        if value is True:
            words.append(option)
        else:
            words += [word for each in (value if isinstance(value, list) else [value]) for word in (option, str(each))]
    for option, answer in answers.items():  # several structures in one answer were measured together
        words += ["--of" if option == "--structure" and "," in answer else option, answer]
    return shlex.join(words)


def _step(text: str | None) -> float | None:
    from tallymark.errors import ConfigError

    try:
        return None if text is None else float(text)
    except ValueError as error:
        raise ConfigError("this is no step", where="--rounding", found=repr(text), expected="5, 0.1") from error


def _any(given: str | None) -> Any:
    """A text that was checked against the values of a Literal."""
    return given


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _spacing(text: str | None) -> tuple[float, ...] | Any:
    from tallymark.errors import ConfigError

    if text is None or text == "header":
        return text
    try:
        edges = tuple(float(edge) for edge in text.split(","))
    except ValueError:
        edges = ()
    if len(edges) not in (2, 3) or not all(0 < edge < math.inf for edge in edges):
        expected = "(PLANE,)ROW,COLUMN in mm, for example 0.1,0.1, or header"
        raise ConfigError("this is no spacing", where="--spacing", found=repr(text), expected=expected)
    return edges


def _show(plan: StudyPlan, *, allow_unmatched: bool) -> None:
    """The preview: a few of the rows that are all right, and every one that is not."""
    from tallymark.data.study_plan import gathered

    good = [line for line in plan.lines if line.state == "matched"]
    others = [line for line in plan.lines if line.state != "matched"]
    rows = [
        (line.id or "-", ", ".join(image.name for image in line.images[:3]) or "-", line.value, line.group, line.state)
        for line in [*good[:_SHOWN], *others]
    ]
    columns = ("id in the table", "image", f"{plan.statistic.name}, {plan.statistic.unit}", "group", "state")
    print_table("preview" if len(good) <= _SHOWN else f"preview: {_SHOWN} of {len(good)} matched rows", columns, rows)
    counts = {state: sum(line.state == state for line in plan.lines) for state in {line.state for line in plan.lines}}
    listed = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    faulty = f"; {len(plan.with_faulty_row)} images whose row is faulty" if plan.with_faulty_row else ""
    typer.echo(f"{len(plan.lines)} rows: {listed}; {len(plan.without_row)} images without a row{faulty}")
    accepted = [_accepted(fault) for fault in gathered(plan.unmatched)] if allow_unmatched else []
    for note in [*plan.notes, *accepted]:
        typer.echo(f"note: {note}")
    for fault in gathered([*plan.faults, *([] if allow_unmatched else plan.unmatched)]):
        typer.echo(f"fault: {fault}")


def _accepted(fault: TallymarkError) -> TallymarkError:
    """What was waved through has nothing to mend."""
    return type(fault)(fault.what, where=fault.where, found=fault.found)


def _document(plan: StudyPlan) -> dict[str, Any]:
    return {
        "preview": [
            {"where": line.where, "id": line.id, "value": line.value, "group": line.group, "state": line.state}
            | {"images": [str(image) for image in line.images], "how": line.how}
            for line in plan.lines
        ],
        "without_row": [str(image) for image in plan.without_row],
        "with_faulty_row": [str(image) for image in plan.with_faulty_row],
        "faults": [str(fault) for fault in plan.faults],
        "unmatched": [str(fault) for fault in plan.unmatched],
        "notes": plan.notes,
    }
