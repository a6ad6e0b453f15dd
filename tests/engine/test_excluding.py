"""Structures exclude each other: a mark of one is a mark against the others, in the losses and in the labels."""

from __future__ import annotations

import pytest
import torch

from tallymark.engine.batch import Batch
from tallymark.engine.config import GrownTerm, LossConfig, WeakTerm
from tallymark.engine.labels import ranking, taught_labels
from tallymark.engine.objective import objective
from tallymark.engine.task import Task
from tallymark.measure.definition import Statistic
from tallymark.models.interface import Output

TASK = Task(
    ("ring", "core"),
    tuple(Statistic(name, "area_fraction", of=(name,)) for name in ("ring", "core")),
    image_channels=1,
    dimension=2,
)


def batch(marks: list[list[int]], excluded: list[int], sizes: tuple[float, float] = (0.5, 0.25)) -> Batch:
    """One row of pixels; marks of the ring and of the core."""
    own = torch.tensor(marks, dtype=torch.bool)[None, :, None]
    space = own.shape[2:]
    nothing = torch.full((1, 2), torch.nan)
    return Batch(
        image=torch.zeros(1, 1, *space),
        valid=torch.ones(1, 1, *space, dtype=torch.bool),
        value=torch.tensor([sizes]),
        low=nothing,
        high=nothing,
        spacing_mm=torch.full((1, 2), torch.nan),
        extent_mm=torch.full((1,), torch.nan),
        marks=own,
        excluded=torch.tensor(excluded, dtype=torch.bool)[None, None, None],
        truth=None,
        grown=torch.zeros(1, 2, *space),
        order=torch.ones(1, 2, *space),
        certainty=torch.zeros(1, 2, *space),
    )


def test_what_is_marked_as_another_or_as_none_is_something_else() -> None:
    one = batch([[1, 0, 1, 0, 0], [0, 1, 1, 0, 0]], [0, 0, 0, 1, 0])
    assert one.something_else()[0, :, 0].int().tolist() == [[0, 1, 0, 1, 0], [1, 0, 0, 1, 0]]


def test_a_mark_of_one_structure_is_learned_against_the_others() -> None:
    one = batch([[1, 0, 0], [0, 1, 0]], [0, 0, 0])
    logit = torch.zeros(1, 2, 1, 3, requires_grad=True)
    config = LossConfig(weak=WeakTerm(weight=1.0, reduction="marked"))
    objective(Output(logit, None), one, one.image, TASK, config)["total"].backward()
    # Down at its own mark, up at the other's, nothing where nobody marked.
    assert logit.grad is not None
    assert logit.grad[0, :, 0].sign().tolist() == [[-1, 1, 0], [1, -1, 0]]


def test_a_pixel_goes_to_the_likelier_structure() -> None:
    one = batch([[0, 0, 0, 0], [0, 0, 0, 0]], [0, 0, 0, 0])
    # The ring's network sees a disc: it is as sure inside of the core as on the ring.
    logit = torch.tensor([[[[3.0, 4.0, 2.5, -2.0]], [[-3.0, 6.0, -1.0, -4.0]]]])
    score = ranking(one, logit, GrownTerm()).score
    assert score[0, :, 0].tolist() == [[3.0, -2.0, 2.5, -2.0], [-6.0, 2.0, -3.5, -4.0]]
    taught = taught_labels(one, logit[None], TASK, GrownTerm())
    assert taught.grown is not None
    assert taught.grown[0, :, 0].tolist() == [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]]


@pytest.mark.parametrize("trust", [True, False])
def test_the_mark_of_another_is_never_in_a_label(trust: bool) -> None:
    one = batch([[0, 0, 0, 0], [0, 1, 0, 0]], [0, 0, 0, 0])
    logit = torch.tensor([[[[3.0, 9.0, 2.5, -2.0]], [[-3.0, 0.5, -1.0, -4.0]]]])
    taught = taught_labels(one, logit[None], TASK, GrownTerm(trust=trust))
    assert taught.grown is not None
    assert taught.grown[0, 0, 0].tolist() == [1.0, 0.0, 1.0, 0.0]


def test_one_structure_is_ranked_by_itself() -> None:
    own = batch([[0, 0], [0, 0]], [0, 0])
    one = own._replace(**{name: getattr(own, name)[:, :1] for name in ("marks", "grown", "order", "certainty")})
    logit = torch.randn(1, 1, 1, 2)
    assert torch.equal(ranking(one, logit, GrownTerm()).score, logit)
