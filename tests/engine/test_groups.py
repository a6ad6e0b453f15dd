"""Numbers per group: one number for several images is learned from, predicted and compared."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from tallymark.core.groups import of_groups
from tallymark.data.checking import check_study
from tallymark.data.study import NumberRow, Study
from tallymark.datasets.kept_numbers import simulate_numbers
from tallymark.engine.batches import CaseBatches
from tallymark.engine.evaluate import evaluate
from tallymark.engine.groups import Totals, shared_by_scores, shares_of_groups
from tallymark.engine.journal import Journal
from tallymark.engine.known_size import known_fractions
from tallymark.engine.labels import Ranking
from tallymark.engine.model_file import load_model
from tallymark.engine.objective import group_parts, objective
from tallymark.engine.predict import predict
from tallymark.engine.recipes import resolve
from tallymark.engine.task import study_task
from tallymark.engine.train import train
from tallymark.errors import StudyError
from tallymark.models.interface import Output
from tallymark.report import read_report
from tiny import TINY

GROW = (*TINY, "losses.grown.warmup=0.34")


@pytest.fixture
def grouped(study) -> Study:
    """Patients of four images of different size each, and one number for all of them."""
    table = pd.read_csv(study / "cases.csv", dtype=str, keep_default_na=False)
    table["group"] = [f"patient{row // 4}" for row in range(len(table))]
    table["split"] = ["test" if row >= 20 else "select" if row >= 16 else "train" for row in range(len(table))]
    table.to_csv(study / "cases.csv", index=False)
    opened = Study.open(study)
    simulate_numbers(opened, "group", "per patient")
    return Study.open(study)


def batches(study: Study, recipe: str = "grow", *settings: str) -> CaseBatches:
    config = resolve(recipe, "small", numbers="per patient", settings=(*TINY, *settings))
    return CaseBatches(study, study.split("train"), config)


def test_marks_share_out_the_number_of_their_group(grouped) -> None:
    read = batches(grouped)
    batch = read.__getitems__(range(16))
    assert batch.value.isnan().all()
    found, exact = known_fractions(study_task(grouped), batch).value[:, 0], grouped.numbers("exact")
    marked = batch.marks.any(dim=(1, 2, 3))
    assert torch.equal(found.isfinite(), marked & (read.groups.of >= 0))
    name = grouped.statistics[0].name
    missed, missed_by_equal_parts = 0.0, 0.0
    for group, members in enumerate(read.groups.members()):
        with_mark = [m for m in members if marked[m]]
        # A bare image might have had as much as a marked one.
        total = float(read.groups.value[group, 0]) * len(with_mark)
        assert float(found[with_mark].sum()) == pytest.approx(total, rel=1e-3)
        whole = np.array([exact[read.cases[m].id, name].value for m in with_mark])
        missed += np.abs(found[with_mark].numpy() - whole).sum()
        missed_by_equal_parts += np.abs(whole.mean() - whole).sum()
    assert missed < 0.8 * missed_by_equal_parts
    # What is bare has no label before the network has one.
    assert batch.certainty[~marked].max() == 0
    assert list(read.informative()) == list(range(16))


def test_own_numbers_are_kept_and_the_rest_is_shared(grouped) -> None:
    name = grouped.statistics[0].name
    exact = {case.id: grouped.numbers("exact")[case.id, name].value for case in grouped.cases}
    cases = grouped.cases[:4]
    total = sum(exact[case.id] for case in cases) / 4
    rows = [NumberRow("patient0", name, value=total, level="group")]
    rows += [NumberRow(case.id, name, value=exact[case.id]) for case in cases[:3]]
    rows += [NumberRow("patient1", name, value=0.0, level="group")]
    grouped.add_numbers(rows, "per patient")
    batch = batches(grouped).__getitems__(range(8))
    # Three numbers of four images and one of all four: the fourth follows. Nothing in all is nothing in each.
    assert batch.value[:4, 0].tolist() == pytest.approx([exact[case.id] for case in cases], abs=1e-6)
    assert batch.value[4:, 0].tolist() == [0, 0, 0, 0]
    grouped.add_numbers(rows[:3], "per patient")
    read = batches(grouped)
    batch = read.__getitems__(range(4))
    sizes = known_fractions(study_task(grouped), batch).value[:, 0]
    assert sizes[:2].tolist() == pytest.approx([exact[case.id] for case in cases[:2]], abs=1e-6)
    marked = batch.marks.any(dim=(1, 2, 3))
    if bool(marked[2:].all()):
        assert float(sizes.sum()) == pytest.approx(4 * total, rel=1e-3)


def test_scores_share_out_the_rest_by_one_threshold() -> None:
    score = torch.tensor([[[[5.0, 4.0, -1.0, -2.0]]], [[[3.0, 2.0, 1.0, -3.0]]], [[[9.0, 9.0, 9.0, 9.0]]]])
    nothing = torch.zeros_like(score, dtype=torch.bool)
    share = torch.tensor([[0.5], [math.nan], [math.nan]])
    fixed = torch.tensor([[math.nan], [math.nan], [0.25]])
    found = shared_by_scores(Ranking(score, None, nothing).each(), share, torch.ones(3, 1), fixed)
    assert found[:2, 0].tolist() == [0.5, 0.75]  # 5 of the 6 pixels are left for two images
    assert found[2].isnan()
    unknown = torch.full_like(share, math.nan)
    assert shared_by_scores(Ranking(score, None, nothing).each(), unknown, torch.ones(3, 1), fixed).isnan().all()


def test_the_number_of_a_group_is_learned_with_any_images_in_a_batch(grouped) -> None:
    """With the memory full, the gradient of a batch is that of the mean distance over the groups."""
    read = batches(grouped, "paper")
    task, config = study_task(grouped), resolve("paper", "small", settings=TINY).losses
    config = config.model_copy(update={name: type(getattr(config, name))() for name in ("weak", "confidence")})
    batch = read.__getitems__(range(8))
    logit = torch.randn(8, 1, 32, 32, generator=torch.Generator().manual_seed(0), requires_grad=True)
    totals = Totals(read.groups, task)
    totals.record(batch.case, group_parts(logit.detach().sigmoid(), batch, task, read.groups))
    output = Output(logit, torch.zeros_like(batch.image))
    loss = objective(output, batch, batch.image, task, config, totals=totals)["statistic"]
    whole = group_parts(logit.sigmoid(), batch, task, read.groups)
    groups = of_groups(task.statistics, read.groups.of[:8], whole, len(read.groups.value))[:2]
    distance = (groups - read.groups.value[:2]).abs().mean()
    one, other = (torch.autograd.grad(value, logit, retain_graph=True)[0] for value in (loss, distance))
    assert torch.allclose(one, other, rtol=1e-4, atol=1e-9)
    # Four images a group: each weighs as much as one with a number of its own.
    assert loss.item() == pytest.approx(4 * distance.item(), rel=1e-4)


@pytest.mark.parametrize("recipe", ["paper", "grow"])
def test_trains_and_resumes_on_numbers_of_groups_alone(grouped, monkeypatch, recipe) -> None:
    def stop_after_two(self, trainer, module):
        if trainer.current_epoch == 2:
            raise RuntimeError("the machine went away")

    folder = grouped.folder
    settings = (*GROW, "optim.epochs=4")
    options = {"recipe": recipe, "numbers": "per patient", "settings": settings}
    whole = train(folder, out=folder / "whole", **options)
    metrics = pd.read_csv(whole.folder.metrics_file)
    assert metrics["select/group_number_error"].between(0, 1).all()
    monkeypatch.setattr(Journal, "on_train_epoch_start", stop_after_two)
    with pytest.raises(RuntimeError, match="went away"):
        train(folder, out=folder / "stopped", **options)
    monkeypatch.undo()
    resumed = train(folder, out=folder / "stopped", resume=True, **options)
    one, other = (load_model(run.folder.model_file).network.state_dict() for run in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_number_of_a_group_is_predicted_compared_and_reported(grouped) -> None:
    run = train(grouped, recipe="paper", numbers="per patient", settings=(*TINY, "optim.epochs=1"))
    evaluation = evaluate(run.folder.root)
    table = pd.read_csv(run.folder.evaluation("test", "-groups.csv"))
    assert table["group"].tolist() == ["patient5"]
    assert table["images"].tolist() == [4]
    name = grouped.statistics[0].name
    of_images = evaluation.number_cases
    # Images of one size: the mean of the images is the fraction of the group.
    assert table["predicted"][0] == pytest.approx(of_images["predicted"].mean())
    assert table["recorded"][0] == pytest.approx(grouped.group_numbers("per patient")["patient5", name].value)
    written = json.loads(run.folder.evaluation("test", ".json").read_text())
    assert written["groups"][name]["mean_absolute_error"] == pytest.approx(
        abs(table["predicted"][0] - table["recorded"][0])
    )
    (summary,) = read_report([run.folder.root], title="groups").runs
    assert [pair.name for pair in summary.numbers] == ["lesion fraction", "lesion fraction of groups"]


def test_areas_of_a_group_are_shared_by_the_extent_of_the_images() -> None:
    from tallymark.engine.groups import Groups
    from tallymark.engine.task import Task
    from tallymark.measure.definition import Statistic

    nothing = torch.full((1, 1), math.nan)
    groups = Groups(torch.tensor([0, 0]), torch.tensor([9.0, 9.0]), torch.tensor([[30.0]]), nothing, nothing)
    task = Task(("cyst",), (Statistic("size", "area", of=("cyst",), unit="mm2"),), 1, 2)
    share, weight = shares_of_groups(task, groups, torch.tensor([100.0, 200.0]))
    assert share[0].item() == pytest.approx(0.1)
    assert weight[:, 0].tolist() == [100.0, 200.0]


def test_a_comparator_that_counts_pixels_of_each_image_says_so(grouped) -> None:
    with pytest.raises(StudyError, match="numbers of groups alone"):
        train(grouped, recipe="kervadec", numbers="per patient", settings=TINY)


def test_predict_measures_groups_together_where_a_table_names_them(grouped, tmp_path) -> None:
    run = train(grouped, recipe="paper", numbers="per patient", settings=(*TINY, "optim.epochs=1"))
    images = tmp_path / "new"
    images.mkdir()
    for number, case in enumerate(grouped.cases[:3]):
        shutil.copy(case.image, images / f"image{number}.png")
    table = tmp_path / "groups.csv"
    table.write_text("id,group\nimage0,a\nimage1,a\nimage2,b\n")
    numbers = predict(run.folder.root, images, tmp_path / "out", groups=table)
    found = pd.read_csv(tmp_path / "out" / "group-numbers.csv")
    assert found["images"].tolist() == [2, 1]
    expected = [numbers["value"][:2].mean(), numbers["value"][2]]
    assert found["value"].tolist() == pytest.approx(expected)
    table.write_text("id,group\nimage0,a\n")
    with pytest.raises(StudyError, match="images without a group"):
        predict(run.folder.root, images, tmp_path / "out", groups=table)


def test_check_finds_a_group_with_less_than_its_images(grouped) -> None:
    name = grouped.statistics[0].name
    rows = [NumberRow(case.id, name, value=0.5) for case in grouped.cases[:4]]
    rows += [NumberRow("patient0", name, value=0.4, level="group")]
    rows += [NumberRow(case.id, name, value=0.5) for case in grouped.cases[4:6]]
    rows += [NumberRow("patient1", name, value=0.7, level="group")]
    grouped.add_numbers(rows, "typed")
    found = [finding for finding in check_study(grouped.folder).findings if "contradicts" in finding.what]
    assert len(found) == 1
    assert found[0].severity == "error"
    assert "'patient0'" in found[0].what
    assert found[0].found == "0.4 fraction in all, at least 0.5 fraction in its images"
