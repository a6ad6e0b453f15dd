"""``new``: a folder of images and a spreadsheet of numbers become a study."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallymark.cli.output import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tallymark.data.study_plan import StudyPlan

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
    from tallymark.data.quantities import half_unit
    from tallymark.data.table_layout import TableLayout
    from tallymark.data.tabulated import plan_study
    from tallymark.errors import StudyError
    from tallymark.measure.definition import UNITS, Statistic

    ask = _Asker(sys.stdin.isatty() and not json)
    id = ask(id, "--id", "Which column names the image?")
    value = ask(value, "--value", "Which column holds the numbers?")
    kind = ask(kind, "--kind", "What do they measure?", tuple(UNITS))
    unit = ask(unit, "--unit", "In which unit are they?", tuple(UNITS.get(_any(kind), ())))
    measured = _names(of) or structure or _names(ask(None, "--structure", "Which structure was measured?"))
    divided = _names(over)
    if kind == "area_ratio" and not divided:
        divided = _names(ask(None, "--over", "Which structures were divided by (with commas between)?"))
    if kind in ("area", "longest_axis", "shortest_axis"):
        spacing = ask(spacing, "--spacing", "How large is a pixel (ROW,COLUMN in mm)?")
    # Who was asked at all is asked for what can be left away, too.
    if ask.answers and group is None and level == "image":
        group = ask.maybe("--group", "Which column names the patient? (Enter: no patient has two images)")
    if ask.answers and digits is None and rounding is None:
        rounding = _step(
            ask.maybe("--rounding", "To which step were the numbers rounded? (5, 0.1; Enter: not rounded)")
        )
    statistic = Statistic(name or value, _any(kind), tuple(measured), tuple(divided), unit)
    layout = TableLayout(
        id=id,
        value=value,
        group=group,
        level=_choice(level, "--level", ("image", "group")),
        sheet=sheet,
        header=header,
        hidden=_choice(hidden, "--hidden", ("include", "skip")),
        decimal=_choice(decimal, "--decimal", ("point", "comma")),
        missing=tuple(missing or ()),
        ids_as_numbers=ids_as_numbers,
    )
    half = half_unit(statistic, digits, rounding)
    plan = plan_study(images, table, statistic, layout, spacing=_spacing(spacing), half=half)
    if not json:
        _show(plan)
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


class _Asker:
    """Asks for what was not given where somebody is there to answer; else says which option is missing."""

    def __init__(self, somebody: bool) -> None:
        self._somebody = somebody
        self.answers: dict[str, str] = {}

    def __call__(self, given: str | None, option: str, question: str, choices: Sequence[str] = ()) -> str:
        from tallymark.errors import ConfigError

        expected = ", ".join(choices) or None
        if given is None and not self._somebody:
            remedy = f"say so with {option}: it is never guessed"
            raise ConfigError(question, where=option, expected=expected, remedy=remedy)
        if given is None:
            given = self._answer(option, f"{question} ({expected})" if expected else question)
        if choices and given not in choices:
            raise ConfigError("this is not offered", where=option, found=repr(given), expected=expected)
        return given

    def maybe(self, option: str, question: str) -> str | None:
        """What somebody says of something that need not be said; None if it is nothing."""
        return self._answer(option, question, default="") or None

    def _answer(self, option: str, question: str, default: str | None = None) -> str:
        answer = str(typer.prompt(question, default=default, show_default=False, prompt_suffix=" ", err=True)).strip()
        if answer:
            self.answers[option] = answer
        return answer


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


def _choice(given: str | None, option: str, choices: Sequence[str]) -> Any:
    from tallymark.errors import ConfigError

    if given is not None and given not in choices:
        raise ConfigError("this is not offered", where=option, found=repr(given), expected=" or ".join(choices))
    return given


def _any(given: str) -> Any:
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


def _show(plan: StudyPlan) -> None:
    """The preview: a few of the rows that are all right, and every one that is not."""
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
    typer.echo(f"{len(plan.lines)} rows: {listed}; {len(plan.without_row)} images without a row")
    for note in plan.notes:
        typer.echo(f"note: {note}")
    for fault in [*plan.faults, *plan.unmatched]:
        typer.echo(f"fault: {fault}")


def _document(plan: StudyPlan) -> dict[str, Any]:
    return {
        "preview": [
            {"where": line.where, "id": line.id, "value": line.value, "group": line.group, "state": line.state}
            | {"images": [str(image) for image in line.images], "how": line.how}
            for line in plan.lines
        ],
        "without_row": [str(image) for image in plan.without_row],
        "faults": [str(fault) for fault in plan.faults],
        "unmatched": [str(fault) for fault in plan.unmatched],
        "notes": plan.notes,
    }
