"""From run folders to content: the right figures, the right pictures, one clear error for what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tallymark.errors import ConfigError, ReadError, TallymarkError
from tallymark.report import read_report, read_run, render

MakeRun = Callable[..., Path]


def test_a_run_is_read_whole(make_run: MakeRun) -> None:
    run = read_run(make_run("first"))
    assert (run.name, run.recipe, run.seed, run.mask_free) == ("first", "paper", 7, True)
    assert run.learned_from == "numbers and marks"
    assert (run.structures, run.images) == (("lesion",), 5)
    assert {score.name: score.text for score in run.scores} == {
        "IoU per image": "0.600",
        "IoU pooled": "0.650",
        "Dice per image": "0.700",
        "Empty kept empty": "1.000",
        "Mark hit rate": "n/a",
        "Number error": "0.125",
        "Bias": "+0.125",
        "Limits of agreement": "-0.010 to +0.260",
    }
    (pairs,) = run.numbers
    assert pairs.predicted.tolist() == [0.25] * 5
    assert pairs.recorded.tolist() == [0.125] * 5
    assert run.environment["versions"] == {"torch": "2.15.0"}
    assert run.settings["evaluation"] == {"per_image": "over the images that have it"}


def test_a_supervised_run_says_so(make_run: MakeRun) -> None:
    run = read_run(make_run("second", recipe="full"))
    assert not run.mask_free
    assert run.learned_from == "full masks"


def test_examples_are_best_median_and_worst(make_run: MakeRun) -> None:
    folder = make_run("first")
    examples = read_run(folder).examples
    # 0.9, 0.7, 0.6, 0.2: of an even number the lower middle is shown; the image without the structure is none of them.
    assert [(example.id, example.caption) for example in examples] == [
        ("007", "best, IoU 0.900\npredicted 0.25, recorded 0.125"),
        ("c", "median, IoU 0.600\npredicted 0.25, recorded 0.125"),
        ("NA", "worst, IoU 0.200\npredicted 0.25, recorded 0.125"),
    ]
    assert examples[0].png == folder / "predictions/test/overlays/007.png"


@pytest.mark.parametrize(
    ("iou", "shown"),
    [({"a": 0.5}, ["a"]), ({"a": 0.5, "b": 0.7}, ["b", "a"]), ({"a": None}, []), ({"a": 0.0, "b": None}, ["a"])],
)
def test_few_images_are_shown_once(make_run: MakeRun, iou: dict[str, float | None], shown: list[str]) -> None:
    assert [example.id for example in read_run(make_run("first", iou=iou)).examples] == shown


def test_several_structures_and_statistics_have_lines_of_their_own(make_run: MakeRun) -> None:
    folder = make_run("first", structures=("fat", "muscle"), statistics=("fat_area", "area"), unit="mm2")
    run = read_run(folder)
    assert list(dict.fromkeys(score.subject for score in run.scores)) == ["fat", "muscle", "fat area", "area"]
    assert [score.text for score in run.scores if score.subject == "fat area"] == [
        "0.125 mm²",
        "+0.125 mm²",
        "-0.010 to +0.260 mm²",
    ]
    assert [pairs.name for pairs in run.numbers] == ["fat area", "area"]
    assert "fat area: predicted 0.25, recorded 0.125" in run.examples[0].caption


def test_a_report_of_two_runs(make_run: MakeRun) -> None:
    content = read_report([make_run("first"), make_run("second", recipe="full")], title="Two runs")
    assert [run.name for run in content.runs] == ["first", "second"]
    assert content.structures == ("lesion",)
    assert [(fact.label, fact.value) for fact in content.facts] == [
        ("Evaluated on", "5 images (test)"),
        ("first learned from", "numbers and marks"),
        ("second learned from", "full masks"),
    ]
    assert "Two runs" in render(content)


def test_runs_of_one_name_are_told_apart(make_run: MakeRun) -> None:
    folders = [make_run("a/paper"), make_run("b/paper")]
    assert [run.name for run in read_report(folders, title="x").runs] == [str(folder) for folder in folders]


def test_no_run_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no run"):
        read_report([], title="x")


@pytest.mark.parametrize(
    "file",
    [
        "config.toml",
        "environment.json",
        "curves.png",
        "evaluation-test.json",
        "evaluation-test.csv",
        "evaluation-test-numbers.csv",
        "predictions/test/overlays/007.png",
    ],
)
def test_a_missing_file_is_named_with_what_to_do(make_run: MakeRun, file: str) -> None:
    folder = make_run("first")
    (folder / file).unlink()
    with pytest.raises(ReadError, match="no such file") as caught:
        read_run(folder)
    assert caught.value.where == str(folder / file)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.toml", "recipe = "),
        ("config.toml", 'recipe = "paper"\nprofile = "small"\nunknown = 1\n'),
        ("environment.json", "{"),
        ("environment.json", "[]"),
        ("evaluation-test.json", '{"scores": {}, "numbers": {}}'),
        ("evaluation-test.json", '{"scores": {"lesion": {}}, "numbers": {"area_fraction": {}}}'),
        ("evaluation-test.json", '{"scores": {"lesion": {"iou_per_image": "high"}}, "numbers": {"area_fraction": {}}}'),
        ("evaluation-test.csv", ""),
        ("evaluation-test.csv", "id,structure,iou,true_pixels\n"),
        ("evaluation-test.csv", "id,structure,iou\na,lesion,0.5\n"),
        ("evaluation-test.csv", "id,structure,iou,true_pixels\na,lesion,high,50\n"),
        ("evaluation-test-numbers.csv", "id,statistic,unit,predicted,recorded\na,x,fraction,1,?\n"),
    ],
)
def test_a_damaged_file_is_named(make_run: MakeRun, file: str, content: str) -> None:
    folder = make_run("first")
    (folder / file).write_text(content)
    with pytest.raises(TallymarkError) as caught:
        read_run(folder)
    assert str(folder / file) in str(caught.value)


def test_a_number_that_is_missing_is_no_pair(make_run: MakeRun) -> None:
    folder = make_run("first")
    path = folder / "evaluation-test-numbers.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[0, "recorded"] = ""
    table.to_csv(path, index=False)
    assert pd.isna(read_run(folder).numbers[0].recorded[0])
    assert "none recorded" in read_run(folder).examples[0].caption


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such run folder"):
        read_run(tmp_path / "nothing")
