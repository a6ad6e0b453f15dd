"""Recipes of the methods that ours is compared with: they see no mask, lower their loss and bear what is unknown."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from tallymark.core.gated_crf import gated_crf_loss
from tallymark.core.losses import exclusion_loss, weak_loss
from tallymark.core.mixed_pseudo_labels import mixed_pseudo_label_loss
from tallymark.core.positive_unlabelled import nnpu_loss, ranked_negatives_loss
from tallymark.core.size_constraints import log_barrier_loss, size_penalty
from tallymark.data.study import NumberRow, Study
from tallymark.engine.batch import Batch
from tallymark.engine.config import LossConfig
from tallymark.engine.evaluate import evaluate
from tallymark.engine.journal import Journal
from tallymark.engine.model_file import load_model
from tallymark.engine.objective import objective
from tallymark.engine.predict import predict
from tallymark.engine.recipes import RECIPES, resolve
from tallymark.engine.task import Task
from tallymark.engine.train import train
from tallymark.errors import ConfigError
from tallymark.measure.definition import Statistic
from tallymark.models.interface import Output, mean_of_branches
from tiny import TINY

NAN = math.nan

# What each may read; none may read masks.
READS = {
    "kervadec": {"marks", "numbers"},
    "log_barrier": {"marks", "numbers"},
    "ranked_negatives": {"marks", "numbers"},
    "nnpu": {"marks", "numbers"},
    "gated_crf": {"marks"},
    "gated_crf_size": {"marks", "numbers"},
    "dmsps": {"marks"},
    "dmsps_size": {"marks", "numbers"},
}
EVERY = pytest.mark.parametrize("recipe", READS)

# Settings under which a few epochs show; no average of the weights, no sharpness that lifts the loss while it grows.
LEARN = (
    *TINY,
    "optim.epochs=5",
    "optim.learning_rate=0.01",
    "optim.ema_decay=0",
    "losses.log_barrier.end=5",
)


@EVERY
def test_reads_what_it_says(recipe: str) -> None:
    config = resolve(recipe, "small")
    found = {name for name in ("marks", "numbers", "masks") if getattr(config, f"reads_{name}")}
    assert found == READS[recipe]


def test_every_recipe_is_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert [name for name in RECIPES if f"`{name}`" not in page] == []


@EVERY
def test_trains_without_any_mask_and_lowers_its_loss(study, recipe: str, monkeypatch) -> None:
    def refuse(self, *arguments):
        raise AssertionError("a weak run opened the truth")

    monkeypatch.setattr(Study, "truth", property(refuse))
    (study / "truth.csv").unlink()
    shutil.rmtree(study.parent / "source" / "masks")
    run = train(study, recipe=recipe, settings=LEARN)
    metrics = pd.read_csv(run.folder.metrics_file)
    assert metrics.filter(like="train/").notna().all(axis=None)
    assert metrics["train/total"].iloc[-1] < metrics["train/total"].iloc[0]


@pytest.mark.parametrize("recipe", ["kervadec", "nnpu", "ranked_negatives"])
def test_numbers_that_are_missing_or_intervals_do_no_harm(study, recipe: str) -> None:
    opened = Study.open(study)
    name = opened.statistics[0].name
    known = opened.split("train")[:8]
    rows = [NumberRow(case.id, name, value=0.1) for case in known[:3]]
    rows += [NumberRow(case.id, name, low=0.05, high=0.2) for case in known[3:6]]
    rows += [NumberRow(known[6].id, name, value=0.0), NumberRow(known[7].id, name, low=0.05)]
    opened.add_numbers(rows, "as kept")
    run = train(opened, recipe=recipe, numbers="as kept", settings=(*TINY, "optim.epochs=2"))
    assert pd.read_csv(run.folder.metrics_file).filter(like="train/").notna().all(axis=None)


@pytest.mark.parametrize("recipe", ["log_barrier", "dmsps_size"])
def test_a_resumed_run_repeats_its_sharpness_and_its_draws(study, recipe: str, monkeypatch) -> None:
    def stop_after_one(self, trainer, module):
        if trainer.current_epoch == 1:
            raise RuntimeError("the machine went away")

    settings = (*TINY, "optim.epochs=3")
    whole = train(study, recipe=recipe, out=study / "whole", settings=settings)
    monkeypatch.setattr(Journal, "on_train_epoch_start", stop_after_one)
    with pytest.raises(RuntimeError, match="went away"):
        train(study, recipe=recipe, out=study / "stopped", settings=settings)
    monkeypatch.undo()
    resumed = train(study, recipe=recipe, out=study / "stopped", settings=settings, resume=True)
    one, other = (load_model(run.folder.model_file).network.state_dict() for run in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("profile", "settings"),
    [("small", TINY), pytest.param("paper", ("data.size=[32,32]",), marks=pytest.mark.full)],
)
def test_a_network_of_two_branches_goes_the_whole_road(study, profile: str, settings: tuple[str, ...]) -> None:
    settings = (*settings, "optim.epochs=1", "optim.batch_size=4")
    run = train(study, recipe="dmsps_size", profile=profile, settings=settings)
    assert evaluate(run.folder.root).scores["lesion"]["images"] > 0
    numbers = predict(run.folder.root, Study.open(study).cases[0].image, study / "out")
    assert numbers["value"].between(0, 1).all()


def test_mixed_pseudo_labels_want_two_branches(study) -> None:
    with pytest.raises(ConfigError, match=r"key model\.options\.branches: .*--set model\.options\.branches=2"):
        train(study, recipe="paper", settings=(*TINY, "losses.mixed_pseudo_labels.weight=1"))


# --- the sum of the losses --------------------------------------------------------------------------------------------

FRACTION = Statistic("fraction", "area_fraction", of=("lesion",))
TASK = Task(("lesion", "cyst"), (FRACTION,), image_channels=1, dimension=2)


def batch_of_two(second: float) -> Batch:
    """Two images with two structures; the size of the first structure is 0.25 in the first, ``second`` in the other."""
    generator = torch.Generator().manual_seed(0)
    nothing = torch.full((2, 1), NAN)
    marks = torch.zeros(2, 2, 4, 4, dtype=torch.bool)
    marks[0, :, 1, 1] = True
    excluded = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    excluded[0, 0, 3, 3] = True
    valid = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    valid[..., 0] = False
    return Batch(
        image=torch.rand(2, 1, 4, 4, generator=generator),
        valid=valid,
        value=torch.tensor([[0.25], [second]]),
        low=nothing,
        high=nothing,
        spacing_mm=torch.full((2, 2), NAN),
        extent_mm=torch.full((2,), NAN),
        marks=marks,
        excluded=excluded,
        truth=None,
    )


def logits(branches: int = 1) -> torch.Tensor:
    return torch.randn(branches, 2, 2, 4, 4, generator=torch.Generator().manual_seed(1))


def terms_of(logit: torch.Tensor, batch: Batch, losses: dict, progress: float = 0.0) -> dict[str, torch.Tensor]:
    branches = None if len(logit) == 1 else logit
    output = Output(mean_of_branches(logit), batch.image, branches)
    return objective(output, batch, batch.image, TASK, LossConfig.model_validate(losses), progress)


def test_every_loss_gets_its_options_and_the_sizes() -> None:
    batch, logit = batch_of_two(NAN), logits()
    z, valid = mean_of_branches(logit), batch.valid
    prob, sizes = z.sigmoid(), torch.tensor([[0.25, NAN], [NAN, NAN]])
    expected = {
        "size": ({"margin": 0.3}, size_penalty(prob, sizes, margin=0.3, valid=valid)),
        "log_barrier": (
            {"margin": 0.3, "start": 2.0, "end": 8.0},
            log_barrier_loss(prob, sizes, sharpness=4.0, margin=0.3, valid=valid),
        ),
        "ranked_negatives": ({"margin": 1.5}, ranked_negatives_loss(z, batch.marks, sizes, margin=1.5, valid=valid)),
        "nnpu": (
            {"surrogate": "logistic", "beta": 0.1, "gamma": 0.5},
            nnpu_loss(z, batch.marks, sizes, surrogate="logistic", beta=0.1, gamma=0.5, valid=valid),
        ),
        "gated_crf": (
            {"radius": 2, "position": 3.0, "intensity": 0.5},
            gated_crf_loss(prob, batch.image, radius=2, position=3.0, intensity=0.5, valid=valid),
        ),
    }
    losses = {name: {"weight": 2.0, **options} for name, (options, _) in expected.items()}
    found = terms_of(logit, batch, losses, progress=0.5)
    assert set(found) == {*expected, "total"}
    for name, (_, value) in expected.items():
        assert value.item() != 0
        assert found[name].item() == pytest.approx(value.item(), rel=1e-5), name
    assert found["total"].item() == pytest.approx(2 * sum(value.item() for _, value in expected.values()), rel=1e-5)


@pytest.mark.parametrize("name", ["size", "log_barrier", "ranked_negatives", "nnpu"])
def test_an_unknown_number_leaves_its_image_alone(name: str) -> None:
    logit = logits().requires_grad_()
    terms_of(logit, batch_of_two(NAN), {name: {"weight": 1}})["total"].backward()
    assert (logit.grad[0, 0, 0] != 0).any(), "the number of the first image teaches"
    assert (logit.grad[0, 1] == 0).all(), "the number of the second is unknown"
    assert (logit.grad[0, :, 1] == 0).all(), "and nobody kept one of the second structure"


@pytest.mark.parametrize("name", ["size", "log_barrier", "ranked_negatives", "nnpu"])
def test_an_exact_zero_pushes_every_pixel_of_its_image_down(name: str) -> None:
    logit = logits().requires_grad_()
    terms_of(logit, batch_of_two(0.0), {name: {"weight": 1}})["total"].backward()
    pushed = logit.grad[0, 1, 0]
    assert (pushed[:, 1:] > 0).all()
    assert (pushed[:, 0] == 0).all(), "these pixels do not show the image"


def test_partial_cross_entropy_takes_an_exact_zero_as_background_where_it_is_asked_to() -> None:
    batch, logit = batch_of_two(0.0), logits()
    z = mean_of_branches(logit)
    positives = weak_loss(z, batch.marks, "marked", batch.valid)
    background = batch.excluded.repeat(1, 2, 1, 1)
    for zero_is_background in (False, True):
        weak = {"weight": 1, "reduction": "marked", "zero_is_background": zero_is_background}
        found = terms_of(logit, batch, {"weak": weak})["weak"]
        background[1, 0] = zero_is_background  # of the structure with the number, not of the other
        expected = positives + exclusion_loss(z, background, "marked", batch.valid)
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_two_branches_pay_the_mean_and_teach_each_other() -> None:
    batch, both = batch_of_two(NAN), logits(2)
    losses = {"weak": {"weight": 1, "reduction": "marked"}, "size": {"weight": 1}, "mixed_pseudo_labels": {"weight": 3}}
    alone = [terms_of(one[None], batch, {"weak": losses["weak"], "size": losses["size"]}) for one in both]
    torch.manual_seed(0)
    share = torch.rand(()).item()
    torch.manual_seed(0)
    found = terms_of(both, batch, losses)
    for name in ("weak", "size"):
        assert found[name].item() == pytest.approx((alone[0][name] + alone[1][name]).item() / 2, rel=1e-5)
    assert found["mixed_pseudo_labels"].item() == pytest.approx(
        mixed_pseudo_label_loss(both, share, batch.valid).item()
    )
