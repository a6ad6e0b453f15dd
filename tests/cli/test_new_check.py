"""``new`` and ``check`` as a clinical research group types them."""

from __future__ import annotations

import json
import shlex
import sys
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
from tallymark.errors import ConfigError, StudyError, TallymarkError

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


def test_somebody_at_the_terminal_is_asked(clinic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tallymark.cli.new.sys", type("sys", (), {"stdin": type("stdin", (), {"isatty": lambda: True})})
    )
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
    assert "this is no step" in str(run(*words(clinic), answers=answers[:-2] + "five\n").exception)
    assert sys.stdin is not None


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
