"""``new`` and ``check`` as a clinical research group types them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import openpyxl
import PIL.Image
import pytest
import typer
from typer.testing import CliRunner, Result

from tallymark.cli.check import check
from tallymark.cli.new import new
from tallymark.data.study import Study
from tallymark.errors import ConfigError, ReadError, StudyError, TallymarkError

app = typer.Typer()
app.command("new")(new)
app.command("check")(check)


def run(*words: object, answers: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=answers)


def refused(*words: object) -> TallymarkError:
    error = run(*words).exception
    assert isinstance(error, TallymarkError), error
    return error


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """Sixty images of thirty patients and what was kept of them."""
    rng = np.random.default_rng(0)
    book = openpyxl.Workbook()
    page = book.active
    page.append(["image", "patient", "fat"])
    for number in range(60):
        path = tmp_path / "scans" / f"{number:03d}.png"
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(rng.integers(0, 256, (24, 24)).astype(np.uint8)).save(path)
        page.append([f"{number:03d}", f"P{number // 2}", 0.125])
        page.cell(number + 2, 3).number_format = "0.0%"
    book.save(tmp_path / "kept.xlsx")
    return tmp_path


def words(clinic: Path, *more: object) -> list[object]:
    return ["new", clinic / "study", "--images", clinic / "scans", "--table", clinic / "kept.xlsx", *more]


MEANING = ("--id", "image", "--value", "fat", "--kind", "area_fraction", "--unit", "percent", "--structure", "fat")


def test_a_folder_and_a_workbook_become_a_study(clinic: Path) -> None:
    before = sorted(path.stat().st_mtime_ns for path in (clinic / "scans").iterdir())
    result = run(*words(clinic, *MEANING, "--group", "patient", "--digits", 1))
    assert result.exit_code == 0, result.output
    assert "60 rows: 60 matched; 0 images without a row" in result.output
    made = Study.open(clinic / "study")
    assert (len(made.cases), len({case.group for case in made.cases})) == (60, 30)
    number = made.numbers()["007", "fat"]
    assert (number.value, number.low, number.high) == pytest.approx((0.125, 0.1245, 0.1255))
    assert made.cases[0].image == (clinic / "scans" / "000.png").resolve()
    assert sorted(path.stat().st_mtime_ns for path in (clinic / "scans").iterdir()) == before
    assert "holds a study already" in str(refused(*words(clinic, *MEANING)))


def test_a_preview_makes_nothing(clinic: Path) -> None:
    result = run(*words(clinic, *MEANING, "--preview"))
    assert result.exit_code == 0
    assert "every image counts as a patient of its own" in result.output
    document = json.loads(run(*words(clinic, *MEANING, "--preview", "--json")).output)
    assert len(document["preview"]) == 60
    assert document["preview"][7] | {"where": "", "images": []} == {
        "where": "",
        "id": "007",
        "value": 12.5,
        "group": "",
        "state": "matched",
        "images": [],
        "how": "stem",
    }
    assert not (clinic / "study").exists()


def test_a_preview_with_faults_ends_with_their_code(clinic: Path) -> None:
    (clinic / "scans" / "007.png").rename(clinic / "scans" / "new.png")
    result = run(*words(clinic, *MEANING, "--preview", "--json"))
    assert result.exit_code == 3
    assert len(json.loads(result.output)["unmatched"]) == 2
    shown = run(*words(clinic, *MEANING, "--preview"))
    assert "row 9: no image has this name" in shown.output.replace("\n", "")
    assert isinstance(shown.exception, StudyError)
    assert run(*words(clinic, *MEANING, "--allow-unmatched")).exit_code == 0
    assert len(Study.open(clinic / "study").numbers()) == 59


@pytest.mark.parametrize("option", ["--id", "--value", "--kind", "--unit", "--structure"])
def test_what_is_not_said_is_never_guessed(clinic: Path, option: str) -> None:
    place = MEANING.index(option)
    error = refused(*words(clinic, *MEANING[:place], *MEANING[place + 2 :]))
    assert isinstance(error, ConfigError)
    assert error.where == option
    assert option in (error.remedy or "")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is there to be asked."""
    monkeypatch.setattr(
        "tallymark.cli.new.sys", type("sys", (), {"stdin": type("stdin", (), {"isatty": lambda: True})})
    )


