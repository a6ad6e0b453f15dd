"""The size of every structure as a share of the image: which numbers tell it, and which do not."""

from __future__ import annotations

import math

import pytest
import torch

from tallymark.engine.batch import Batch
from tallymark.engine.known_size import KnownFractions, known_fractions, require_sizes
from tallymark.engine.task import Task
from tallymark.engine.train import train
from tallymark.errors import StudyError
from tallymark.measure.definition import Statistic
from tiny import TINY

NAN = math.nan
FRACTION = Statistic("share", "area_fraction", of=("fat",))
AREA = Statistic("area", "area", of=("fat",), unit="cm2")
BOTH = Statistic("both", "area_fraction", of=("fat", "muscle"))
RATIO = Statistic("ratio", "area_ratio", of=("fat",), over=("fat", "muscle"))
LENGTH = Statistic("length", "longest_axis", of=("fat",), unit="mm")
BRIGHTNESS = Statistic("brightness", "mean_intensity", of=("fat",), unit="intensity")


def batch(rows: list[list[tuple[float, float, float]]], extent: float = 200.0) -> Batch:
    """One image a row, one (value, low, high) a number."""
    numbers = torch.tensor(rows)
    return Batch(
        image=torch.zeros(len(rows), 1, 2, 2),
        valid=torch.ones(len(rows), 1, 2, 2, dtype=torch.bool),
        value=numbers[..., 0],
        low=numbers[..., 1],
        high=numbers[..., 2],
        spacing_mm=torch.full((len(rows), 2), NAN),
        extent_mm=torch.full((len(rows),), extent),
        marks=None,
        excluded=None,
        truth=None,
    )


def task(*statistics: Statistic) -> Task:
    return Task(("fat", "muscle"), statistics, image_channels=1, dimension=2)


def same(found: torch.Tensor, expected: list[list[float]]) -> bool:
    return torch.allclose(found, torch.tensor(expected), equal_nan=True)


def test_a_share_is_itself_and_keeps_its_interval() -> None:
    found = known_fractions(task(FRACTION), batch([[(0.25, 0.2, 0.3)], [(NAN, NAN, 0.1)], [(NAN, NAN, NAN)]]))
    assert same(found.value, [[0.25, NAN], [NAN, NAN], [NAN, NAN]])
    assert same(found.low, [[0.2, NAN], [NAN, NAN], [NAN, NAN]])
    assert same(found.high, [[0.3, NAN], [0.1, NAN], [NAN, NAN]])


def test_an_area_is_divided_by_that_of_the_image() -> None:
    """Numbers of a batch are in mm2, whatever the unit of the table."""
    found = known_fractions(task(AREA), batch([[(50.0, 40.0, 60.0)]]))
    assert same(found.value, [[0.25, NAN]])
    assert same(found.low, [[0.2, NAN]])
    assert same(found.high, [[0.3, NAN]])
    assert found.value.shape == (1, 2)
    unknown = known_fractions(task(AREA), batch([[(50.0, 40.0, 60.0)]], extent=NAN))
    assert all(column.isnan().all() for column in unknown)


@pytest.mark.parametrize("statistic", [BOTH, RATIO, BRIGHTNESS])
def test_what_tells_no_size_of_one_structure(statistic: Statistic) -> None:
    found = known_fractions(task(statistic), batch([[(0.5, 0.4, 0.6)]]))
    assert all(column.isnan().all() for column in found)
    with pytest.raises(StudyError, match=f"no number of this study tells; found {statistic.name}"):
        require_sizes(task(statistic))


