import numpy as np
import pytest

from tallymark.data.study import Study
from tallymark.engine.recipes import resolve
from tallymark.engine.task import study_task
from tallymark.errors import StudyError
from tallymark.experiments.floors import floors, position_maps, top_pixels


@pytest.fixture
def opened(study):
    return Study.open(study)


def test_the_floors_are_what_their_names_say(opened):
    scores = floors(opened, study_task(opened), resolve("paper", "small", marks="e8"))
    ones, _ = scores["all ones"]
    known, numbers = scores["position map, known area"]
    fixed, _ = scores["position map, fixed size"]
    for row in ones.itertuples():
        # All ones hit everything: their overlap is the share itself.
        assert row.iou == pytest.approx(row.true_pixels / (48 * 48)) or row.true_pixels == 0
    assert (known["predicted_pixels"] == known["true_pixels"]).all()
    assert numbers["predicted"].tolist() == pytest.approx(numbers["recorded"].tolist())
    assert fixed["predicted_pixels"].nunique() == 1
    assert ones["marks_hit"].sum() == ones["marked_pixels"].sum() > 0


def test_a_floor_knows_the_training_masks_only(opened, monkeypatch):
    read = []
    mask = type(opened.truth).mask
    monkeypatch.setattr(
        type(opened.truth), "mask", lambda self, case, name: read.append(case.split) or mask(self, case, name)
    )
    maps, typical = position_maps(opened, study_task(opened))
    assert set(read) == {"train"}
    assert maps["lesion"].shape == (128, 128)
    assert 0 <= maps["lesion"].min() <= maps["lesion"].max() <= 1
    assert 0 < typical["lesion"] < 1


def test_the_floors_of_a_fold_know_and_are_tested_on_that_fold(opened):
    task = study_task(opened)
    known = {}
    for number in (1, 2):
        scores = floors(opened, task, resolve("paper", "small", marks="e8", settings=[f"data.fold={number}/2"]))
        known[number] = scores["position map, known area"][0]
        assert set(known[number]["id"]) == {case.id for case in opened.fold(f"{number}/2").split("test")}
    assert set(known[1]["id"]).isdisjoint(known[2]["id"])
    assert len(known[1]) + len(known[2]) == len(opened.cases)


def test_a_structure_that_no_training_image_shows_has_no_floor(opened):
    train = {case.id for case in opened.split("train")}
    table = opened.folder / "truth.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if line.split(",")[0] not in train))
    with pytest.raises(StudyError, match="no training image shows it") as caught:
        position_maps(Study.open(opened.folder), study_task(opened))
    assert "found no full mask" in str(caught.value)


def test_top_pixels_have_the_count_and_the_highest_values():
    position = np.random.default_rng(0).random((16, 16))
    chosen = top_pixels(position, (16, 16), 40)
    assert chosen.sum() == 40
    assert position[chosen].min() >= position[~chosen].max()
    assert not top_pixels(position, (30, 20), 0).any()
    assert top_pixels(position, (30, 20), 600).all()