@pytest.mark.usefixtures("terminal")
def test_somebody_at_the_terminal_is_asked(clinic: Path) -> None:
    answers = "image\nfat\narea_fraction\npercent\nfat\npatient\n5\n"
    shown = run(*words(clinic, "--preview"), answers=answers)
    assert shown.exit_code == 0, shown.output
    assert "12 of 60 matched rows" in shown.output
    line = shlex.split(shown.output.split("to make it: ")[1])
    assert run(*line[line.index("new") :]).exit_code == 0  # as it stands there, nothing is asked again
    made = Study.open(clinic / "study")
    assert made.statistics[0].unit == "percent"
    assert made.case("007").group == "P3"
    assert made.numbers()["007", "fat"].high == pytest.approx(0.15)
    assert run(*words(clinic, "--name", "x", "--preview"), answers=answers[:-2] + "\n").exit_code == 0  # not rounded


@pytest.mark.usefixtures("terminal")
def test_an_answer_that_cannot_be_used_is_asked_for_again(clinic: Path) -> None:
    answers = "picture\nimage\nimage\nfat\nsize\narea_fraction\nmm2\npercent\nfat\npatent\npatient\nfive\n500\n5\n"
    shown = run(*words(clinic, "--preview"), answers=answers)
    assert shown.exit_code == 0, shown.output
    for said in (
        "Which column names the image? (image, patient, fat)",
        "there is no column 'picture'",
        "a column is named twice; found image, image",
        "--kind: this is not offered; found 'size'",
        "--unit: this is not offered; found 'mm2'; expected fraction or percent",
        "there is no column 'patent'",
        "--rounding: this is no step; found 'five'",
        "this rounding cannot be; found 500",
    ):
        assert said in shown.output
    line = shlex.split(shown.output.split("to make it: ")[1])
    assert line[line.index("--id") :] == [
        *("--id", "image", "--value", "fat", "--kind", "area_fraction", "--unit", "percent", "--structure", "fat"),
        *("--group", "patient", "--rounding", "5"),
    ]


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--images", "nowhere"], "nowhere: there is no such folder"),
        (["--table", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["--groups", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["--value", "fatt"], "there is no column 'fatt'; found image, patient, fat"),
        (["--kind", "size"], "--kind: this is not offered"),
        (["--kind", "area_fraction", "--unit", "mm2"], "--unit: this is not offered"),
        (["--spacing", "0.1"], "this is no spacing"),
    ],
)
def test_what_was_said_is_looked_at_before_anything_is_asked(clinic: Path, more: list[str], says: str) -> None:
    result = run(*words(clinic, *more), answers="")
    assert isinstance(result.exception, TallymarkError)
    assert says in str(result.exception)
    assert "Which column" not in result.output


@pytest.mark.parametrize(("option", "what"), [("--images", "no such folder"), ("--table", "cannot be read")])
def test_a_script_is_told_what_is_not_there_before_what_was_not_said(clinic: Path, option: str, what: str) -> None:
    error = refused(*words(clinic, option, "nowhere"))
    assert isinstance(error, ReadError)
    assert what in str(error)


@pytest.fixture
def patients(clinic: Path) -> Path:
    """A total for each of the thirty patients, and whose image is whose."""
    (clinic / "patients.csv").write_text("patient,total\n" + "".join(f"P{p},{p + 1}\n" for p in range(30)))
    rows = "".join(f"{number:03d},P{number // 2}\n" for number in range(60))
    (clinic / "groups.csv").write_text("id,group\n" + rows)
    return clinic


TOTAL = ("--value", "total", "--kind", "area", "--unit", "mm2", "--structure", "fat", "--spacing", "1,1")


