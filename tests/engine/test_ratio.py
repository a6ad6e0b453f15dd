"""A ratio of two structures: grown, projected and learned from with the whole drawn, known or free."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import binary_dilation, label

from tallymark.data.check_ratios import check_ratios
from tallymark.data.marks import EXCLUDED
from tallymark.data.resize import resize_image
from tallymark.data.study import NumberRow, Study
from tallymark.datasets.marbled import write_marbled
from tallymark.datasets.pairs import import_pairs, parse_codes, parse_ratio
from tallymark.datasets.weaken import weaken
from tallymark.engine.batches import CaseBatches
from tallymark.engine.close_ups import close_ups
from tallymark.engine.config import GrownTerm
from tallymark.engine.evaluate import evaluate
from tallymark.engine.evidence import Gatherer
from tallymark.engine.growers import grower
from tallymark.engine.known_ratio import free_ratios, project_known
from tallymark.engine.known_size import known_fractions
from tallymark.engine.labels import taught_labels
from tallymark.engine.recipes import resolve
from tallymark.engine.task import study_task
from tallymark.engine.train import train
from tallymark.errors import StudyError
from tallymark.measure import Statistic
from tiny import TINY

GROW = (*TINY, "losses.grown.warmup=0.34")
WHOLE = Statistic("whole", "area_fraction", of=("fat", "muscle"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    root = tmp_path_factory.mktemp("marbled")
    source = write_marbled(root / "source", 12, size=48)
    codes, statistics = parse_codes("fat=1,muscle=2"), [parse_ratio("fat/fat+muscle"), WHOLE]
    groups = source / "groups.csv"
    import_pairs(source / "images", source / "masks", root / "study", groups=groups, codes=codes, statistics=statistics)
    study = Study.open(root / "study")
    weaken(study, "erosion:10%", "e10")
    exact = study.numbers("exact")
    for variant, names in {"ratio": ["fat_ratio"], "ratio and whole": ["fat_ratio", "whole"]}.items():
        study.add_numbers([NumberRow(i, n, one.value) for (i, n), one in exact.items() if n in names], variant)
    with study.marks.batch():
        for case in study.cases:
            marks = study.marks.labels(case.id, "e10")
            whole = study.truth.mask(case, "fat") | study.truth.mask(case, "muscle")
            marks[EXCLUDED] = binary_dilation(whole, iterations=3) & ~binary_dilation(whole)
            for name, mask in marks.items():
                study.marks.add_raster(case.id, "fenced", name, mask, author="test", origin="simulated")
    return study


def batch_of(study: Study, numbers: str, marks: str):
    config = resolve("grow", "small", numbers=numbers, marks=marks, settings=TINY)
    batches = CaseBatches(study, study.split("train"), config)
    return batches.__getitems__(range(len(batches))), config


def ratio_of(masks: torch.Tensor) -> torch.Tensor:
    area = masks.sum(dim=(2, 3))
    return area[:, 0] / area.sum(dim=1)


def test_a_ratio_and_the_whole_are_two_sizes(finished) -> None:
    batch, _ = batch_of(finished, "ratio and whole", "e10")
    task = study_task(finished)
    sizes = known_fractions(task, batch)
    exact = finished.numbers("exact")
    for k, name in enumerate(finished.structures):
        expected = [exact[case.id, f"{name}_fraction"].value for case in finished.split("train")]
        assert sizes.value[:, k].tolist() == pytest.approx(expected, abs=1e-5)
    assert free_ratios(task, batch, sizes) == []


def test_growth_keeps_the_ratio_and_a_drawn_whole_its_size(finished) -> None:
    exact = finished.numbers("exact")
    cases = finished.split("train")
    kept = torch.tensor([exact[case.id, "fat_ratio"].value for case in cases])
    free, _ = batch_of(finished, "ratio", "e10")
    drawn, _ = batch_of(finished, "ratio", "fenced")
    for batch in (free, drawn):
        assert torch.allclose(ratio_of(batch.grown), kept, atol=0.02)
        assert batch.certainty.amin() > 0
    # What is drawn around lies a pixel or so outside.
    whole = torch.tensor([exact[case.id, "whole"].value for case in cases])
    found = drawn.grown.sum(dim=1).mean(dim=(1, 2))
    assert ((found / whole) > 0.95).all()
    assert ((found / whole) < 1.6).all()


def test_streaks_that_nobody_marked_are_found_on_the_image_and_in_its_close_up(finished, tmp_path) -> None:
    assert finished.wholes == (("fat", "muscle"),)
    for case in finished.cases:  # one streak is marked, the whole is drawn around
        fence = finished.marks.labels(case.id, "fenced")
        pieces, _ = label(fence["fat"])
        fence["fat"] = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
        for name, mask in fence.items():
            finished.marks.add_raster(case.id, "one streak", name, mask, author="test", origin="simulated")
    way = grower(GrownTerm(weight=1.0, straight=0.0))
    gatherer = Gatherer(finished, finished.numbers("exact"), "one streak", way, tmp_path)
    closer = close_ups(gatherer, finished.cases, tmp_path)
    assert closer is not None
    assert closer.study.wholes == finished.wholes
    near = {case.id: closer.gatherer.grown(case).order for case in closer.study.cases}
    overlaps = []
    for case in finished.cases:
        truth = finished.truth.mask(case, "fat")
        found = gatherer.grown(case).order[0] < 1
        close = closer.boxes[case.id].paste(_as_large(near[case.id], closer.boxes[case.id].shape), truth.shape, 9.0)[0]
        overlaps.append([(mask & truth).sum() / (mask | truth).sum() for mask in (found, close < 1)])
    assert (np.mean(overlaps, axis=0) > 0.5).all()


def _as_large(orders: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.stack([resize_image(each[..., None], shape)[..., 0] for each in orders])


def test_a_structure_without_a_mark_leaves_its_ratio_without_growth(finished) -> None:
    case = finished.split("train")[0]
    fat = finished.marks.labels(case.id, "e10")["fat"]
    finished.marks.add_raster(case.id, "fat alone", "fat", fat, author="test", origin="simulated")
    batch, config = batch_of(finished, "ratio", "fat alone")
    assert batch.certainty.max() == 0
    # The network alone is then divided by the ratio.
    logit = torch.randn(batch.grown.shape, generator=torch.Generator().manual_seed(0))
    taught = taught_labels(batch, logit[None], study_task(finished), config.losses.grown)
    exact = finished.numbers("exact")[case.id, "fat_ratio"].value
    assert ratio_of(taught.grown)[0].item() == pytest.approx(exact, abs=0.02)


def test_taught_labels_have_the_ratio_and_the_network_its_own_size(finished) -> None:
    batch, config = batch_of(finished, "ratio", "e10")
    task = study_task(finished)
    exact = finished.numbers("exact")
    kept = torch.tensor([exact[case.id, "fat_ratio"].value for case in finished.split("train")])
    small, large = (torch.randn(batch.grown.shape, generator=torch.Generator().manual_seed(1)) + by for by in (-1, 1))
    term = config.losses.grown.model_copy(update={"anchor": 0.0, "guard": False, "pull": 0.0, "reach": 99.0})
    totals = []
    for logit in (small, large):
        masks = taught_labels(batch, logit[None], task, term)
        assert masks.certainty.min() == 1
        assert torch.allclose(ratio_of(masks.grown), kept, atol=0.01)
        assert masks.grown.sum(dim=1).max() <= 1
        totals.append(masks.grown.sum(dim=(1, 2, 3)))
    assert (totals[0] < totals[1]).all()


def test_numbers_held_by_a_ratio_are_known_and_others_are_not(finished) -> None:
    batch, _ = batch_of(finished, "ratio", "e10")
    batch = batch._replace(value=batch.value.clone())
    batch.value[0] = math.nan
    masks, known = project_known(study_task(finished), batch, torch.randn(batch.grown.shape))
    assert known.tolist() == [[False, False], *[[True, True]] * (len(known) - 1)]
    assert masks.shape == batch.grown.shape


@pytest.mark.parametrize(("recipe", "marks"), [("grow", "e10"), ("grow", "fenced"), ("paper", "e10")])
def test_trains_on_a_ratio_alone_and_is_compared_with_it(finished, tmp_path, recipe, marks) -> None:
    settings = (*GROW, "optim.epochs=4")
    run = train(finished, recipe=recipe, numbers="ratio", marks=marks, out=tmp_path / "run", settings=settings)
    assert pd.read_csv(run.folder.metrics_file)["train/total"].notna().all()
    numbers = evaluate(run.folder.root, out=tmp_path / "scores").numbers
    assert set(numbers) == {"fat_fraction", "muscle_fraction", "fat_ratio", "whole"}


def test_check_says_where_a_ratio_is_not_identifiable_and_what_settles_it(finished) -> None:
    rows = [NumberRow(id, "fat_ratio", 0.2) for id in "abc"] + [NumberRow("b", "muscle_fraction", 0.3)]
    rows += [NumberRow("d", "fat_ratio", low=0.1, high=0.3), NumberRow("c", "fat_ratio", 0.1, variant="other")]
    names, statistics = finished.structures, finished.statistics
    (nobody, _) = check_ratios(names, statistics, rows, [("a", "fat")], "study.toml")
    assert "any size with this ratio fits" in nobody.what
    assert nobody.remedy.startswith("mark muscle in some images, and keep the area of one structure")
    assert nobody.found == "a, c, d"
    marks = [("a", "fat"), ("a", "muscle"), ("c", EXCLUDED)]
    (some,) = check_ratios(names, statistics, rows, marks, "study.toml")
    assert "on 2 images" in some.what
    assert "closed line around both" in some.remedy
    assert some.found == "a, d"


def test_other_recipes_that_count_pixels_want_a_size_as_well(finished, tmp_path) -> None:
    text = (finished.folder / "study.toml").read_text()
    only = text[: text.index("[[statistics]]")] + text[text.index('[[statistics]]\nname = "fat_ratio"') :]
    (finished.folder / "study.toml").write_text(only[: only.index('[[statistics]]\nname = "whole"')])
    numbers = (finished.folder / "statistics.csv").read_text()
    kept = [line for n, line in enumerate(numbers.splitlines()) if n == 0 or "fat_ratio" in line]
    (finished.folder / "statistics.csv").write_text("\n".join(kept) + "\n")
    try:
        with pytest.raises(StudyError, match="a ratio and one of the sizes in it"):
            train(finished.folder, recipe="kervadec", numbers="ratio", marks="e10", out=tmp_path / "k", settings=TINY)
        train(finished.folder, recipe="grow", numbers="ratio", marks="e10", out=tmp_path / "g", settings=TINY)
    finally:
        (finished.folder / "study.toml").write_text(text)
        (finished.folder / "statistics.csv").write_text(numbers)
