"""What the kept numbers of an image say on the marking page: in words, and in pixels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tallymark.data.study import Case, NumberRow, Study, StudySettings
from tallymark.marking.kept import KeptNumbers
from tallymark.measure.definition import Statistic

FAT = Statistic("fat", "area_fraction", ("fat",), unit="percent")
WHOLE = Statistic("tissue", "area_fraction", ("fat", "muscle"))
SHARE = Statistic("share", "area_ratio", ("fat",), over=("fat", "muscle"))
AREA = Statistic("area", "area", ("fat",), unit="mm2")
LENGTH = Statistic("length", "longest_axis", ("fat",), unit="mm")


def kept(folder: Path, statistics: tuple[Statistic, ...], *rows: NumberRow) -> tuple[KeptNumbers, Case]:
    PIL.Image.fromarray(np.zeros((10, 20), dtype=np.uint8)).save(folder / "x.png")
    case = Case("x", folder / "x.png", group="g", split="train")
    settings = StudySettings(name="s", structures=("fat", "muscle"), statistics=statistics)
    return KeptNumbers(Study.create(folder / "study", settings, [case], numbers=rows)), case


@pytest.mark.parametrize(
    ("statistics", "rows", "areas", "words"),
    [
        ((FAT,), [NumberRow("x", "fat", value=10)], {"fat": (20, 20)}, ["fat 10 %"]),
        # 0 % that was rounded to 5 % is up to 2.5 %: 5 of 200 pixels, not none.
        ((FAT,), [NumberRow("x", "fat", value=0, low=0, high=2.5)], {"fat": (0, 5)}, ["fat 0 % (0 to 2.5 %)"]),
        ((FAT,), [NumberRow("x", "fat", value=0)], {"fat": (0, 0)}, ["fat 0 %"]),
        ((FAT,), [NumberRow("x", "fat", high=5)], {"fat": (0, 10)}, ["fat at most 5 %"]),
        # Half of both is fat: a quarter of the half that the two cover, and the rest is muscle.
        (
            (WHOLE, SHARE),
            [NumberRow("x", "tissue", value=0.5), NumberRow("x", "share", value=0.25)],
            {"fat": (25, 25), "muscle": (75, 75)},
            ["fat and muscle 50 %", "fat of fat and muscle 25 %"],
        ),
        ((SHARE,), [NumberRow("x", "share", value=0.25)], {}, ["fat of fat and muscle 25 %"]),
        ((AREA,), [NumberRow("x", "area", value=10)], {"fat": (40, 40)}, ["fat 10 mm²"]),
        # A disc of this diameter, or an ellipse a quarter as wide.
        ((LENGTH,), [NumberRow("x", "length", value=4)], {"fat": (4 * math.pi, 16 * math.pi)}, None),
        ((FAT,), [], {}, []),
    ],
)
def test_numbers_in_pixels_and_in_words(tmp_path, statistics, rows, areas, words) -> None:
    numbers, case = kept(tmp_path, statistics, *rows)
    found = numbers.areas(case, (10, 20), (0.5, 0.5))
    assert found.keys() == areas.keys()
    for name, ends in areas.items():
        assert found[name] == pytest.approx(ends, abs=1e-3)
    if words is not None:
        assert [str(number) for number in numbers.of(case)] == words


def test_a_number_that_the_image_has_no_room_for_is_said(tmp_path) -> None:
    rows = NumberRow("x", "area", value=90000), NumberRow("x", "length", low=5, high=900)
    numbers, case = kept(tmp_path, (AREA, LENGTH), *rows)
    assert numbers.without_room(case, (10, 20), (0.5, 0.5)) == ["fat 90000 mm²: the image has room for 50 mm² at most"]
    assert numbers.without_room(case, (10, 20), None) == []


def test_an_area_without_spacing_is_no_number_of_pixels(tmp_path) -> None:
    numbers, case = kept(tmp_path, (AREA,), NumberRow("x", "area", value=10))
    assert numbers.areas(case, (10, 20), None) == {}