@pytest.mark.parametrize("named", [["--group"], ["--id"], ["--id", "patient", "--group"]])
def test_a_row_for_each_patient(patients: Path, named: list[str]) -> None:
    line = words(patients, *TOTAL, "--level", "group", *named, "patient", "--table", patients / "patients.csv")
    apart = refused(*line)
    assert "no image belongs to this group" in apart.what
    assert "--groups" in (apart.remedy or "")
    result = run(*line, "--groups", patients / "groups.csv")
    assert result.exit_code == 0, result.output
    assert "30 rows: 30 matched; 0 images without a row" in result.output
    made = Study.open(patients / "study")
    assert made.group_numbers()["P3", "total"].value == 4
    assert [case.id for case in made.cases if case.group == "P3"] == ["006", "007"]


@pytest.mark.usefixtures("terminal")
def test_at_the_level_of_groups_the_patient_is_asked_for(patients: Path) -> None:
    line = words(patients, *TOTAL, "--level", "group", "--table", patients / "patients.csv")
    shown = run(*line, "--groups", patients / "groups.csv", "--preview", answers="patient\n\n\n")
    assert shown.exit_code == 0, shown.output
    assert "Which column names the patient? (patient, total)" in shown.output
    typed = shlex.split(shown.output.split("to make it: ")[1])
    assert run(*typed[typed.index("new") :]).exit_code == 0
    assert Study.open(patients / "study").group_numbers()["P3", "total"].value == 4


def test_the_same_fault_in_many_rows_is_told_once(clinic: Path) -> None:
    rows = "".join(f"{number:03d},{0.5 if number == 0 else number + 1}\n" for number in range(60))
    (clinic / "kept.csv").write_text("image,fat\n" + rows)
    meaning = [*MEANING[:-4], "--unit", "fraction", "--structure", "fat", "--table", clinic / "kept.csv"]
    result = run(*words(clinic, *meaning, "--preview"))
    faults = [line for line in result.output.splitlines() if line.startswith("fault: ")]
    assert len(faults) == 1
    assert "row 3, column fat (B): this cannot be area_fraction in fraction, 59 times; found 2 in row 3" in faults[0]
    assert "6 in row 7 and 54 more" in faults[0]
    assert "if the numbers are percent, give --unit percent" in faults[0]
    assert "first of" not in str(result.exception)


def test_what_was_waved_through_is_a_note(clinic: Path) -> None:
    (clinic / "scans" / "007.png").rename(clinic / "scans" / "new.png")
    refusal = run(*words(clinic, *MEANING)).output
    assert refusal.count("fault: ") == 2
    made = run(*words(clinic, *MEANING, "--allow-unmatched"))
    assert made.exit_code == 0
    assert "fault: " not in made.output
    notes = [line for line in made.output.splitlines() if line.startswith("note: ")]
    assert any("images have no row; found new.png" in note for note in notes)
    assert any("row 9: no image has this name; found '007'" in note for note in notes)


def test_an_image_whose_row_is_faulty_has_a_row(clinic: Path) -> None:
    book = openpyxl.load_workbook(clinic / "kept.xlsx")
    book.active["C4"] = "many"  # the number of image 002
    book.active["B5"] = None  # the patient of image 003
    book.save(clinic / "kept.xlsx")
    (clinic / "scans" / "new.png").write_bytes((clinic / "scans" / "000.png").read_bytes())
    result = run(*words(clinic, *MEANING, "--group", "patient", "--allow-unmatched", "--preview"))
    assert "60 rows: 2 faulty, 58 matched; 1 images without a row; 2 images whose row is faulty" in result.output
    assert [line.split(":")[0] for line in result.output.splitlines() if "new.png" in line] == ["note"]
    document = json.loads(run(*words(clinic, *MEANING, "--group", "patient", "--preview", "--json")).output)
    assert [Path(name).stem for name in document["with_faulty_row"]] == ["002", "003"]


def test_the_line_to_type_again_says_what_was_said(clinic: Path) -> None:
    said = (*MEANING, "--group", "patient", "--digits", "0", "--missing", "n/a", "--missing", "-", "--ids-as-numbers")
    line = shlex.split(run(*words(clinic, *said, "--preview")).output.split("to make it: ")[1])
    expected = [str(word) for word in words(clinic, *said)]
    assert sorted(line[line.index("new") :]) == sorted(expected)