def test_a_ratio_and_one_size_tell_the_other() -> None:
    """Fat is a quarter of fat and muscle: 0.1 of the image, then muscle is 0.3; or together 80 of 200 mm2."""
    both = Statistic("both", "area", of=("fat", "muscle"), unit="mm2")
    rows = [
        [(0.25, NAN, NAN), (0.1, NAN, NAN), (NAN,) * 3],
        [(0.25, NAN, NAN), (NAN,) * 3, (80.0, NAN, NAN)],
        [(NAN, 0.2, 0.5), (0.1, NAN, NAN), (NAN,) * 3],
        [(0.0, NAN, NAN), (NAN,) * 3, (NAN,) * 3],
        [(0.25, NAN, NAN), (NAN,) * 3, (NAN,) * 3],
    ]
    found = known_fractions(task(RATIO, FRACTION, both), batch(rows))
    assert same(found.value, [[0.1, 0.3], [0.1, 0.3], [0.1, NAN], [0.0, NAN], [NAN, NAN]])
    assert same(found.low[2:3], [[NAN, 0.1]])
    assert same(found.high[2:3], [[NAN, 0.4]])
    assert found.none().tolist()[3] == [True, False]
    require_sizes(task(RATIO, both))
    require_sizes(task(RATIO), ratios=True)


def test_a_length_tells_an_interval_and_two_a_narrower_one() -> None:
    short = Statistic("short", "shortest_axis", of=("fat",), unit="mm")
    rows = [[(10.0, NAN, NAN), (NAN,) * 3], [(10.0, NAN, NAN), (4.0, NAN, NAN)], [(NAN, 9.0, 10.0), (NAN,) * 3]]
    rows += [[(0.0, NAN, NAN), (NAN,) * 3]]  # of a single pixel: no sign that nothing is there
    found = known_fractions(task(LENGTH, short), batch(rows))
    disc, ellipse = math.pi / 4 * 100 / 200, math.pi / 4 * 40 / 200
    assert same(found.low[:, :1], [[disc / 4], [0.75 * ellipse], [0.81 * disc / 4], [NAN]])
    assert same(found.high[:, :1], [[disc], [ellipse], [disc], [NAN]])
    assert found.value.isnan().all()
    require_sizes(task(LENGTH))


def test_the_first_number_known_for_an_image_tells_its_size() -> None:
    both = task(RATIO, FRACTION, AREA)
    rows = [[(0.9, NAN, NAN), (0.1, NAN, NAN), (50.0, 40.0, 60.0)], [(0.9, NAN, NAN), (NAN,) * 3, (50.0, 40.0, 60.0)]]
    found = known_fractions(both, batch(rows))
    # Fat is nine tenths of both: muscle is a ninth of fat.
    assert same(found.value, [[0.1, 0.1 / 9], [0.25, NAN]])
    # An interval of the second number does not belong to the value of the first.
    assert same(found.low, [[NAN, NAN], [0.2, 0.2 / 9]])
    require_sizes(both)


def test_each_structure_has_its_own_number() -> None:
    muscle = Statistic("muscle", "area_fraction", of=("muscle",))
    found = known_fractions(task(muscle, FRACTION), batch([[(0.4, NAN, NAN), (0.1, NAN, NAN)]]))
    assert same(found.value, [[0.1, 0.4]])


@pytest.mark.parametrize(
    ("number", "none"),
    [
        ((0.0, NAN, NAN), True),
        ((1e-9, NAN, NAN), False),
        ((0.0, 0.0, 0.025), False),  # "0 %", rounded to 5 %
        ((NAN, 0.0, 0.0), True),
        ((NAN, NAN, 0.0), True),
        ((NAN, 0.0, NAN), False),
        ((NAN, NAN, NAN), False),
    ],
)
def test_only_an_exact_zero_is_the_absence_of_a_structure(number: tuple[float, float, float], none: bool) -> None:
    known = KnownFractions(*(torch.tensor([[x]]) for x in number))
    assert known.none().item() is none


def test_a_recipe_that_counts_pixels_says_so_before_it_trains(study) -> None:
    file = study / "study.toml"
    text = (
        file.read_text()
        .replace('"area_fraction"', '"mean_intensity"')
        .replace('unit = "fraction"', 'unit = "intensity"')
    )
    file.write_text(text)
    with pytest.raises(StudyError, match=r"study\.toml, statistics: .*lesion_fraction \(mean_intensity of lesion\)"):
        train(study, recipe="kervadec", settings=TINY)
    assert not (study / "runs").exists()
    train(study, recipe="paper", settings=(*TINY, "optim.epochs=1"))
