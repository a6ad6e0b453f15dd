"""Training: what a run leaves behind, that it resumes to the same weights, and that a weak run sees no mask."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch

from tallymark.data.study import Study
from tallymark.engine.evaluate import evaluate
from tallymark.engine.model_file import load_model
from tallymark.engine.train import train
from tallymark.errors import CheckpointError, ConfigError, GeometryError, StorageError, StudyError
from tiny import TINY


def weights(run):
    return load_model(run.folder.model_file).network.state_dict()


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.fixture(params=["paper", "full"])
def recipe(request):
    return request.param


def test_a_run_folder_says_what_it_was(study, recipe):
    run = train(study, recipe=recipe, seed=3, settings=TINY)
    root = run.folder.root
    assert root == study / "runs" / f"{recipe}-small-3"
    names = {path.name for path in root.iterdir()}
    assert {
        "config.toml", "environment.json", "metrics.csv", "curves.png", "model.pt", "checkpoints", "tensorboard",
    } <= names  # fmt: skip
    metrics = pd.read_csv(root / "metrics.csv")
    assert metrics["epoch"].tolist() == [0, 1, 2, 3]
    assert metrics["train/total"].notna().all()
    assert metrics["select/number_error"].between(0, 1).all()
    environment = json.loads((root / "environment.json").read_text())
    assert environment["versions"]["torch"] == torch.__version__.split("+")[0] or environment["versions"]["torch"]
    assert run.config.reads_masks == (recipe == "full")
    assert list(root.glob("tensorboard/events*"))


def test_few_images_come_round_more_often(study):
    run = train(study, settings=(*TINY, "optim.epochs=1", "optim.steps=5"))
    batches = len(Study.open(study).split("train")) // run.config.optim.batch_size
    assert 1 < batches < 5
    rows = pd.read_csv(run.folder.metrics_file)
    assert len(rows) == -(-5 // batches)
    # Held-out images are looked at as often as without it, and at the end.
    looks = rows["select/number_error"]
    assert looks[:-1].isna().all()
    assert looks.iloc[-1] > 0


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(study):
    first = train(study, out=study / "a", settings=TINY)
    second = train(study, out=study / "b", settings=TINY)
    third = train(study, out=study / "c", seed=1, settings=TINY)
    assert_same_weights(weights(first), weights(second))
    assert any(not torch.equal(weights(first)[name], weights(third)[name]) for name in weights(first))


@pytest.mark.parametrize("ema", [0.9, 0.0])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(study, recipe, ema, monkeypatch):
    settings = (*TINY, f"optim.ema_decay={ema}")
    whole = train(study, recipe=recipe, out=study / "whole", settings=settings)

    from tallymark.engine.journal import Journal

    def stop_after_two(self, trainer, module):
        if trainer.current_epoch == 2:
            raise RuntimeError("the machine went away")

    monkeypatch.setattr(Journal, "on_train_epoch_start", stop_after_two)
    with pytest.raises(RuntimeError, match="went away"):
        train(study, recipe=recipe, out=study / "stopped", settings=settings)
    monkeypatch.undo()
    assert not (study / "stopped" / "model.pt").exists()
    resumed = train(study, recipe=recipe, out=study / "stopped", settings=settings, resume=True)
    assert_same_weights(weights(whole), weights(resumed))
    pd.testing.assert_frame_equal(pd.read_csv(study / "whole/metrics.csv"), pd.read_csv(study / "stopped/metrics.csv"))


def test_a_killed_process_resumes_to_the_same_weights(study):
    settings = (*TINY, "optim.epochs=40")
    words = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "tallymark", "train", str(study), "--out", str(study / "killed"), *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    metrics = study / "killed" / "metrics.csv"
    while not (metrics.exists() and len(metrics.read_text().splitlines()) > 5):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (study / "killed" / "model.pt").exists()
    subprocess.run([*command, "--resume"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    whole = [*command]
    whole[whole.index(str(study / "killed"))] = str(study / "whole")
    subprocess.run(whole, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    one, other = (load_model(study / name / "model.pt").network.state_dict() for name in ("killed", "whole"))
    assert_same_weights(one, other)


def test_a_weak_run_never_opens_the_truth(study, monkeypatch):
    def refuse(self, *arguments):
        raise AssertionError("a weak run opened the truth")

    monkeypatch.setattr(Study, "truth", property(refuse))
    (study / "truth.csv").unlink()
    shutil.rmtree(study.parent / "source" / "masks")
    run = train(study, recipe="paper", settings=TINY)
    assert not run.config.reads_masks
    with pytest.raises(AssertionError, match="opened the truth"):
        train(study, recipe="full", settings=TINY)


def test_training_learns(study):
    settings = ("data.size=[32,32]", "model.options={width=8,depth=3}", "optim.epochs=100", "optim.batch_size=4")
    run = train(study, recipe="full", settings=settings)
    assert evaluate(run.folder.root, split="train").scores["lesion"]["iou_per_image"] > 0.6


def test_a_finished_run_is_not_overwritten_and_resuming_it_does_nothing(study):
    run = train(study, settings=TINY)
    before = run.folder.model_file.stat().st_mtime_ns
    with pytest.raises(ConfigError, match="there is a run in this folder already"):
        train(study, settings=TINY)
    train(study, settings=TINY, resume=True)
    assert run.folder.model_file.stat().st_mtime_ns == before


def test_resuming_with_other_settings_names_the_setting(study):
    train(study, settings=TINY)
    with pytest.raises(ConfigError, match=r"optim\.learning_rate"):
        train(study, settings=(*TINY, "optim.learning_rate=0.5"), resume=True)
    with pytest.raises(ConfigError, match="no run to resume"):
        train(study, out=study / "nowhere", settings=TINY, resume=True)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "truncated"])
def test_a_damaged_checkpoint_is_one_clear_error(study, content, monkeypatch):
    run = train(study, settings=TINY)
    run.folder.model_file.unlink()
    whole = run.folder.checkpoint.read_bytes()
    run.folder.checkpoint.write_bytes(whole[: len(whole) // 2] if content == "truncated" else content)
    with pytest.raises(CheckpointError, match=r"last\.ckpt"):
        train(study, settings=TINY, resume=True)


def test_a_study_without_marks_or_with_an_unknown_set_says_what_to_do(study):
    with pytest.raises(StudyError, match="weaken"):
        train(study, marks="clicks", settings=TINY)
    (study / "marks.sqlite").unlink()
    with pytest.raises(StudyError, match=r"tallymark mark .*tallymark import marks .*tallymark weaken "):
        train(study, settings=TINY)
    (study / "truth.csv").unlink()  # there is nothing left to be weakened
    with pytest.raises(StudyError, match="tallymark import marks") as error:
        train(study, settings=TINY)
    assert "weaken" not in str(error.value)


def test_nothing_is_begun_when_the_study_cannot_be_trained(study):
    with pytest.raises(StudyError):
        train(study, marks="clicks", settings=TINY)
    assert not (study / "runs").exists()


def test_a_number_in_mm_needs_the_size_of_a_pixel(study):
    text = (study / "study.toml").read_text()
    (study / "study.toml").write_text(text.replace('"area_fraction"', '"area"').replace('"fraction"', '"mm2"'))
    with pytest.raises(GeometryError, match="spacing"):
        train(study, settings=TINY)


def test_a_full_disk_is_one_clear_error_and_keeps_the_last_checkpoint(study):
    """A real limit on the size of a file, in a process of its own: the checkpoint cannot be written."""
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000));"
        "from tallymark.cli import main; main(sys.argv[1:])"
    )
    words = [part for setting in TINY for part in ("--set", setting)]
    train(study, out=study / "warm", settings=TINY)
    command = [sys.executable, "-c", script, "train", str(study), "--out", str(study / "full-disk"), *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == StorageError.exit_code, result.stderr
    assert "Traceback" not in result.stderr
    assert not (study / "full-disk" / "model.pt").exists()
    resumed = subprocess.run(
        [sys.executable, "-m", "tallymark", *command[3:], "--resume"], capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr


def test_the_papers_network_trains_under_its_profile(study):
    settings = ("data.size=[64,64]", "optim.epochs=1", "optim.batch_size=4", "model.weights=random")
    run = train(study, recipe="paper", profile="paper", settings=settings)
    model = load_model(run.folder.model_file)
    assert type(model.network).__name__ == "DeepLabV3ResNet50"
    assert json.loads(run.folder.environment_file.read_text())["weights"]["source"] == "random"
    losses = pd.read_csv(run.folder.metrics_file)
    for name in ("statistic", "weak", "confidence", "reconstruction"):
        assert losses[f"train/{name}"].notna().all()