def test_numbers_that_look_rounded_are_pointed_out(clinic: Path) -> None:
    rows = "".join(f"{number:03d},P{number // 2},{5 * (number % 4)}\n" for number in range(60))
    (clinic / "kept.csv").write_text("image,patient,fat\n" + rows)
    line = [
        "new",
        clinic / "study",
        "--images",
        clinic / "scans",
        "--table",
        clinic / "kept.csv",
        *MEANING,
        "--preview",
    ]
    plain = run(*line).output
    assert "all numbers are multiples of 5 and count as exact" in plain
    assert "15 numbers are exactly 0: no pixel of these images is fat" in plain
    rounded = run(*line, "--rounding", "5").output
    assert "rounded: 0 counts as 0 to 2.5" in rounded
    assert "exact" not in rounded


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--unit", "mm2"], "this is not offered"),
        (["--kind", "size"], "this is not offered"),
        (["--level", "patient"], "image or group"),
        (["--decimal", "dot"], "point or comma"),
        (["--hidden", "maybe"], "include or skip"),
        (["--spacing", "0.1"], "this is no spacing"),
        (["--spacing", "0,1"], "this is no spacing"),
        (["--spacing", "a,b"], "this is no spacing"),
        (["--digits", "1", "--rounding", "0.5"], "exclude each other"),
        (["--rounding", "0"], "rounding"),
        (["--rounding", "101"], "rounding"),
        (["--id", "picture"], "no column 'picture'"),
        (["--sheet", "2"], "no sheet '2'"),
    ],
)
def test_options_that_cannot_be_used(clinic: Path, more: list[str], says: str) -> None:
    assert says in str(refused(*words(clinic, *MEANING, *more)))
    assert not (clinic / "study").exists()


def test_a_ratio_of_two_structures(clinic: Path) -> None:
    meaning = ("--id", "image", "--value", "fat", "--kind", "area_ratio", "--unit", "percent")
    assert refused(*words(clinic, *meaning, "--of", "fat")).where == "--over"
    result = run(*words(clinic, *meaning, "--of", "fat", "--over", "fat, muscle", "--name", "fat share"))
    assert result.exit_code == 0, result.output
    made = Study.open(clinic / "study")
    assert made.structures == ("fat", "muscle")
    assert (made.statistics[0].name, made.statistics[0].over) == ("fat share", ("fat", "muscle"))


def test_an_area_asks_for_the_size_of_a_pixel(clinic: Path) -> None:
    book = openpyxl.load_workbook(clinic / "kept.xlsx")
    for row in range(2, 62):
        book.active.cell(row, 3).number_format = "0.0"
    book.save(clinic / "kept.xlsx")
    meaning = ("--id", "image", "--value", "fat", "--kind", "area", "--unit", "mm2", "--structure", "fat")
    assert refused(*words(clinic, *meaning)).where == "--spacing"
    assert "another dimension" in str(refused(*words(clinic, *meaning[:-3], "ml", *meaning[-2:], "--spacing", "1,1")))
    assert run(*words(clinic, *meaning, "--spacing", "0.1,0.2")).exit_code == 0
    assert Study.open(clinic / "study").cases[0].spacing == (0.1, 0.2)


def test_check_lists_ends_with_a_code_and_mends(clinic: Path) -> None:
    (clinic / "scans" / "001.png").write_bytes((clinic / "scans" / "000.png").read_bytes())
    (clinic / "scans" / "002.png").write_bytes((clinic / "scans" / "000.png").read_bytes())
    assert run(*words(clinic, *MEANING, "--structure", "fat")).exit_code == 0
    result = run("check", clinic / "study")
    assert "3 images of 3 groups are the same file" in result.output
    assert "without marks nothing says where" in result.output
    document = json.loads(run("check", clinic / "study", "--group-duplicates", "--json").output)
    assert document["regrouped"]["merged"] == {"000": ["000", "001", "002"]}
    assert document["errors"] == 0
    assert {finding["severity"] for finding in document["findings"]} == {"warning"}
    assert len({case.split for case in Study.open(clinic / "study").cases if case.id in ("000", "001", "002")}) == 1
    (clinic / "scans" / "030.png").unlink()
    result = run("check", clinic / "study")
    assert result.exit_code == 3
    assert "030.png" in result.output
    assert "60 cases, 59 images opened: 1 error, 1 warning\n" in result.output
