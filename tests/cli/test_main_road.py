"""The main road from the command line, in real processes: import, weaken, train, predict, evaluate, report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tallymark.data.study import Study
from tallymark.datasets.pairs import import_pairs
from tallymark.datasets.phantom import write_phantoms
from tallymark.datasets.weaken import weaken
from tiny import TINY

WORDS = [part for setting in TINY for part in ("--set", setting)]


def tallymark(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [sys.executable, "-m", "tallymark", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    return result


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("source"), 24, size=48)


def test_from_a_folder_of_images_to_a_report(source, tmp_path):
    study, run = tmp_path / "study", tmp_path / "study" / "runs" / "first"
    folders = ("--images", source / "images", "--masks", source / "masks", "--groups", source / "groups.csv")
    imported = json.loads(tallymark("import", "images", *folders, study, "--json").stdout)
    assert imported["cases"] == 24
    tallymark("weaken", study, "--marks", "erosion:8%", "--as", "e8")
    trained = tallymark("train", study, "--recipe", "paper", "--marks", "e8", "--seed", 1, "--out", run, *WORDS)
    assert str(run) in trained.stdout
    assert "epoch 4/4" in trained.stderr
    evaluation = json.loads(tallymark("evaluate", run, "--split", "test", "--json").stdout)
    assert 0 <= evaluation["scores"]["lesion"]["iou_per_image"] <= 1
    shown = tallymark("evaluate", run, "--reuse").stdout
    assert f"{evaluation['scores']['lesion']['iou_per_image']:.3f}" in shown
    elsewhere = tallymark(
        "evaluate", run, "--images", source / "images", "--masks", source / "masks", "--out", tmp_path / "e", "--json"
    )
    assert json.loads(elsewhere.stdout)["on"] == "images"
    predicted = json.loads(tallymark("predict", run, source / "images", "--out", tmp_path / "p", "--json").stdout)
    assert predicted["images"] == 24
    told = tallymark("predict", run, source / "images", "--out", tmp_path / "p").stdout.split()
    assert {"numbers.csv", "certainty.csv"} <= {Path(word).name for word in told if Path(word).is_file()}
    tallymark("report", run, "--out", tmp_path / "report.html")
    assert "lesion" in (tmp_path / "report.html").read_text()


def test_a_mistake_is_one_line_a_stable_code_and_json_for_machines(source, tmp_path):
    assert "no-study" in tallymark("train", tmp_path / "no-study", code=3).stderr
    result = tallymark("train", tmp_path / "no-study", "--json", code=3)
    assert json.loads(result.stdout)["error"]["exit_code"] == 3
    assert len(result.stderr.strip().splitlines()) == 1
    tallymark("train", code=2)
    tallymark("evaluate", tmp_path, code=6)
    missing = tallymark("import", "images", "--images", tmp_path / "nowhere", tmp_path / "study", code=4)
    assert "nowhere" in missing.stderr
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("verb", "begun", "afterwards"),
    [
        (("train", "--recipe", "paper"), "metrics.csv", "the same command with --resume goes on"),
        (("train",), "close-ups/*/metrics.csv", "the same command goes on from here"),
        (("recover",), "growth/*/*.npy", "the same command goes on from here"),
    ],
    ids=["learning", "close-ups", "growing"],
)
def test_ctrl_c_says_how_to_go_on_and_ends_with_130(source, tmp_path, verb, begun, afterwards):
    study, out = tmp_path / "study", tmp_path / "out"
    import_pairs(source / "images", source / "masks", study)
    weaken(Study.open(study), marks="erosion:8%", mark_set="e8")
    words = [*verb, str(study), "--out", str(out), *WORDS, "--set", "optim.epochs=2000"]
    command = [sys.executable, "-m", "tallymark", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not any(path.stat().st_size for path in out.glob(begun)) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=180)[1]
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == f"stopped; {afterwards}"
    assert "Traceback" not in said


def test_the_demo_writes_its_page(tmp_path):
    words = [*WORDS, "--cases", 24, "--out", tmp_path / "demo", "--json"]
    result = json.loads(tallymark("demo", *words).stdout)
    page = Path(result["report"]).read_text()
    assert "ynthetic" in page
    assert "data:image/png" in page
    tallymark("demo", "--out", tmp_path / "demo", code=2)


def test_only_a_folder_that_a_demo_made_is_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").write_text("a day's work")
    tallymark("demo", "--again", "--out", tmp_path / "mine", code=2)
    assert (tmp_path / "mine" / "work.txt").read_text() == "a day's work"
