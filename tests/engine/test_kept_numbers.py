"""Numbers as they are kept, in the recipe that grows: intervals, rounding, noise, missing ones, a longest axis."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
import torch

from tallymark.core.projection import project
from tallymark.data.study import NumberRow, Study
from tallymark.datasets.kept_numbers import simulate_numbers
from tallymark.engine.batches import CaseBatches
from tallymark.engine.known_size import known_fractions
from tallymark.engine.labels import grown_labels, ranking, taught_labels
from tallymark.engine.recipes import resolve
from tallymark.engine.recover import recover
from tallymark.engine.task import study_task
from tallymark.engine.train import train
from tallymark.errors import StudyError
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


def in_mm(study: Path, kind: str, unit: str, value: float) -> Study:
    """The study with pixels of 1 mm, and with one and the same number of another kind for every image."""
    text = (study / "study.toml").read_text()
    text = text.replace('kind = "area_fraction"', f'kind = "{kind}"').replace('unit = "fraction"', f'unit = "{unit}"')
    (study / "study.toml").write_text(text)
    cases = pd.read_csv(study / "cases.csv", dtype=str, keep_default_na=False)
    cases.assign(spacing="1 1").to_csv(study / "cases.csv", index=False)
    (study / "statistics.csv").write_text("level,id,statistic,structure,value,low,high,variant\n")
    opened = Study.open(study)
    name = opened.statistics[0].name
    opened.add_numbers([NumberRow(case.id, name, value=value) for case in opened.cases], "measured")
    return opened


def test_a_longest_axis_is_grown_to_the_areas_it_bounds(study) -> None:
    """10 pixels of 1 mm of 48 x 48: a disc has 78.5, an ellipse a quarter as wide 19.6 of 2304 mm2."""
    opened = in_mm(study, "longest_axis", "mm", 10.0)
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


@pytest.mark.parametrize(("kind", "unit", "most"), [("area", "mm2", "2304 mm2"), ("longest_axis", "mm", "78.38 mm")])
def test_a_number_that_an_image_has_no_room_for_is_refused_by_name(study, tmp_path, kind, unit, most) -> None:
    opened = in_mm(study, kind, unit, 20.0)
    table = study / "statistics.csv"
    case = opened.split("train")[2]
    lines = table.read_text().splitlines()
    row = next(place for place, line in enumerate(lines) if f",{case.id}," in line)
    lines[row] = lines[row].replace("20", "90000")
    table.write_text("\n".join(lines) + "\n")
    roads = [
        lambda: train(study, numbers="measured", settings=TINY, out=tmp_path / "run"),
        lambda: train(study, recipe="paper", numbers="measured", settings=TINY, out=tmp_path / "run"),
    ]
    if kind == "area":  # an axis alone is nothing to recover from
        roads.append(lambda: recover(study, numbers="measured", out=tmp_path / "out", settings=TINY))
    for learn in roads:
        with pytest.raises(StudyError, match="no room for the number") as refused:
            learn()
        for words in (f"{table}, case '{case.id}'", f"found 90000 {unit}", f"at most {most}", "tallymark check"):
            assert words in str(refused.value)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "out").exists()  # before anything is trained


def test_an_area_rounded_up_to_a_hair_above_its_image_is_all_of_it(study) -> None:
    batch, _ = grown(in_mm(study, "area", "mm2", 48 * 48 + 5), "measured")
    marked = batch.marks.sum(dim=(1, 2, 3)) > 0
    assert (batch.grown[marked] == 1).all()


@pytest.mark.parametrize("kept", ["interval:20%", "noisy:20%", "missing:50%", "rounded:5%", "biased:-20%"])
def test_trains_on_numbers_as_they_are_kept(study, kept) -> None:
    opened = Study.open(study)
    simulate_numbers(opened, kept, "kept")
    train(opened, numbers="kept", settings=(*TINY, "optim.epochs=3", "losses.grown.warmup=0.34"))
