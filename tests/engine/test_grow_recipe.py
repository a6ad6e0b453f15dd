"""The recipe that grows marks to the number: labels of exactly the known area, no mask, resumable."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tallymark.core.projection import project
from tallymark.core.soft_labels import soft_label_loss
from tallymark.data.resize import resize_layers
from tallymark.data.study import NumberRow, Study
from tallymark.engine.batches import CaseBatches
from tallymark.engine.config import GrownTerm
from tallymark.engine.growers import grower
from tallymark.engine.grown import Growths, _rows
from tallymark.engine.journal import Journal
from tallymark.engine.labels import grown_labels, taught_labels
from tallymark.engine.model_file import load_model
from tallymark.engine.reads import drawn
from tallymark.engine.recipes import resolve
from tallymark.engine.task import study_task
from tallymark.engine.train import train
from tallymark.errors import ConfigError, StudyError
from tallymark.grow import Growth
from tiny import TINY

NAN = math.nan
GROW = (*TINY, "losses.grown.warmup=0.34")


def test_trains_without_any_mask_and_lowers_its_loss(study, monkeypatch) -> None:
    def refuse(self, *arguments):
        raise AssertionError("a weak run opened the truth")

    monkeypatch.setattr(Study, "truth", property(refuse))
    (study / "truth.csv").unlink()
    shutil.rmtree(study.parent / "source" / "masks")
    settings = (*GROW, "optim.epochs=6", "optim.learning_rate=0.01", "optim.ema_decay=0.5")
    run = train(study, recipe="grow", settings=settings)
    metrics = pd.read_csv(run.folder.metrics_file)
    assert metrics[["train/grown", "train/total"]].notna().all(axis=None)
    begun = metrics["train/size"].notna()  # with the warm-up, the number alone is not yet a loss
    assert (begun.iloc[0], begun.iloc[-1]) == (False, True)
    assert metrics["train/grown"].iloc[-1] < metrics["train/grown"].iloc[0]
    assert "select/mark_hit_rate" in metrics


def test_a_resumed_run_meets_the_same_teacher(study, monkeypatch) -> None:
    def stop_after_two(self, trainer, module):
        if trainer.current_epoch == 2:
            raise RuntimeError("the machine went away")

    settings = (*GROW, "optim.epochs=3")
    whole = train(study, recipe="grow", out=study / "whole", settings=settings)
    monkeypatch.setattr(Journal, "on_train_epoch_start", stop_after_two)
    with pytest.raises(RuntimeError, match="went away"):
        train(study, recipe="grow", out=study / "stopped", settings=settings)
    monkeypatch.undo()
    resumed = train(study, recipe="grow", out=study / "stopped", settings=settings, resume=True)
    one, other = (load_model(run.folder.model_file).network.state_dict() for run in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_self_training_needs_averaged_weights(study) -> None:
    with pytest.raises(ConfigError, match=r"key optim\.ema_decay: .*losses\.grown\.warmup=1"):
        train(study, recipe="grow", settings=(*GROW, "optim.ema_decay=0"))


def test_the_grown_marks_cover_the_kept_share_and_the_marks(study) -> None:
    opened = Study.open(study)
    config = resolve("grow", "small", settings=TINY)
    batches = CaseBatches(opened, opened.split("train"), config)
    batch = batches.__getitems__(range(len(batches)))
    shares = batch.grown.mean(dim=(2, 3))
    assert torch.allclose(shares, batch.value, atol=2e-3)
    has = batch.value[:, 0] > 0
    assert (batch.grown[batch.marks] > 0).float().mean() > 0.99
    assert (batch.certainty[has].amax(dim=(1, 2, 3)) > 0).all()


def test_several_structures_compete_and_what_a_coarser_grid_gives_to_two_is_a_mark_of_neither() -> None:
    left, right = np.zeros((2, 8, 8), dtype=bool)
    left[:, :3] = right[:, 2:] = True
    apart = resize_layers({"left": left, "right": right}, (8, 8))
    assert (apart["left"].sum(), apart["right"].sum()) == (16, 40)
    growths = grower(GrownTerm(cost="euclidean")).grow(
        apart, {"left": 24, "right": 40}, np.zeros((8, 8, 1)), (1.0, 1.0), excluded={}
    )
    rows = _rows(Growths(growths, {}), ("left", "right"), (8, 8), 0.0)
    masks = rows[0] == 255
    assert masks.sum(axis=(1, 2)).tolist() == [24, 40]
    assert not masks.all(axis=0).any()


def test_labels_are_soft_where_straight_growth_differs_unless_it_does_so_widely() -> None:
    def grown(columns: slice) -> dict[str, Growth]:
        mask = np.zeros((4, 4), dtype=bool)
        mask[:, columns] = True
        return {"cyst": Growth(mask, np.full((4, 4), 0.5), np.where(mask, 0.5, 2.0), mask, mask, True, "")}

    def labels(columns: slice) -> np.ndarray:
        rows = _rows(Growths(grown(slice(0, 2)), grown(columns)), ("cyst",), (4, 4), 0.5)
        return rows[0, 0, 0] / 255

    assert labels(slice(1, 3)).tolist() == pytest.approx([0.5, 1.0, 0.5, 0.0], abs=1 / 255)  # half is common
    assert labels(slice(0, 2)).tolist() == [1.0, 1.0, 0.0, 0.0]
    assert labels(slice(2, 4)).tolist() == [1.0, 1.0, 0.0, 0.0]  # nothing is
    assert grower(GrownTerm(straight=0)).straight is None
    assert grower(GrownTerm(cost="euclidean")).straight is None


def test_what_is_unknown_has_no_weight_and_an_exact_zero_is_background(study) -> None:
    opened = Study.open(study)
    name = opened.statistics[0].name
    cases = opened.split("train")
    marked = [case for case in cases if opened.marks.labels(case.id, next(iter(opened.marks.sets())))]
    bare = [case for case in cases if case not in marked]
    rows = [NumberRow(case.id, name, value=0.1) for case in marked[1:]]
    rows += [NumberRow(case.id, name, value=0.0) for case in bare]
    opened.add_numbers(rows, "as kept")
    config = resolve("grow", "small", numbers="as kept", settings=TINY)
    chosen = (marked[0], marked[1], *bare[:1])
    batch = grown_labels(CaseBatches(opened, chosen, config).__getitems__(range(len(chosen))), config.losses.grown)
    weights = batch.certainty.mean(dim=(1, 2, 3)).tolist()
    assert weights[:2] == [0.0, 1.0]
    if bare:
        assert weights[2] == 1.0
        assert batch.grown[2].max() == 0
    # Where no number says how much, an unsure network teaches itself no more than the marks say.
    unsure = torch.randn_like(batch.grown).clamp(-1, 1)
    taught = taught_labels(batch, unsure[None], study_task(opened), config.losses.grown)
    assert torch.equal(taught.certainty[0] == 1, batch.marks[0])
    assert taught.certainty[1].min() == 1


def test_taught_labels_keep_the_area_and_the_marks(study) -> None:
    opened = Study.open(study)
    config = resolve("grow", "small", settings=(*TINY, "losses.grown.anchor=0"))
    batches = CaseBatches(opened, opened.split("train"), config)
    batch = batches.__getitems__(range(len(batches)))
    generator = torch.Generator().manual_seed(0)
    logit = torch.randn(batch.grown.shape, generator=generator) * 3
    taught = taught_labels(batch, logit[None], study_task(opened), config.losses.grown)
    pixels = batch.grown[0, 0].numel()
    expected = torch.floor(batch.value[:, 0] * pixels + 0.5)
    assert torch.equal(taught.grown.sum(dim=(1, 2, 3)), expected)
    few = batch.marks.sum(dim=(1, 2, 3)) <= expected
    assert (taught.grown[few][batch.marks[few]] == 1).all()


def test_without_a_number_the_confident_pixels_and_the_marks_teach(study) -> None:
    opened = Study.open(study)
    marked, other = [case for case in opened.split("train") if opened.marks.labels(case.id, "e8")][:2]
    opened.add_numbers([NumberRow(other.id, opened.statistics[0].name, value=0.1)], "of another")
    config = resolve("grow", "small", numbers="of another", settings=TINY)
    batch = CaseBatches(opened, [marked], config).__getitems__([0])
    logit = torch.full_like(batch.grown, -9.0)
    logit[..., :10] = 9.0
    logit[..., 10:20] = 1.0  # p = .73, below the .95 that it takes
    taught = taught_labels(batch, logit[None], study_task(opened), config.losses.grown)
    sure = taught.certainty == 1
    assert torch.equal(sure, (logit.abs() > 2) | batch.marks)
    assert torch.equal(taught.grown[sure] == 1, ((logit > 0) | batch.marks)[sure])
    none = taught_labels(
        batch, logit[None], study_task(opened), config.losses.grown.model_copy(update={"confident": 1.0})
    )
    assert none.certainty.max() == 0


def test_full_masks_among_marked_images_are_the_labels_of_their_images(study) -> None:
    opened = Study.open(study)
    cases = opened.split("train")
    config = resolve("grow", "small", settings=(*TINY, "data.masks=0.5"))
    assert config.reads_masks
    batch = CaseBatches(opened, cases, config).__getitems__(range(len(cases)))
    assert batch.masked.sum() == math.ceil(len(cases) / 2)
    plain = CaseBatches(opened, cases, resolve("full", "small", settings=TINY)).__getitems__(range(len(cases)))
    logit = torch.randn_like(batch.grown)
    for labels in (
        grown_labels(batch, config.losses.grown),
        taught_labels(batch, logit[None], study_task(opened), config.losses.grown),
    ):
        assert torch.equal(labels.grown[batch.masked], plain.truth[batch.masked].float())
        assert labels.certainty[batch.masked].min() == 1
        assert not torch.equal(labels.grown[~batch.masked], plain.truth[~batch.masked].float())
    # What a smaller share reads, a larger one reads as well.
    fewer = resolve("grow", "small", settings=(*TINY, "data.masks=0.2"))
    fewer = CaseBatches(opened, cases, fewer).__getitems__(range(len(cases))).masked
    assert (batch.masked | ~fewer).all()


def test_a_supervised_run_on_a_share_of_the_masks_sees_no_other_image(study) -> None:
    opened = Study.open(study)
    config = resolve("full", "small", settings=(*TINY, "data.masks=0.25"))
    batches = CaseBatches(opened, opened.split("train"), config)
    seen = list(batches.informative())
    assert len(seen) == math.ceil(len(batches) / 4)
    assert batches.__getitems__(seen).masked.all()
    assert opened.truth.has(batches.cases[seen[0]].id, "lesion")


def test_masks_are_refused_where_no_loss_reads_them_and_where_there_are_none(study) -> None:
    with pytest.raises(ConfigError, match=r"no loss of this recipe reads a mask"):
        resolve("paper", "small", settings=("data.masks=0.5",))
    opened = Study.open(study)
    table = pd.read_csv(study / "truth.csv")
    train_ids = {case.id for case in opened.split("train")}
    table[~table["id"].isin(train_ids)].to_csv(study / "truth.csv", index=False)
    with pytest.raises(StudyError, match=r"data\.masks.*0 with masks among"):
        train(study, recipe="grow", settings=(*GROW, "data.masks=0.5"))


def test_trains_on_masks_marks_numbers_and_bare_images_together(study) -> None:
    opened = Study.open(study)
    name = opened.statistics[0].name
    cases = opened.split("train")
    rows = [NumberRow(case.id, name, value=0.1) for case in cases[: len(cases) // 2]]
    opened.add_numbers(rows, "as kept")
    settings = (*GROW, "data.masks=0.3", "optim.epochs=6", "optim.learning_rate=0.01", "optim.ema_decay=0.5")
    run = train(study, recipe="grow", numbers="as kept", settings=settings)
    metrics = pd.read_csv(run.folder.metrics_file)
    assert metrics["train/grown"].iloc[-1] < metrics["train/grown"].iloc[0]


def test_an_image_on_which_two_views_disagree_falls_back_to_its_growth(study) -> None:
    opened = Study.open(study)
    case = next(case for case in opened.split("train") if opened.marks.labels(case.id, "e8"))
    config = resolve("grow", "small", settings=(*TINY, "losses.grown.anchor=0.25"))
    batch = CaseBatches(opened, [case], config).__getitems__([0])
    count = int(torch.floor(batch.value[0, 0] * 32 * 32 + 0.5))
    one, other = torch.full((2, *batch.grown.shape), -5.0)
    one.flatten()[:count] = 5.0
    other.flatten()[-count:] = 5.0
    half = one.clone()
    half.flatten()[: count // 2] = -5.0
    half.flatten()[count : count + count // 2] = 5.0

    def kept(*views: torch.Tensor, **update: object) -> float:
        """Share of the growth in the label, read off where it has a pixel that the outline has not."""
        term = config.losses.grown.model_copy(update={"reach": 99.0, "pull": 0.0, "trust": False} | update)
        outline = project(torch.stack(views).mean(dim=0), batch.value, batch.low, batch.high)
        apart = (batch.grown == 1) & (outline == 0)
        assert apart.any()
        return taught_labels(batch, torch.stack(views), study_task(opened), term).grown[apart].mean().item()

    assert kept(one, one) == pytest.approx(0.25, abs=1e-6)
    assert kept(one) == pytest.approx(0.25, abs=1e-6)
    assert kept(one, half) == pytest.approx(1 - 0.75 * (count - count // 2) / count, abs=1e-6)
    assert kept(one, other) == pytest.approx(1.0, abs=1e-6)
    assert kept(one, other, guard=False) == pytest.approx(0.25, abs=1e-6)


def test_marks_that_may_err_are_not_forced_into_the_label(study) -> None:
    opened = Study.open(study)
    case = next(case for case in opened.split("train") if opened.marks.labels(case.id, "e8"))
    for trust in (True, False):
        config = resolve("grow", "small", settings=(*TINY, f"losses.grown.trust={str(trust).lower()}"))
        batch = CaseBatches(opened, [case], config).__getitems__([0])
        # A network that is sure that the marks are wrong.
        logit = torch.where(batch.marks, -99.0, 1.0)
        taught = taught_labels(
            batch, logit[None], study_task(opened), config.losses.grown.model_copy(update={"anchor": 0.0})
        )
        assert bool((taught.grown[batch.marks] == 1).all()) == trust


# --- projection -------------------------------------------------------------------------------------------------------


def test_projection_is_the_best_mask_of_its_size() -> None:
    generator = torch.Generator().manual_seed(1)
    score = torch.randn(3, 2, 5, 6, generator=generator)
    value = torch.tensor([[0.2, 0.5], [0.0, 1.0], [NAN, 0.01]])
    unknown = torch.full_like(value, NAN)
    mask = project(score, value, unknown, unknown)
    for b in range(3):
        for k in range(2):
            own, here = score[b, k].flatten().numpy(), mask[b, k].flatten().numpy()
            if math.isnan(value[b, k]):
                assert np.array_equal(here > 0, own > 0)
                continue
            count = max(math.floor(float(value[b, k]) * 30 + 0.5), int(value[b, k] > 0))
            best = np.zeros(30)
            best[np.argsort(-own)[:count]] = 1
            assert np.array_equal(here, best)


def test_projection_keeps_marks_and_bars_what_is_barred() -> None:
    score = torch.tensor([[[[5.0, 4.0, 3.0, -9.0]]]])
    value, unknown = torch.tensor([[0.5]]), torch.tensor([[NAN]])
    forced = torch.tensor([[[[False, False, False, True]]]])
    barred = torch.tensor([[[[True, False, False, False]]]])
    mask = project(score, value, unknown, unknown, forced=forced, barred=barred)
    assert mask.flatten().tolist() == [0, 1, 0, 1]
    soft = project(score, value, unknown, unknown, forced=forced, barred=barred, temperature=1.0)
    assert soft[0, 0, 0, 0] == 0
    assert soft[0, 0, 0, 3] > 0.99


def test_projection_leaves_a_prediction_inside_its_interval_alone() -> None:
    score = torch.tensor([[[[1.0, 1.0, -1.0, -1.0]]]])
    unknown = torch.tensor([[NAN]])
    for low, high, count in ((0.25, 0.75, 2), (0.75, 1.0, 3), (0.0, 0.25, 1), (0.75, NAN, 3)):
        mask = project(score, unknown, torch.tensor([[low]]), torch.tensor([[high]]))
        assert mask.sum().item() == count


def test_soft_projection_has_the_size_and_the_order_of_the_score() -> None:
    score = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(2)) * 10
    value, unknown = torch.tensor([[0.3]]), torch.tensor([[NAN]])
    soft = project(score, value, unknown, unknown, temperature=2.0)
    assert soft.mean().item() == pytest.approx(19 / 64, abs=1e-4)
    order = score.flatten().argsort()
    assert (soft.flatten()[order].diff() >= 0).all()


# --- the loss ---------------------------------------------------------------------------------------------------------


def test_soft_labels_with_full_weight_are_full_supervision() -> None:
    from tallymark.core.losses import cross_entropy_loss, dice_loss

    logit = torch.randn(2, 2, 4, 5, generator=torch.Generator().manual_seed(3))
    truth = (torch.rand(2, 2, 4, 5, generator=torch.Generator().manual_seed(4)) > 0.5).float()
    expected = cross_entropy_loss(logit, truth) + dice_loss(logit.sigmoid(), truth)
    assert soft_label_loss(logit, truth, torch.ones_like(truth)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_soft_labels_without_weight_say_nothing() -> None:
    logit = torch.randn(1, 1, 3, 3, requires_grad=True)
    loss = soft_label_loss(logit, torch.rand(1, 1, 3, 3), torch.zeros(1, 1, 3, 3))
    loss.backward()
    assert loss.item() == 0
    assert (logit.grad == 0).all()


def test_gradient_of_soft_labels() -> None:
    generator = torch.Generator().manual_seed(5)
    logit = torch.randn(1, 2, 3, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    label, weight = (torch.rand(1, 2, 3, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    assert torch.autograd.gradcheck(lambda z: soft_label_loss(z, label, weight), (logit,))


def test_marks_and_numbers_on_a_few_are_of_the_same_images_as_masks_on_a_few(study) -> None:
    opened = Study.open(study)
    cases = opened.split("train")
    few = ("data.masks=0.25", "data.marked=0.25", "data.numbered=0.5", "losses.grown.propose=false")  # no guesses
    batch = CaseBatches(opened, cases, resolve("grow", "small", settings=(*TINY, *few))).__getitems__(range(len(cases)))
    every = CaseBatches(opened, cases, resolve("grow", "small", settings=TINY)).__getitems__(range(len(cases)))
    has_mark = every.marks.flatten(1).any(dim=1)
    assert batch.masked.sum() == math.ceil(len(cases) / 4)
    assert torch.equal(batch.marks.flatten(1).any(dim=1), has_mark & batch.masked)
    numbered = ~batch.value.isnan().any(dim=1)
    assert numbered.sum() == math.ceil(len(cases) / 2)
    assert (numbered | ~batch.masked).all()
    # Nothing is grown where no mark is read; where one is, the same as ever.
    grown = (batch.certainty > 0).flatten(1).any(dim=1)
    assert torch.equal(grown & has_mark, has_mark & batch.masked)
    assert torch.equal(batch.grown[grown], every.grown[grown])
    held = CaseBatches(opened, cases, resolve("grow", "small", settings=(*TINY, *few)), growing=False)
    assert torch.equal(held.__getitems__(range(len(cases))).marks, every.marks)


def test_numbers_alone_teach_after_the_warm_up(study) -> None:
    opened = Study.open(study)
    config = resolve("grow", "small", settings=(*TINY, "data.marked=0"))
    batches = CaseBatches(opened, opened.split("train"), config)
    assert len(list(batches.informative())) == len(batches)
    batch = batches.__getitems__(range(len(batches)))
    taught = taught_labels(batch, torch.randn_like(batch.grown)[None], study_task(opened), config.losses.grown)
    share = taught.grown.mean(dim=(1, 2, 3))
    assert share.numpy() == pytest.approx(batch.value[:, 0].numpy(), abs=0.6 / 32**2)


def test_a_share_with_a_few_digits_is_as_many_images_as_it_was_made_of(study) -> None:
    cases = [replace(Study.open(study).cases[0], id=str(number)) for number in range(310)]
    assert [drawn(cases, float(f"{count / 310:.6g}")).sum() for count in (1, 15, 110, 310)] == [1, 15, 110, 310]
