import numpy as np
import pytest

from tallymark.data.study import Study
from tallymark.engine.recipes import resolve
from tallymark.engine.train import study_task
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


def test_top_pixels_have_the_count_and_the_highest_values():
    position = np.random.default_rng(0).random((16, 16))
    chosen = top_pixels(position, (16, 16), 40)
    assert chosen.sum() == 40
    assert position[chosen].min() >= position[~chosen].max()
    assert not top_pixels(position, (30, 20), 0).any()
    assert top_pixels(position, (30, 20), 600).all()
