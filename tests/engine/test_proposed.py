"""A study with numbers and hardly a mark: blobs of the known size stand in for marks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tallymark.data.study import Study
from tallymark.engine.batches import CaseBatches
from tallymark.engine.evaluate import evaluate
from tallymark.engine.known_size import known_fractions
from tallymark.engine.labels import grown_labels, has_growth, ranking
from tallymark.engine.recipes import resolve
from tallymark.engine.task import study_task
from tallymark.engine.train import train
from tallymark.errors import StudyError
from tiny import TINY

UNMARKED = (*TINY, "data.marked=0")


def batch_of(study: Study, *settings: str):
    config = resolve("grow", "small", marks="e8", settings=(*UNMARKED, *settings))
    cases = study.split("train")
    return CaseBatches(study, cases, config).__getitems__(range(len(cases))), config.losses.grown


def test_labels_of_the_known_size_lie_where_the_structure_is(study) -> None:
    opened = Study.open(study)
    batch, term = batch_of(opened)
    sizes = known_fractions(study_task(opened), batch).middle()
    assert torch.allclose(batch.grown.mean(dim=(2, 3)), sizes, atol=0.01)
    config = resolve("full", "small", settings=TINY)
    truth = CaseBatches(opened, opened.split("train"), config).__getitems__(range(len(batch.image))).truth
    grown = batch.grown > 0.5
    overlaps = (grown & truth).sum(dim=(1, 2, 3)) / (grown | truth).sum(dim=(1, 2, 3)).clamp(min=1)
    assert overlaps[sizes[:, 0] > 0].mean() > 0.4
    # A guess is no anchor, and how far a pixel is from it says nothing: afterwards the network alone ranks the pixels.
    assert torch.equal(has_growth(batch).flatten(), sizes[:, 0] == 0)
    logit = torch.randn(batch.grown.shape)
    ranked, there = ranking(batch, logit, term), sizes[:, 0] > 0
    assert torch.allclose(ranked.score[there], logit[there], atol=1e-4)
    assert not ranked.barred[there].any()


def test_it_can_be_switched_off_and_marks_or_masks_come_first(study) -> None:
    opened = Study.open(study)
    has_size = known_fractions(study_task(opened), batch_of(opened)[0]).middle()[:, 0] > 0
    for settings in (("losses.grown.propose=false",), ("data.marked=0.8",), ("data.masks=0.6",)):
        batch, _ = batch_of(opened, *settings)
        known = (batch.certainty > 0).flatten(1).any(dim=1)
        marked = batch.marks.flatten(1).any(dim=1)
        assert torch.equal(known[has_size], marked[has_size]), settings


def test_beside_few_marks_the_others_are_guessed_and_what_is_marked_stays(study) -> None:
    opened = Study.open(study)
    marked = "data.marked=0.3"
    batch, _ = batch_of(opened, marked)
    alone, _ = batch_of(opened, marked, "losses.grown.propose=false")
    has_size = known_fractions(study_task(opened), batch).middle()[:, 0] > 0
    told = batch.marks.flatten(1).any(dim=1)
    assert 0 < told.sum() < has_size.sum() / 2
    for name in ("grown", "order", "certainty"):
        assert torch.equal(getattr(batch, name)[told], getattr(alone, name)[told])
    guessed = has_size & ~told
    assert (batch.certainty[guessed].flatten(1).amax(dim=1) > 0).all()
    assert (alone.certainty[guessed] == 0).all()
    assert (batch.order[guessed] == 0).all()
    assert not has_growth(batch)[guessed].any()


def test_beside_few_masks_the_others_are_guessed(study) -> None:
    opened = Study.open(study)
    batch, term = batch_of(opened, "data.masks=0.2", "data.marked=0")
    has_size = known_fractions(study_task(opened), batch).middle()[:, 0] > 0
    assert 0 < batch.masked.sum() < has_size.sum() / 2
    assert (batch.certainty[has_size & ~batch.masked].flatten(1).amax(dim=1) > 0).all()
    labels = grown_labels(batch, term)
    assert torch.equal(labels.grown[batch.masked], batch.truth[batch.masked].to(labels.grown))


def test_a_study_without_any_marks_is_trained_and_scored_on_its_numbers(study, tmp_path: Path) -> None:
    (study / "marks.sqlite").unlink()
    opened = Study.open(study)
    assert not list(opened.marks.sets())
    with pytest.raises(StudyError, match=r"data\.marked=0"):
        train(opened, settings=TINY, out=tmp_path / "run")
    train(opened, settings=(*UNMARKED, "optim.epochs=2"), out=tmp_path / "run")
    assert evaluate(tmp_path / "run").scores["lesion"]["images"] > 0
