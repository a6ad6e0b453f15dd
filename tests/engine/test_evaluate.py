"""Prediction and evaluation: files where they belong, figures that can be counted, and nothing missing in silence."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tallymark.data.images import read_image, read_mask
from tallymark.data.study import NumberRow, Study
from tallymark.datasets.kept_numbers import simulate_numbers
from tallymark.engine.evaluate import evaluate
from tallymark.engine.model_file import FORMAT, load_model, save_model
from tallymark.engine.predict import Request, flip_averaged, predict, predictions
from tallymark.engine.scoring import overlap_scores
from tallymark.engine.train import train
from tallymark.errors import CheckpointError, EvaluationError, GeometryError, ReadError, StudyError
from tallymark.pictures import enlargement
from tallymark.report import read_report
from tiny import TINY


@pytest.fixture
def run(study):
    return train(study, recipe="paper", settings=TINY).folder.root


def test_masks_have_the_size_of_their_images_and_the_numbers_are_theirs(run, study, tmp_path):
    images = study.parent / "source" / "images"
    odd = tmp_path / "odd"
    odd.mkdir()
    for index, path in enumerate(sorted(images.glob("*.png"))[:3]):
        picture = Image.open(path).resize((37 + 11 * index, 61))
        picture.save(odd / f"case {index}.png")
    numbers = predict(run, odd, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out/masks").iterdir()) == [f"case {i}.png" for i in range(3)]
    for row in numbers.itertuples():
        mask = np.asarray(Image.open(tmp_path / "out/masks" / f"{row.id}.png"))
        assert mask.shape == read_image(odd / f"{row.id}.png").space
        assert set(np.unique(mask)) <= {0, 255}
        assert row.value == pytest.approx((mask > 0).mean(), abs=1e-12)
        drawn = read_image(tmp_path / "out/overlays" / f"{row.id}.png").space
        assert drawn == tuple(length * enlargement(mask.shape) for length in mask.shape)
    written = pd.read_csv(tmp_path / "out/numbers.csv")
    assert written["id"].tolist() == [f"case {i}" for i in range(3)]


def test_the_batch_does_not_change_the_result(run, study):
    model = load_model(run / "model.pt")
    requests = [Request(case.id, case.image) for case in Study.open(study).split("test")]
    one = [p.probability for p in predictions(model, requests, batch_size=1)]
    many = [p.probability for p in predictions(model, requests, batch_size=16)]
    for a, b in zip(one, many, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_flip_averaging_makes_the_prediction_symmetric(run):
    model = load_model(run / "model.pt")
    image = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(flip_averaged(model, image), flip_averaged(model, image.flip(-1)).flip(-1))
    plain = model.network(image).logit.sigmoid()
    assert not torch.allclose(plain, model.network(image.flip(-1)).logit.sigmoid().flip(-1))


def test_scores_of_the_files_agree_with_scores_counted_here(run, study):
    evaluation = evaluate(run)
    ious, both, either, errors = [], 0, 0, []
    opened = Study.open(study)
    for case in opened.split("test"):
        mask = read_mask(run / "predictions/test/masks" / f"{case.id}.png")
        truth = opened.truth.mask(case, "lesion")
        errors.append(abs(mask.mean() - truth.mean()))
        both += (mask & truth).sum()
        either += (mask | truth).sum()
        if truth.any():
            ious.append((mask & truth).sum() / (mask | truth).sum())
    scores = evaluation.scores["lesion"]
    assert scores["images"] == len(ious)
    assert scores["iou_per_image"] == pytest.approx(np.mean(ious))
    assert scores["iou_pooled"] == pytest.approx(both / either)
    assert evaluation.numbers["lesion_fraction"]["mean_absolute_error"] == pytest.approx(np.mean(errors), abs=1e-9)
    written = json.loads((run / "evaluation-test.json").read_text())
    assert written == json.loads(json.dumps(evaluation.summary()))
    assert written["supervised"] is False
    assert "per_image" in written["policy"]
    assert len(pd.read_csv(run / "evaluation-test.csv")) == scores["images"] + scores["empty_images"]


def test_the_policy_for_empty_masks():
    rows = pd.DataFrame(
        {
            "iou": [0.5, 1.0, 0.0],
            "dice": [2 / 3, 1.0, 0.0],
            "true_pixels": [4, 0, 0],
            "predicted_pixels": [2, 0, 3],
            "both_pixels": [2, 0, 0],
            "marked_pixels": [2, 0, 0],
            "marks_hit": [1, 0, 0],
        }
    )
    scores = overlap_scores(rows)
    assert scores["images"] == 1
    assert scores["iou_per_image"] == 0.5
    assert (scores["empty_images"], scores["empty_correct"]) == (2, 0.5)
    assert scores["iou_pooled"] == pytest.approx(2 / (4 + 5 - 2))
    assert scores["dice_pooled"] == pytest.approx(4 / 9)
    assert scores["mark_hit_rate"] == 0.5


def test_a_study_without_full_masks_is_scored_by_its_numbers_and_marks(run, study):
    known = evaluate(run, out=study.parent / "known")
    (study / "truth.csv").unlink()
    evaluation = evaluate(run)
    assert (known.has_truth, evaluation.has_truth) == (True, False)
    assert evaluation.summary()["full_masks"] is False
    scores = evaluation.scores["lesion"]
    assert scores["mark_hit_rate"] == known.scores["lesion"]["mark_hit_rate"]
    assert [scores[key] for key in ("iou_per_image", "iou_pooled", "dice_pooled", "empty_correct")] == [None] * 4
    assert evaluation.numbers["lesion_fraction"] == known.numbers["lesion_fraction"]  # every image has one
    page = read_report([run], title="t").runs[0]
    assert [example.caption.splitlines()[0] for example in page.examples] == [
        "number closest",
        "number in the middle",
        "number farthest off",
    ]
    off = (evaluation.number_cases["predicted"] - evaluation.number_cases["recorded"]).abs()
    assert page.examples[2].id == evaluation.number_cases["id"][off.idxmax()]
    assert "n/a" in [score.text for score in page.scores if score.name == "IoU per image"]


def test_any_folder_of_images_with_masks(run, study, tmp_path):
    own = evaluate(run)
    images, masks = tmp_path / "new-images", tmp_path / "outlines"
    images.mkdir()
    masks.mkdir()
    for case in Study.open(study).split("test"):
        (images / f"{case.id}.png").write_bytes(case.image.read_bytes())
        source = study.parent / "source/masks" / f"{case.id}_mask.png"
        (masks / source.name).write_bytes(source.read_bytes())
    evaluation = evaluate(run, images=images, masks=masks, out=tmp_path / "scores")
    for key in ("images", "iou_per_image", "iou_pooled", "dice_per_image"):
        assert evaluation.scores["lesion"][key] == pytest.approx(own.scores["lesion"][key])
    assert (tmp_path / "scores/evaluation-new-images.json").exists()
    next(masks.iterdir()).unlink()
    with pytest.raises(StudyError, match="without a mask"):
        evaluate(run, images=images, masks=masks, out=tmp_path / "again")


def test_a_missing_prediction_fails(run):
    evaluate(run)
    victim = sorted((run / "predictions/test/masks").iterdir())[0]
    victim.unlink()
    with pytest.raises(EvaluationError, match=victim.name):
        evaluate(run, reuse=True)


def test_a_prediction_of_another_size_fails(run):
    evaluate(run)
    victim = sorted((run / "predictions/test/masks").iterdir())[0]
    Image.new("L", (5, 5)).save(victim)
    with pytest.raises(GeometryError, match=r"\(5, 5\)"):
        evaluate(run, reuse=True)


def test_an_unfinished_run_and_half_a_request_say_so(run, tmp_path):
    with pytest.raises(EvaluationError, match="both"):
        evaluate(run, images=tmp_path)
    with pytest.raises(StudyError, match="unknown split"):
        evaluate(run, split="nowhere")
    (run / "model.pt").unlink()
    with pytest.raises(CheckpointError, match="train"):
        evaluate(run)


def test_a_run_that_does_not_name_its_study_says_so(run):
    (run / "environment.json").write_text("{}")
    with pytest.raises(ReadError, match="--images"):
        evaluate(run)


def test_a_supervised_run_needs_no_choice_between_number_variants(study):
    simulate_numbers(Study.open(study), "rounded:5%", "r5")
    run = train(study, recipe="full", settings=TINY)
    assert evaluate(run.folder.root).numbers["lesion_fraction"]["images"] > 0
    with pytest.raises(StudyError, match="r5"):
        train(study, recipe="paper", settings=TINY)


def test_numbers_that_came_after_the_training_are_named(run, study):
    opened = Study.open(study)
    name = opened.statistics[0].name
    exact = opened.numbers("exact")
    opened.add_numbers([NumberRow(case.id, name, exact[case.id, name].value / 2) for case in opened.cases], "half")
    with pytest.raises(StudyError, match=r"which numbers.*exact, half.*--numbers"):
        evaluate(run)
    whole, half = (evaluate(run, numbers=variant).numbers[name]["bias"] for variant in ("exact", "half"))
    kept = np.mean([exact[case.id, name].value for case in opened.split("test")])
    assert half - whole == pytest.approx(kept / 2, abs=1e-6)


def test_an_image_that_cannot_be_read_is_named(run, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ReadError, match=r"broken\.png"):
        predict(run, tmp_path / "images", tmp_path / "out")
    assert not (tmp_path / "out" / "numbers.csv").exists()


class TestModelFile:
    def test_round_trip(self, run, tmp_path):
        model = load_model(run / "model.pt")
        save_model(model, tmp_path / "copy.pt")
        again = load_model(tmp_path / "copy.pt")
        assert again.task == model.task
        assert again.config == model.config
        image = torch.rand(1, 1, 40, 40)
        assert torch.equal(model.network(image).logit, again.network(image).logit)

    def test_another_version(self, run):
        content = torch.load(run / "model.pt", weights_only=True)
        torch.save({**content, "format": FORMAT + 1}, run / "model.pt")
        with pytest.raises(CheckpointError, match=f"model format {FORMAT + 1}"):
            load_model(run / "model.pt")

    def test_weights_of_another_network(self, run):
        content = torch.load(run / "model.pt", weights_only=True)
        content["state_dict"].popitem()
        torch.save(content, run / "model.pt")
        with pytest.raises(CheckpointError, match="do not fit"):
            load_model(run / "model.pt")

    @pytest.mark.parametrize("content", [b"", b"hello", "half"])
    def test_damaged(self, run, content):
        path = run / "model.pt"
        path.write_bytes(path.read_bytes()[:500] if content == "half" else content)
        with pytest.raises(CheckpointError, match=r"model\.pt"):
            load_model(path)

    def test_a_file_that_would_run_code_is_refused(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (print, ("code ran",))

        torch.save({"format": FORMAT, "config": Evil()}, tmp_path / "evil.pt")
        with pytest.raises(CheckpointError):
            load_model(tmp_path / "evil.pt")

    def test_something_else(self, tmp_path):
        torch.save([1, 2], tmp_path / "list.pt")
        with pytest.raises(CheckpointError, match="not a tallymark model"):
            load_model(tmp_path / "list.pt")
