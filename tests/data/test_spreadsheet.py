"""Ways to get a spreadsheet wrong: each is one clear error with file, row and remedy, or it is read as it was meant."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import PIL.Image
import pytest

from tallymark.data.group_table import groups_of_images
from tallymark.data.matching import ImageNames
from tallymark.data.spreadsheet import Table, read_sheet
from tallymark.data.study_plan import StudyPlan, gathered
from tallymark.data.table_layout import TableLayout
from tallymark.data.tabulated import plan_study
from tallymark.errors import ConfigError, ReadError, StudyError, TallymarkError
from tallymark.measure.definition import Statistic

Make = Callable[[Path], None]


def statistic(unit: str) -> Statistic:
    kind: Any = "area_fraction" if unit in ("percent", "fraction") else "area"
    return Statistic("fat", kind, of=("fat",), unit=unit)


def csv(text: str | bytes, name: str = "kept.csv") -> Make:
    def make(folder: Path) -> None:
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return make


def excel(rows: Sequence[Sequence[object]], after: Callable[[Any], None] | None = None) -> Make:
    """A workbook with these rows, and what is done to its first sheet afterwards."""

    def make(folder: Path) -> None:
        book = openpyxl.Workbook()
        page = book.active
        for row in rows:
            page.append(list(row))
        if after is not None:
            after(page)
        book.save(folder / "kept.xlsx")

    return make


def formatted(number_format: str, *places: str) -> Callable[[Any], None]:
    def after(page: Any) -> None:
        for place in places:
            page[place].number_format = number_format

    return after


def set_cell(place: str, value: object) -> Callable[[Any], None]:
    def after(page: Any) -> None:
        page[place] = value

    return after


HEAD = ["image", "fat"]


@dataclass
class Wrong:
    """A table that must be refused."""

    make: Make
    says: Sequence[str]
    error: type[TallymarkError] = StudyError
    unit: str = "percent"
    images: Sequence[str] = ("a", "b")
    layout: dict[str, Any] = field(default_factory=dict)


def plan(folder: Path, make: Make, images: Sequence[str], unit: str, **layout: Any) -> StudyPlan:
    (folder / "images").mkdir()
    for name in images:
        path = folder / "images" / (name if name.endswith(".png") else f"{name}.png")
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    make(folder)
    table = next(path for path in folder.iterdir() if path.name != "images")
    chosen = TableLayout(**{"id": "image", "value": "fat", **layout})
    return plan_study(folder / "images", table, statistic(unit), chosen, spacing=(1.0, 1.0))


def hide_row(page: Any) -> None:
    page.row_dimensions[3].hidden = True


def second_sheet(page: Any) -> None:
    page.parent.create_sheet("2020").append(["image", "fat"])


def no_workbook(folder: Path) -> None:
    with zipfile.ZipFile(folder / "kept.xlsx", "w") as archive:
        archive.writestr("content.xml", "<x/>")


def damaged(folder: Path) -> None:
    excel([HEAD, ["a", 1]])(folder)
    data = (folder / "kept.xlsx").read_bytes()
    (folder / "kept.xlsx").write_bytes(data[: len(data) // 2])


def broken_part(folder: Path) -> None:
    with zipfile.ZipFile(folder / "kept.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<no xml")


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
AB = [HEAD, ["a", 1], ["b", 2]]

WRONG = {
    # the file
    "empty file": Wrong(csv(""), ["kept.csv", "empty"], ReadError),
    "blanks only": Wrong(csv(" \n\n"), ["kept.csv", "empty"], ReadError),
    "separators only": Wrong(csv(",,\n,,\n"), ["kept.csv", "empty"], ReadError),
    "a folder": Wrong(lambda folder: (folder / "kept").mkdir(), ["folder"], ReadError),
    "old xls": Wrong(csv(OLE, "kept.xls"), ["before 2007", ".xlsx"], ReadError),
    "password": Wrong(csv(OLE + "EncryptedPackage".encode("utf-16-le"), "k.xlsx"), ["password"], ReadError),
    "web page called xls": Wrong(csv("<html><table>", "kept.xls"), ["web page", ".xlsx"], ReadError),
    "pdf": Wrong(csv(b"%PDF-1.7\n", "kept.csv"), ["PDF"], ReadError),
    "OpenDocument": Wrong(no_workbook, ["OpenDocument", ".xlsx"], ReadError),
    "half a workbook": Wrong(damaged, ["damaged"], ReadError),
    "a workbook with a broken part": Wrong(broken_part, ["damaged"], ReadError),
    "lock file of Excel": Wrong(csv("x", "~$kept.xlsx"), ["kept.xlsx", "Excel leaves"], ReadError),
    "picture called csv": Wrong(csv(b"\x89PNG\r\n\x1a\n\0\0"), ["not a text file"], ReadError),
    "quote never closed": Wrong(csv('image,fat\n"a,1\nb,2\n'), ["double quote"], ReadError),
    # sheets
    "empty workbook": Wrong(excel([]), ["empty"], ReadError),
    "several sheets": Wrong(excel(AB, second_sheet), ["several sheets", "2020", "--sheet"], ConfigError),
    "no such sheet": Wrong(excel(AB), ["2021", "--sheet"], ConfigError, layout={"sheet": "2021"}),
    "sheet of a text table": Wrong(csv("image,fat\na,1\n"), ["no sheets"], ConfigError, layout={"sheet": "x"}),
    # the header
    "header only": Wrong(csv("image,fat\n"), ["row 1", "no row of data"]),
    "no such column": Wrong(excel([["image", "Fat %"], ["a", 1]]), ["no column 'fat'", "'Fat %'", "row 1"]),
    "column twice": Wrong(
        excel([["image", "fat", "fat"], ["a", 1, 2]]), ["'fat' is there twice", "columns B, C", "rename"]
    ),
    "header merged over two columns": Wrong(
        excel([["image", "fat", None], ["a", 1, 2]], lambda page: page.merge_cells("B1:C1")),
        ["merged over several columns", "B1:C1", "row 1", "unmerge"],
    ),
    "two rows could be the header": Wrong(
        excel([HEAD, HEAD, ["a", 1]]), ["several rows", "rows 1, 2", "--header"], ConfigError
    ),
    "header elsewhere than said": Wrong(excel([["notes"], *AB]), ["row 1"], layout={"header": 1}),
    "one column for two purposes": Wrong(excel(AB), ["named twice"], ConfigError, layout={"group": "fat"}),
    # rows
    "decimal comma between commas": Wrong(csv("image,fat\na,12,3\n"), ["row 2", "more cells", "comma"]),
    "hidden rows": Wrong(excel(AB, hide_row), ["row 3", "hidden", "--hidden"]),
    "id missing": Wrong(excel([HEAD, ["a", 1], [None, 2]]), ["row 3", "does not say its image"]),
    "ids merged over rows": Wrong(
        excel([HEAD, ["a", 1], [None, 2]], lambda page: page.merge_cells("A2:A3")), ["row 3", "A2:A3", "unmerge"]
    ),
    "id and number merged": Wrong(
        excel([HEAD, ["a", None], ["b", 2]], lambda page: page.merge_cells("A2:B2")), ["row 2", "column fat (B)"]
    ),
    "id twice, other numbers": Wrong(
        excel([HEAD, ["a", 1], ["b", 2], ["a.png", 3]]), ["row 4", "twice", "3, but 1", "row 2"]
    ),
    "id of two images": Wrong(excel(AB), ["row 2", "2 images have this name", "sub-folder"], images=["a", "x/a", "b"]),
    "row without image": Wrong(excel([*AB, ["zz", 3]]), ["row 4", "'zz'", "--allow-unmatched"]),
    "a mean at the bottom": Wrong(excel([*AB, ["mean", 1.5]]), ["row 4", "'mean'", "no image"]),
    "typing error in an id": Wrong(
        excel([HEAD, ["patient_1", 1], ["patient2", 2]]),
        ["row 3", "is 'patient_2.png' meant?"],
        images=["patient_1", "patient_2"],
    ),
    "image without row": Wrong(excel(AB), ["1 images have no row", "c.png"], images=["a", "b", "c"]),
    "letters of another case, two images": Wrong(
        excel([HEAD, ["AA", 1]]), ["row 2", "2 images have this name"], images=["aa", "x/Aa"]
    ),
    # ids that a spreadsheet changed
    "zeros dropped": Wrong(excel([HEAD, [7, 1]]), ["row 2", "'7'", "--ids-as-numbers"], images=["007"]),
    "id became a date": Wrong(excel([HEAD, [datetime(2024, 2, 1), 1]]), ["row 2, column image (A)", "date", "as text"]),
    "id of 18 digits": Wrong(excel([HEAD, [123456789012345678, 1]]), ["row 2", "15 digits", "as text"]),
    "id became TRUE": Wrong(excel([HEAD, [True, 1]]), ["row 2", "truth value"]),
    # what the number means
    "percent cell, unit fraction": Wrong(
        excel([HEAD, ["a", 0.123]], formatted("0.0%", "B2")),
        ["row 2, column fat (B)", "in percent", "12.3 %", "--unit percent"],
        unit="fraction",
        images=["a"],
    ),
    "percent typed, unit fraction": Wrong(
        csv("image;fat\na;12.3%\n"), ["row 2", "in percent", "--unit percent"], unit="fraction", images=["a"]
    ),
    "percent cells among plain ones": Wrong(
        excel([HEAD, ["a", 0.123], ["b", 12.3]], formatted("0.0%", "B2")), ["row 3", "mixes", "%"]
    ),
    "percent, but mm2 was said": Wrong(excel([HEAD, ["a", "12 %"]]), ["row 2", "percent", "mm2"], unit="mm2"),
    "cm2 in a column of mm2": Wrong(
        excel([HEAD, ["a", "12 mm²"], ["b", "3 cm²"]]), ["row 3", "cm2", "mm2"], unit="mm2"
    ),
    "cm2 in the format": Wrong(
        excel([HEAD, ["a", 3]], formatted('0.0" cm2"', "B2")), ["row 2", "cm2", "mm2"], unit="mm2", images=["a"]
    ),
    "unknown unit in the format": Wrong(
        excel([HEAD, ["a", 3]], formatted('0.0" kg"', "B2")), ["row 2", "unknown unit", "'kg'"], images=["a"]
    ),
    "unknown unit typed": Wrong(excel([HEAD, ["a", "3 kg"]]), ["row 2", "not a number", "'3 kg'"], images=["a"]),
    "all above 1 in fractions": Wrong(
        excel([HEAD, ["a", 12], ["b", 30]]), ["row 2", "all 2 numbers", "--unit percent"], unit="fraction"
    ),
    "one above 1 in fractions": Wrong(
        excel([HEAD, ["a", 0.1], ["b", 1.2]]), ["row 3", "1.2", "0 to 1"], unit="fraction"
    ),
    "most above 1 in fractions": Wrong(
        excel([HEAD, ["a", 0.1], ["b", 12], ["c", 30]]),
        ["row 3", "2 times", "12 in row 3, 30 in row 4", "0 to 1", "--unit percent"],
        unit="fraction",
        images=["a", "b", "c"],
    ),
    "areas in fractions": Wrong(excel([HEAD, ["a", 120], ["b", 300]]), ["row 2", "all 2", "--kind"], unit="fraction"),
    "above 100 percent": Wrong(excel([HEAD, ["a", 10], ["b", 101]]), ["row 3", "101", "0 to 100"]),
    "negative": Wrong(excel([HEAD, ["a", 10], ["b", -1]]), ["row 3", "-1", "0 to 100"]),
    "negative area": Wrong(excel([HEAD, ["a", 10], ["b", "\u22125"]]), ["row 3", "-5"], unit="mm2"),
    # numbers that are none
    "decimal comma": Wrong(csv("image;fat\na;12,3\nb;4\n"), ["row 2", "comma", "--decimal"]),
    "thousands or decimals, comma": Wrong(
        excel([HEAD, ["a", "1,234"], ["b", 1]]),
        ["row 2", "two ways", "1234 or 1.234"],
        unit="mm2",
        layout={"decimal": "point"},
    ),
    "thousands or decimals, point": Wrong(
        csv("image;fat\na;1.234\nb;1\n"),
        ["row 2", "two ways", "1234 or 1,234"],
        unit="mm2",
        layout={"decimal": "comma"},
    ),
    "point where a comma was said": Wrong(
        csv("image;fat\na;12.3\nb;1\n"), ["row 2", "said to be a comma"], layout={"decimal": "comma"}
    ),
    "formula without value": Wrong(excel([HEAD, ["a", "=1+1"]]), ["row 2", "never computed", "=1+1", "save"]),
    "formula in a text table": Wrong(csv("image;fat\na;=B1/2\n"), ["row 2", "formula"]),
    "division by zero": Wrong(excel([HEAD, ["a", "#DIV/0!"]]), ["row 2", "error of the spreadsheet", "#DIV/0!"]),
    "error in a text table": Wrong(csv("image;fat\na;#N/A\n"), ["row 2", "error of the spreadsheet"]),
    "date among numbers": Wrong(
        excel([HEAD, ["a", datetime(2024, 3, 12)]]), ["row 2, column fat (B)", "date", "2024-03-12"]
    ),
    "truth value": Wrong(excel([HEAD, ["a", False]]), ["row 2", "truth value"]),
    "nan": Wrong(csv("image;fat\na;nan\n"), ["row 2", "not a number", "--missing 'nan'"]),
    "inf": Wrong(csv("image;fat\na;inf\n"), ["row 2", "not a number"]),
    "n/a": Wrong(csv("image;fat\na;n/a\n"), ["row 2", "'n/a'", "--missing 'n/a'"]),
    "a bound": Wrong(excel([HEAD, ["a", "<5"]]), ["row 2", "'<5'", "bound"]),
    "a range": Wrong(excel([HEAD, ["a", "10-20"]]), ["row 2", "'10-20'", "one number"]),
    "two numbers": Wrong(excel([HEAD, ["a", "10 / 20"]]), ["row 2", "one number"]),
    "1.2.3": Wrong(excel([HEAD, ["a", "1.2.3"]]), ["row 2", "not a number"]),
    # groups
    "group missing": Wrong(
        excel([[*HEAD, "patient"], ["a", 1, "P1"], ["b", 2, None]]),
        ["row 3", "does not say its group"],
        layout={"group": "patient"},
    ),
    "group with two numbers": Wrong(
        excel([[*HEAD, "patient"], ["a", 1, "P1"], ["b", 2, "P1"]]),
        ["row 3", "'P1' has two numbers", "--level image"],
        layout={"group": "patient", "level": "group"},
    ),
    "group without image": Wrong(
        excel([HEAD, ["P1", 1], ["P2", 2]]), ["row 3", "no image belongs"], images=["P1_a"], layout={"level": "group"}
    ),
    "image of two groups": Wrong(
        excel([HEAD, ["P", 1], ["P_1", 2]]), ["row 3", "two groups"], images=["P_1", "P_2"], layout={"level": "group"}
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_error_with_place_and_remedy(name: str, tmp_path: Path) -> None:
    case = WRONG[name]
    with pytest.raises(TallymarkError) as caught:
        plan(tmp_path, case.make, case.images, case.unit, **case.layout).require_sound()
    assert type(caught.value) is case.error, caught.value
    text = str(caught.value)
    assert "\n" not in text
    for part in case.says:
        assert part in text, text
    assert caught.value.where
    assert caught.value.remedy or caught.value.expected


def test_there_are_at_least_sixty_ways() -> None:
    assert len(WRONG) >= 60


@dataclass
class Right:
    """A table that looks odd and says clearly what it means."""

    make: Make
    values: Sequence[float]
    unit: str = "percent"
    images: Sequence[str] = ("a", "b")
    layout: dict[str, Any] = field(default_factory=dict)


TITLED = [["Fat study"], [], ["image", "side", "fat"], ["a", "left", 1], [], ["b", "right", 2]]

RIGHT = {
    "plain": Right(excel(AB), [1, 2]),
    "percent cells": Right(excel([HEAD, ["a", 0.123], ["b", 0.07]], formatted("0.0%", "B2", "B3")), [12.3, 7]),
    "percent sign that does not multiply": Right(
        excel([HEAD, ["a", 12.3], ["b", 7]], formatted('0.0" %"', "B2", "B3")), [12.3, 7]
    ),
    "zero needs no sign": Right(excel([HEAD, ["a", 0.5], ["b", 0]], formatted("0%", "B2")), [50, 0]),
    "percent typed": Right(excel([HEAD, ["a", "12.3%"], ["b", "7 %"]]), [12.3, 7]),
    "square millimetres typed": Right(excel([HEAD, ["a", "12 mm²"], ["b", "7 mm^2"]]), [12, 7], "mm2"),
    "decimal comma, said": Right(csv("image;fat\na;12,3\nb;7\n"), [12.3, 7], layout={"decimal": "comma"}),
    "thousands, clear": Right(
        csv("image;fat\na;1.234,5\nb;1 000\n"), [1234.5, 1000], "mm2", layout={"decimal": "comma"}
    ),
    "thousands, clear too": Right(
        csv('image,fat\na,"1,234,567"\nb,"1,234.5"\n'), [1234567, 1234.5], "mm2", layout={"decimal": "point"}
    ),
    "tabs": Right(csv("image\tfat\na\t1\nb\t2\n"), [1, 2]),
    "bars": Right(csv("image|fat\na|1\nb|2\n"), [1, 2]),
    "sep line": Right(csv("sep=;\r\nimage;fat\r\na;1\r\nb;2\r\n"), [1, 2]),
    "byte order mark": Right(csv("\ufeffimage,fat\na,1\nb,2\n"), [1, 2]),
    "utf-16 as Excel's Unicode text": Right(csv("image\tfat\na\t1\nb\t2\n".encode("utf-16")), [1, 2]),
    "Windows-1252": Right(csv("image;fat\nM\u00fcller;1\nb;2\n".encode("cp1252")), [1, 2], images=["M\u00fcller", "b"]),
    "accent in two characters": Right(excel([HEAD, ["u\u0308", 1], ["b", 2]]), [1, 2], images=["\u00fc", "b"]),
    "blanks around ids": Right(excel([HEAD, ["a\u00a0", 1], [" b \u200b", 2]]), [1, 2]),
    "blank rows and a title": Right(excel(TITLED), [1, 2]),
    "header merged over two rows": Right(
        excel(
            [["image", "share", None], [None, "fat", "muscle"], ["a", 1, 5], ["b", 2, 6]],
            lambda page: (page.merge_cells("A1:A2"), page.merge_cells("B1:C1")),
        ),
        [1, 2],
    ),
    "header in two lines": Right(
        excel([["image", "fat\nshare"], ["a", 1], ["b", 2]]), [1, 2], layout={"value": "fat share"}
    ),
    "header said": Right(excel([HEAD, *AB]), [1, 2], layout={"header": 2}),
    "sheet said": Right(excel(AB, second_sheet), [1, 2], layout={"sheet": "Sheet"}),
    "file names as ids": Right(excel([HEAD, ["a.png", 1], ["b.png", 2]]), [1, 2]),
    "paths of Windows as ids": Right(excel([HEAD, ["x\\a.png", 1], ["b", 2]]), [1, 2], images=["x/a", "b"]),
    "letters of another case": Right(excel([HEAD, ["A", 1], ["B.PNG", 2]]), [1, 2]),
    "zeros kept by the format": Right(
        excel([HEAD, [7, 1], [12, 2]], formatted("000", "A2", "A3")), [1, 2], images=["007", "012"]
    ),
    "zeros dropped, said": Right(
        excel([HEAD, [7, 1], [12, 2]]), [1, 2], images=["007", "012"], layout={"ids_as_numbers": True}
    ),
    "zeros guarded in a text table": Right(csv('image,fat\n="007",1\nb,2\n'), [1, 2], images=["007", "b"]),
    "several columns": Right(
        excel([["patient", "side", "fat"], ["P1", "L", 1], ["P1", "R", 2]]),
        [1, 2],
        images=["P1_L", "P1_R"],
        layout={"id": "{patient}_{side}"},
    ),
    "the same row twice": Right(excel([HEAD, ["a", 1], ["b", 2], ["a", 1]]), [1, 2]),
    "hidden rows skipped": Right(
        excel([HEAD, ["b", 2], ["zz", 1], ["a", 1]], hide_row), [1, 2], layout={"hidden": "skip"}
    ),
    "hidden rows counted": Right(excel(AB, hide_row), [1, 2], layout={"hidden": "include"}),
    "missing, said": Right(excel([HEAD, ["a", 1], ["b", "n/a"]]), [1, math.nan], layout={"missing": ("n/a",)}),
    "missing, empty": Right(excel([HEAD, ["a", 1], ["b", None]]), [1, math.nan]),
    "workbook called csv": Right(
        lambda folder: (excel(AB)(folder), (folder / "kept.xlsx").rename(folder / "k.csv")), [1, 2]
    ),
    "exponent": Right(csv("image,fat\na,1e1\nb,.5\n"), [10, 0.5]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_clear_is_read_as_it_was_meant(name: str, tmp_path: Path) -> None:
    case = RIGHT[name]
    found = plan(tmp_path, case.make, case.images, case.unit, **case.layout)
    found.require_sound()
    kept = {row.id: row.value for row in found.numbers}
    ids = [Path(image).stem for image in case.images]
    assert [kept.get(name, math.nan) for name in ids] == pytest.approx(list(case.values), nan_ok=True, abs=0)


@pytest.mark.parametrize(
    ("make", "columns"),
    [
        (excel(TITLED), ("image", "side", "fat")),
        (csv("image;fat;muscle\na;12,3;4,5\nb;7,1;8,2\n"), ("image", "fat", "muscle")),
        (csv("image\tfat\na\tn/a\n"), ("image", "fat")),
    ],
)
def test_the_columns_to_choose_from_are_those_of_the_header(
    make: Make, columns: tuple[str, ...], tmp_path: Path
) -> None:
    make(tmp_path)
    assert Table.open(next(tmp_path.iterdir())).columns == columns


def test_a_formula_with_a_stored_value_counts(tmp_path: Path) -> None:
    # openpyxl stores no value beside a formula: it is put into the sheet by hand, as Excel does.
    excel([HEAD, ["a", "=1+1"]])(tmp_path)
    source = zipfile.ZipFile(io.BytesIO((tmp_path / "kept.xlsx").read_bytes()))
    with zipfile.ZipFile(tmp_path / "kept.xlsx", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "xl/worksheets/sheet1.xml":
                assert b"<v></v>" in data or b"<v />" in data or b"<v/>" in data
                for empty in (b"<v></v>", b"<v />", b"<v/>"):
                    data = data.replace(empty, b"<v>2</v>")
            target.writestr(name, data)
    cell = read_sheet(tmp_path / "kept.xlsx", ["image", "fat"]).rows[0].cells["fat"]
    assert (cell.number, cell.fault) == (2.0, "")


def test_a_faulty_row_does_not_hide_the_others(tmp_path: Path) -> None:
    rows = [HEAD, ["a", "x"], ["b", 200], ["zz", 1]]
    found = plan(tmp_path, excel(rows), ["a", "b"], "percent")
    assert [line.state for line in found.lines] == ["faulty", "faulty", "no image"]
    assert len(found.faults) == 2
    assert len(found.unmatched) == 1
    with pytest.raises(StudyError, match="the first of 3 faults"):
        found.require_sound()


def test_the_same_fault_is_told_once_and_another_by_itself(tmp_path: Path) -> None:
    rows = [HEAD, *([number, 1] for number in range(7, 14)), ["b", "n/a"], ["x", 1]]
    found = plan(tmp_path, excel(rows), [*(f"{number:03d}" for number in range(7, 14)), "b"], "percent")
    told = [str(fault) for fault in gathered([*found.faults, *found.unmatched])]
    assert len(found.unmatched) == 9  # seven ids without their zeros, one that is nowhere, and the images
    assert len(told) == 4
    assert "this is not a number; found 'n/a'" in told[0]
    assert "row 2: no image has this name, 7 times; found '7' in row 2, '8' in row 3" in told[1]
    assert "'11' in row 6 and 2 more" in told[1]
    assert "--ids-as-numbers 7 means 007" in told[1]
    assert "row 10: no image has this name; found 'x'" in told[2]


def test_unmatched_rows_and_images_can_be_waved_through(tmp_path: Path) -> None:
    found = plan(tmp_path, excel([HEAD, ["a", 1], ["zz", 2]]), ["a", "b"], "percent")
    found.require_sound(allow_unmatched=True)
    made = found.create(tmp_path / "study", ["fat"])
    assert [case.id for case in made.cases] == ["a", "b"]
    assert {key[0]: number.value for key, number in made.numbers().items()} == {"a": 0.01}


def test_two_repeated_rows_are_said(tmp_path: Path) -> None:
    found = plan(tmp_path, excel([HEAD, ["a", 1], ["a", 1]]), ["a"], "percent")
    assert [line.state for line in found.lines] == ["matched", "repeated"]


def test_a_number_of_a_group_counts_for_all_its_images(tmp_path: Path) -> None:
    rows = [HEAD, ["P1", 10], ["P2", 20]]
    found = plan(tmp_path, excel(rows), ["P1_a", "P1_b", "P2/x"], "percent", level="group")
    found.require_sound()
    made = found.create(tmp_path / "study", ["fat"])
    assert {key[0]: number.value for key, number in made.group_numbers().items()} == {"P1": 0.1, "P2": 0.2}
    assert {case.id: case.group for case in made.cases} == {"P1_a": "P1", "P1_b": "P1", "x": "P2"}


SCANS = ["left", "right", "other"]  # names that say nothing of their patients
OF_PATIENTS = "id,group\nleft,P1\nright.png,P1\nother,P2\n"


def by_patient(folder: Path, rows: Sequence[Sequence[object]], groups: str = OF_PATIENTS, **layout: Any) -> StudyPlan:
    """The plan of a table with a row for each patient, and of a table that says whose image is whose."""
    (folder / "of_patients").mkdir()
    table = folder / "of_patients" / "groups.csv"
    table.write_text(groups)
    (folder / "clinic").mkdir()
    layout = {"id": "patient", "value": "total", "level": "group", "groups": table, **layout}
    return plan(folder / "clinic", excel([["patient", "total"], *rows]), SCANS, "mm2", **layout)


@pytest.mark.parametrize("group", [None, "patient"])
def test_totals_of_patients_go_with_a_table_of_whose_image_is_whose(tmp_path: Path, group: str | None) -> None:
    found = by_patient(tmp_path, [["P1", 10], ["P2", 20]], group=group)
    found.require_sound()
    assert [sorted(image.stem for image in line.images) for line in found.lines] == [["left", "right"], ["other"]]
    made = found.create(tmp_path / "study", ["fat"])
    assert {key[0]: number.value for key, number in made.group_numbers().items()} == {"P1": 10, "P2": 20}
    assert {case.id: case.group for case in made.cases} == {"left": "P1", "right": "P1", "other": "P2"}


def test_a_patient_without_an_image_and_images_of_a_patient_without_a_total_are_unmatched(tmp_path: Path) -> None:
    found = by_patient(tmp_path, [["P1", 10], ["P3", 20]])
    assert [str(fault).split("; to mend")[0].split("row ")[-1] for fault in found.unmatched] == [
        "3: no image belongs to this group; found 'P3'",
        "for their group; found other.png",
    ]
    assert "groups.csv" in (found.unmatched[0].remedy or "")
    with pytest.raises(StudyError, match="no image belongs"):
        found.require_sound()
    found.require_sound(allow_unmatched=True)
    made = found.create(tmp_path / "study", ["fat"])
    assert {key[0]: number.value for key, number in made.group_numbers().items()} == {"P1": 10}
    assert made.case("other").group == "P2"  # known all the same, so that splits do not leak


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ("id,group\nleft,P1\nright,P1\n", "images without a group; found 1: other.png"),
        ("id,group\nleft,P1\nright,P1\nother,P2\nleft.png,P2\n", "'left.png' is in two groups; found P1 and P2"),
    ],
)
def test_a_table_of_whose_image_is_whose_must_be_complete_and_clear(tmp_path: Path, groups: str, says: str) -> None:
    found = by_patient(tmp_path, [["P1", 10], ["P2", 20]], groups)
    assert [says in str(fault) for fault in found.faults] == [True]


def test_an_id_in_the_table_of_groups_that_means_two_images_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("id,group\na,P1\nx/a,P2\n")
    files = [Path("i/x/a.png"), Path("i/y/a.png")]
    found, faults = groups_of_images(table, files, Path("i"), ImageNames(files, Path("i")))
    assert found == {files[0]: "P2"}
    assert [fault.what for fault in faults] == ["2 images have the name 'a'", "images without a group"]


def test_a_second_table_says_the_patients_of_numbers_of_images_too(tmp_path: Path) -> None:
    found = by_patient(tmp_path, [["left", 1], ["right", 2], ["other", 3]], level="image")
    found.require_sound()
    assert {case.id: case.group for case in found.cases} == {"left": "P1", "right": "P1", "other": "P2"}
    assert not any("no --group" in note for note in found.notes)


def test_a_total_may_be_repeated_on_every_image_of_its_patient(tmp_path: Path) -> None:
    rows = [[*HEAD, "patient"], ["a", 10, "P1"], ["b", 10, "P1"]]
    found = plan(tmp_path, excel(rows), ["a", "b"], "percent", group="patient", level="group")
    found.require_sound()
    assert [(row.level, row.id, row.value) for row in found.numbers] == [("group", "P1", 10)]


def test_a_picture_that_cannot_be_read_is_a_fault_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    excel([HEAD, ["a", 1]])(tmp_path)
    layout = TableLayout("image", "fat")
    found = plan_study(tmp_path / "images", tmp_path / "kept.xlsx", statistic("percent"), layout)
    assert [fault.where for fault in found.faults] == [str(tmp_path / "images" / "a.png")]


def test_an_area_needs_the_size_of_a_pixel(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    PIL.Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "images" / "a.png")
    excel([HEAD, ["a", 1]])(tmp_path)
    layout = TableLayout("image", "fat")
    for spacing, said in ((None, "--spacing"), ("header", "does not state"), ((1.0, 1.0, 1.0), "does not fit")):
        found = plan_study(
            tmp_path / "images",
            tmp_path / "kept.xlsx",
            statistic("mm2"),
            layout,
            spacing=spacing,  # type: ignore[arg-type]
        )
        assert said in str(found.faults[0])
