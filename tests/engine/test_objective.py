"""The sum of the losses: what is switched on, hand-counted values, and golden losses of a fixed training."""

import math

import pandas as pd
import pytest
import torch

from tallymark.engine.batch import Batch
from tallymark.engine.config import LossConfig
from tallymark.engine.objective import objective
from tallymark.engine.task import Task
from tallymark.engine.train import train
from tallymark.measure.definition import Statistic
from tallymark.models.interface import Output
from tiny import TINY

TASK = Task(("lesion",), (Statistic("fraction", "area_fraction", of=("lesion",)),), image_channels=1, dimension=2)


def batch_of_one() -> Batch:
    """Four pixels; one of them is marked; the number says one half."""
    nothing = torch.full((1, 1), math.nan)
    return Batch(
        image=torch.tensor([[[[0.0, 0.5], [0.5, 1.0]]]]),
        valid=torch.ones(1, 1, 2, 2, dtype=torch.bool),
        value=torch.tensor([[0.5]]),
        low=nothing,
        high=nothing,
        spacing_mm=torch.full((1, 2), math.nan),
        extent_mm=torch.full((1,), math.nan),
        marks=torch.tensor([[[[True, False], [False, False]]]]),
        excluded=torch.zeros(1, 1, 2, 2, dtype=torch.bool),
        truth=torch.tensor([[[[True, True], [False, False]]]]),
    )


def losses(**weights: float) -> LossConfig:
    return LossConfig.model_validate({name: {"weight": weight} for name, weight in weights.items()})


def test_the_papers_sum_counted_by_hand():
    batch = batch_of_one()
    output = Output(logit=torch.zeros(1, 1, 2, 2), reconstruction=torch.full((1, 1, 2, 2), 0.5))
    terms = objective(output, batch, batch.image, TASK, losses(statistic=1, weak=2, confidence=3, reconstruction=4))
    # p = 1/2 everywhere: the number is met; one of four pixels is marked; p(1-p) = 1/4; the picture is off by 1/4.
    assert terms["statistic"].item() == pytest.approx(0)
    assert terms["weak"].item() == pytest.approx(math.log(2) / 4)
    assert terms["confidence"].item() == pytest.approx(0.25)
    assert terms["reconstruction"].item() == pytest.approx(0.25)
    assert terms["total"].item() == pytest.approx(2 * math.log(2) / 4 + 3 * 0.25 + 4 * 0.25)


def test_only_what_is_switched_on_is_computed():
    batch = batch_of_one()._replace(marks=None, excluded=None, truth=None)
    output = Output(logit=torch.zeros(1, 1, 2, 2), reconstruction=batch.image)
    assert set(objective(output, batch, batch.image, TASK, losses(statistic=1))) == {"statistic", "total"}


def test_in_the_warm_up_on_grown_marks_only_what_knows_a_label_counts():
    batch = batch_of_one()
    batch = batch._replace(grown=batch.truth.float(), certainty=torch.ones(1, 1, 2, 2))
    output = Output(logit=torch.zeros(1, 1, 2, 2), reconstruction=batch.image)
    config = losses(grown=0.5, weak=1, size=30, gated_crf=0.1, dice=1)
    early = objective(output, batch, batch.image, TASK, config, progress=0.2)
    late = objective(output, batch, batch.image, TASK, config, progress=0.5)
    assert set(early) == {"grown", "dice", "total"}
    assert set(late) == {"grown", "dice", "weak", "size", "gated_crf", "total"}
    assert early["grown"] == late["grown"]
    # Where nothing grew, there is nothing to warm up on.
    unknown = batch._replace(certainty=torch.zeros(1, 1, 2, 2))
    assert "size" in objective(output, unknown, batch.image, TASK, config, progress=0.2)
    assert "size" in objective(output, batch, batch.image, TASK, losses(size=30), progress=0.2)


def test_a_mark_that_says_none_of_these_pushes_down():
    batch = batch_of_one()._replace(excluded=torch.tensor([[[[False, False], [False, True]]]]))
    logit = torch.zeros(1, 1, 2, 2, requires_grad=True)
    objective(Output(logit, batch.image), batch, batch.image, TASK, losses(weak=1))["total"].backward()
    assert logit.grad[0, 0, 0, 0] < 0 < logit.grad[0, 0, 1, 1]
    assert logit.grad[0, 0, 0, 1] == 0


def test_hard_area_counts_pixels_and_still_has_a_gradient():
    batch = batch_of_one()
    logit = torch.tensor([[[[0.1, -0.1], [-0.1, -0.1]]]], requires_grad=True)
    config = LossConfig.model_validate({"statistic": {"weight": 1, "area": "hard"}})
    terms = objective(Output(logit, batch.image), batch, batch.image, TASK, config)
    assert terms["statistic"].item() == pytest.approx(0.25)
    terms["total"].backward()
    assert bool((logit.grad < 0).all())


# A refactor must show the same losses; a change that means to alter them changes these figures and says so.
GOLDEN = {"paper": [1.1675, 1.1002, 1.1019, 1.0742], "full": [1.5715, 1.5478, 1.5549, 1.5478]}


@pytest.mark.parametrize("recipe", GOLDEN)
def test_golden_losses(study, recipe):
    run = train(study, recipe=recipe, settings=TINY)
    total = pd.read_csv(run.folder.metrics_file)["train/total"].tolist()
    assert total == pytest.approx(GOLDEN[recipe], rel=0.01)
