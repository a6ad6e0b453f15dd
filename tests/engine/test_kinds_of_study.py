"""The same road for volumes, for several structures, for numbers in mm2 and for numbers that are missing."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

from tallymark.data.study import NumberRow, Study
from tallymark.datasets.pairs import import_pairs, parse_codes
from tallymark.datasets.phantom import make_phantom_volume, write_phantoms
from tallymark.datasets.weaken import weaken
from tallymark.engine.batches import CaseBatches
from tallymark.engine.evaluate import evaluate
from tallymark.engine.predict import predict
from tallymark.engine.recipes import resolve
from tallymark.engine.train import train
from tiny import TINY

SPACING = (0.7, 0.8, 3.0)  # x, y, z, as SimpleITK has it


@pytest.fixture
def volumes(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for index in range(8):
        image, mask = make_phantom_volume(index, (16, 24, 32))
        for folder, array in (("images", image), ("masks", mask.astype(np.uint8))):
            volume = SimpleITK.GetImageFromArray(array)
            volume.SetSpacing(SPACING)
            volume.SetOrigin((10.0, -20.0, 5.0))
            volume.SetDirection((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
            SimpleITK.WriteImage(volume, str(tmp_path / folder / f"case{index}.nii.gz"))
    import_pairs(tmp_path / "images", tmp_path / "masks", tmp_path / "study")
    study = Study.open(tmp_path / "study")
    weaken(study, marks="erosion:20%", mark_set="e20")
    return tmp_path


@pytest.mark.parametrize("recipe", ["paper", "full"])
def test_volumes_keep_their_geometry(volumes, recipe):
    settings = (*TINY, "data.size=[16,24,32]", "optim.epochs=2", "optim.batch_size=2")
    run = train(volumes / "study", recipe=recipe, settings=settings)
    scores = evaluate(run.folder.root, split="train").scores["lesion"]
    assert scores["images"] > 0
    predict(run.folder.root, volumes / "images", volumes / "out")
    mask = SimpleITK.ReadImage(str(volumes / "out" / "masks" / "case0.nii.gz"))
    image = SimpleITK.ReadImage(str(volumes / "images" / "case0.nii.gz"))
    for geometry in ("GetSize", "GetOrigin", "GetDirection"):
        assert getattr(mask, geometry)() == pytest.approx(getattr(image, geometry)())
    assert mask.GetSpacing() == pytest.approx(SPACING)
    assert set(np.unique(SimpleITK.GetArrayFromImage(mask))) <= {0, 1}


def test_the_size_of_a_network_pixel_keeps_the_extent(volumes):
    opened = Study.open(volumes / "study")
    batches = CaseBatches(opened, opened.cases, resolve("full", "small", settings=["data.size=[8,8,8]"]))
    batch = batches.__getitems__([0])
    assert batch.spacing_mm[0].tolist() == pytest.approx([3.0 * 16 / 8, 0.8 * 24 / 8, 0.7 * 32 / 8])
    assert batch.extent_mm.item() == pytest.approx(3.0 * 16 * 0.8 * 24 * 0.7 * 32)


@pytest.fixture
def two_structures(tmp_path):
    source = write_phantoms(tmp_path / "source", 16, size=48, structures=2)
    codes = parse_codes("lesion=1,muscle=2")
    import_pairs(source / "images", source / "masks", tmp_path / "study", codes=codes)
    weaken(Study.open(tmp_path / "study"), marks="erosion:10%", mark_set="e10")
    return tmp_path / "study"


def test_several_structures_have_a_mask_and_a_number_each(two_structures):
    run = train(two_structures, recipe="paper", settings=TINY)
    evaluation = evaluate(run.folder.root)
    assert set(evaluation.scores) == {"lesion", "muscle"}
    assert len(evaluation.numbers) == 2
    study = Study.open(two_structures)
    out = two_structures / "predicted"
    numbers = predict(run.folder.root, study.cases[0].image, out)
    names = sorted(path.name for path in (out / "masks").iterdir())
    assert names == [f"{study.cases[0].id}_{name}.png" for name in ("lesion", "muscle")]
    assert len(numbers) == 2


def test_missing_numbers_and_intervals_reach_the_batch_as_they_were_kept(study):
    opened = Study.open(study)
    first, second, third = opened.cases[:3]
    name = opened.statistics[0].name
    rows = [NumberRow(first.id, name, value=0.25), NumberRow(second.id, name, low=0.1, high=0.2)]
    opened.add_numbers(rows, "as kept")
    config = resolve("paper", "small", marks="e8", numbers="as kept", settings=TINY)
    batch = CaseBatches(opened, opened.cases, config).__getitems__([0, 1, 2])
    assert batch.value[0].item() == 0.25
    assert (batch.low[1].item(), batch.high[1].item()) == pytest.approx((0.1, 0.2))
    assert bool(batch.value[1:].isnan().all())
    assert bool(batch.low[2].isnan())
    assert third.id
    train(opened, numbers="as kept", marks="e8", settings=TINY)
