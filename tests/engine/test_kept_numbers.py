"""Numbers as they are kept, in the recipe that grows: intervals, rounding, noise, missing ones, a longest axis."""

from __future__ import annotations

import math

import pytest
import torch

from tallymark.core.projection import project
from tallymark.data.study import NumberRow, Study
from tallymark.datasets.kept_numbers import simulate_numbers
from tallymark.engine.batches import CaseBatches
from tallymark.engine.known_size import known_fractions
from tallymark.engine.labels import grown_labels, ranking, taught_labels
from tallymark.engine.recipes import resolve
from tallymark.engine.task import study_task
from tallymark.engine.train import train
from tiny import TINY


def grown(study: Study, numbers: str, cases=None):
    config = resolve("grow", "small", numbers=numbers, settings=TINY)
    cases = study.split("train") if cases is None else cases
    return CaseBatches(study, cases, config).__getitems__(range(len(cases))), config.losses.grown


def test_an_interval_is_labelled_by_how_likely_each_pixel_is(study) -> None:
    opened = Study.open(study)
    name = opened.statistics[0].name
    case = next(case for case in opened.split("train") if opened.numbers()[case.id, name].value > 0.05)
    rows = {"wide": (0.05, 0.15), "inner": (0.05, 0.05), "outer": (0.15, 0.15)}
    for variant, (low, high) in rows.items():
        opened.add_numbers([NumberRow(case.id, name, low=low, high=high)], variant)
    labels = {v: grown_labels(*grown(opened, v, [case])).grown[0, 0] for v in rows}
    # One everywhere that the least area covers, nothing outside of the largest, on average the middle.
    assert (labels["wide"][labels["inner"] == 1] > 0.6).all()
    assert (labels["wide"][labels["outer"] == 0] < 0.4).all()
    assert labels["wide"].mean().item() == pytest.approx(0.1, abs=5e-3)
    between = (labels["outer"] == 1) & (labels["inner"] == 0)
    assert 0.3 < labels["wide"][between].mean() < 0.7


def test_an_outline_inside_its_interval_is_the_label(study) -> None:
    opened = Study.open(study)
    name = opened.statistics[0].name
    case = next(case for case in opened.split("train") if opened.numbers()[case.id, name].value > 0.05)
    opened.add_numbers([NumberRow(case.id, name, low=0.02, high=0.5)], "wide")
    batch, term = grown(opened, "wide", [case])
    term = term.model_copy(update={"anchor": 0.0, "guard": False, "reach": 99.0})
    # A network that agrees with the growth, to whose outline the score is then 0.
    logit = torch.where(batch.order < 1, 3.0, -3.0)
    score = ranking(batch, logit, term).score
    taught = taught_labels(batch, logit[None], study_task(opened), term).grown
    assert torch.equal(taught, (score > 0).float())
    assert torch.equal(taught, (batch.order < 1).float())
    assert torch.equal(taught, project(score, *known_fractions(study_task(opened), batch)))


def test_rounded_to_zero_is_not_empty(study) -> None:
    opened = Study.open(study)
    simulate_numbers(opened, "rounded:30%", "r30")
    name = opened.statistics[0].name
    zeros = [
        case
        for case in opened.split("train")
        if (number := opened.numbers("r30").get((case.id, name))) and number.value == 0 and number.high > 0
    ]
    assert zeros
    batch, term = grown(opened, "r30", zeros)
    assert not known_fractions(study_task(opened), batch).none().any()
    for labels in (
        grown_labels(batch, term),
        taught_labels(batch, torch.full_like(batch.grown, -9.0)[None], study_task(opened), term),
    ):
        assert (labels.grown.amax(dim=(1, 2, 3)) > 0.5).all()
        assert (labels.certainty > 0).all()


def test_a_longest_axis_is_grown_to_the_areas_it_bounds(study) -> None:
    """10 pixels of 1 mm of 48 x 48: a disc has 78.5, an ellipse a quarter as wide 19.6 of 2304 mm2."""
    text = (study / "study.toml").read_text()
    text = text.replace('kind = "area_fraction"', 'kind = "longest_axis"').replace('unit = "fraction"', 'unit = "mm"')
    (study / "study.toml").write_text(text)
    cases = (study / "cases.csv").read_text().splitlines()
    column = cases[0].split(",").index("spacing") if "spacing" in cases[0] else None
    header = cases[0] if column is not None else cases[0] + ",spacing"
    rows = [
        ",".join([*line.split(",")[:column], "1 1", *line.split(",")[column + 1 :]]) if column else line + ",1 1"
        for line in cases[1:]
    ]
    (study / "cases.csv").write_text("\n".join([header, *rows]) + "\n")
    (study / "statistics.csv").write_text("level,id,statistic,structure,value,low,high,variant\n")
    opened = Study.open(study)
    name = opened.statistics[0].name
    opened.add_numbers([NumberRow(case.id, name, value=10.0) for case in opened.cases], "measured")
    batch, term = grown(opened, "measured")
    sizes = known_fractions(study_task(opened), batch)
    disc = math.pi / 4 * 100 / 48**2
    assert sizes.low.flatten().tolist() == pytest.approx([disc / 4] * len(sizes.low), rel=1e-4)
    assert sizes.high.flatten().tolist() == pytest.approx([disc] * len(sizes.low), rel=1e-4)
    few = (batch.marks.sum(dim=(1, 2, 3)) > 0) & (batch.marks.float().mean(dim=(1, 2, 3)) < disc / 4)
    assert few.any()
    assert torch.allclose(
        grown_labels(batch, term).grown[few].mean(dim=(1, 2, 3)), torch.tensor(disc * 5 / 8), atol=4e-3
    )
    train(opened, numbers="measured", settings=(*TINY, "optim.epochs=3", "losses.grown.warmup=0.34"))


@pytest.mark.parametrize("kept", ["interval:20%", "noisy:20%", "missing:50%", "rounded:5%", "biased:-20%"])
def test_trains_on_numbers_as_they_are_kept(study, kept) -> None:
    opened = Study.open(study)
    simulate_numbers(opened, kept, "kept")
    train(opened, numbers="kept", settings=(*TINY, "optim.epochs=3", "losses.grown.warmup=0.34"))
