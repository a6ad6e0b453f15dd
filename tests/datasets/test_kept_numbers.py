"""Numbers as clinics keep them: each kind counted by hand, chance that depends on names alone, what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tallymark.data.cases import Case
from tallymark.data.numbers import NumberRow
from tallymark.data.settings import StudySettings
from tallymark.data.study import Study
from tallymark.data.truth import TruthRow
from tallymark.datasets.exact_numbers import measure_exact
from tallymark.datasets.kept_kinds import NUMBER_KINDS, parse_numbers
from tallymark.datasets.kept_numbers import KeptNumbersReport, simulate_numbers
from tallymark.datasets.pairs import import_pairs
from tallymark.datasets.phantom import write_phantoms
from tallymark.datasets.weaken import weaken
from tallymark.errors import ConfigError, StudyError
from tallymark.measure.definition import Statistic

SHARE = Statistic("share", "area_fraction", ("lesion",))
PERCENT = Statistic("percent", "area_fraction", ("lesion",), unit="percent")
SIZE = Statistic("size", "area", ("lesion",), unit="cm2")
LENGTH = Statistic("length", "longest_axis", ("lesion",), unit="mm")


def _study(
    folder: Path,
    values: dict[str, float],
    statistic: Statistic = SHARE,
    others: tuple[Statistic, ...] = (),
    groups: dict[str, str] | None = None,
) -> Study:
    cases = []
    for id in values:
        path = folder / f"{id}.png"
        Image.fromarray(np.full((4, 4), len(cases) % 256, np.uint8)).save(path)
        cases.append(Case(id, path, group=(groups or {}).get(id, id), spacing=(1.0, 1.0)))
    settings = StudySettings(name="s", structures=("lesion",), statistics=(statistic, *others))
    study = Study.create(folder / "study", settings, cases)
    study.add_numbers([NumberRow(id, statistic.name, value) for id, value in values.items()], "exact")
    return study


def _ends(study: Study, variant: str, statistic: str = "share") -> dict[str, tuple[float, float, float]]:
    numbers = study.numbers(variant)
    return {id: (n.value, n.low, n.high) for (id, name), n in numbers.items() if name == statistic}


def _values(study: Study, variant: str) -> dict[str, float]:
    return {id: value for id, (value, _, _) in _ends(study, variant).items()}


def test_rounding_keeps_the_interval_and_never_makes_background(tmp_path: Path) -> None:
    study = _study(tmp_path, {"none": 0.0, "small": 0.02, "half": 0.025, "mid": 0.12, "all": 0.99})
    report = simulate_numbers(study, "rounded:5%", "r5")
    assert _ends(study, "r5") == {
        "none": (0.0, 0.0, 0.0),
        "small": (0.0, 0.0, 0.025),
        "half": (0.05, 0.025, 0.075),
        "mid": (0.1, 0.075, 0.125),
        "all": (1.0, 0.975, 1.0),
    }
    assert report == KeptNumbersReport("r5", "rounded:5%", "exact", 5, 0, 1)
    assert "1 read 0 although something is there" in str(report)


@given(value=st.floats(0, 1), step=st.integers(1, 100))
def test_a_rounded_interval_holds_the_exact_number(
    value: float, step: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    study = _study(tmp_path_factory.mktemp("r"), {"a": value})
    simulate_numbers(study, f"rounded:{step}%", "r")
    rounded, low, high = _ends(study, "r")["a"]
    assert low - 1e-9 <= value <= high + 1e-9
    assert low <= rounded <= high
    assert (high == 0) == (value == 0)
    assert high - low <= step / 100 + 1e-9


@pytest.mark.parametrize(
    ("statistic", "spec", "exact", "kept"),
    [
        (PERCENT, "rounded:7%", 20.0, (21.0, 17.5, 24.5)),
        (PERCENT, "rounded:0.05fraction", 12.0, (10.0, 7.5, 12.5)),
        (SIZE, "rounded:50mm2", 1.7, (1.5, 1.25, 1.75)),
        (LENGTH, "rounded:1cm", 33.0, (30.0, 25.0, 35.0)),
    ],
)
def test_steps_in_the_unit_that_is_said(
    statistic: Statistic, spec: str, exact: float, kept: tuple[float, float, float], tmp_path: Path
) -> None:
    study = _study(tmp_path, {"a": exact}, statistic)
    simulate_numbers(study, spec, "r")
    canonical = tuple(end * statistic.scale for end in kept)
    assert _ends(study, "r", statistic.name)["a"] == pytest.approx(canonical, abs=1e-12)


def test_a_percentage_is_written_without_stray_digits(tmp_path: Path) -> None:
    study = _study(tmp_path, {"a": 7.0}, PERCENT)
    simulate_numbers(study, "rounded:7%", "r")
    assert "7.0,3.5,10.5,r" in (study.folder / "statistics.csv").read_text()


def test_bias_is_the_same_for_all_and_stays_in_range(tmp_path: Path) -> None:
    study = _study(tmp_path, {"a": 0.1, "b": 0.5, "c": 0.9, "d": 0.0})
    simulate_numbers(study, "biased:+20%", "up")
    simulate_numbers(study, "biased:-20%", "down")
    assert _values(study, "up") == {"a": 0.12, "b": 0.6, "c": 1.0, "d": 0.0}
    assert _values(study, "down") == {"a": 0.08, "b": 0.4, "c": 0.72, "d": 0.0}


def test_an_interval_has_no_value_unless_nothing_is_there(tmp_path: Path) -> None:
    study = _study(tmp_path, {"a": 0.2, "b": 0.95, "c": 0.0})
    simulate_numbers(study, "interval:10%", "i10")
    ends = _ends(study, "i10")
    assert math.isnan(ends["a"][0])
    assert ends["a"][1:] == (0.18, 0.22)
    assert ends["b"][1:] == (0.855, 1.0)
    assert ends["c"] == (0.0, 0.0, 0.0)


def test_noise_has_the_spread_asked_for_and_depends_on_names_alone(tmp_path: Path) -> None:
    values = {f"case{n}": 0.2 for n in range(400)} | {"empty": 0.0}
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    study = _study(tmp_path / "a", values)
    simulate_numbers(study, "noisy:20%", "n20")
    simulate_numbers(study, "noisy:20%", "again")
    simulate_numbers(study, "noisy:20%", "other", draw=1)
    simulate_numbers(study, "noisy-additive:1%", "plus")
    noisy = _values(study, "n20")
    assert noisy.pop("empty") == 0.0
    drawn = np.array(list(noisy.values()))
    # Standard errors of mean and standard deviation at n = 400: 0.002 and 0.0014.
    assert drawn.mean() == pytest.approx(0.2, abs=0.008)
    assert drawn.std() == pytest.approx(0.04, abs=0.006)
    assert np.array(list(_values(study, "plus").values()))[:400].std() == pytest.approx(0.01, abs=0.0015)
    assert _values(study, "again") == _values(study, "n20")
    assert _values(study, "other") != _values(study, "n20")
    backwards = _study(tmp_path / "b", dict(reversed(list(values.items()))))
    simulate_numbers(backwards, "noisy:20%", "n20")
    assert _values(backwards, "n20") == _values(study, "n20")


@pytest.mark.parametrize("spec", ["noisy:100%", "noisy-additive:100%"])
def test_wild_noise_never_makes_background_nor_leaves_the_range(spec: str, tmp_path: Path) -> None:
    study = _study(tmp_path, {f"case{n}": n / 100 for n in range(101)})
    simulate_numbers(study, spec, "wild")
    drawn = _values(study, "wild")
    assert drawn.pop("case0") == 0
    assert min(drawn.values()) > 0
    assert max(drawn.values()) <= 1


def test_missing_drops_the_share_of_every_split_and_more_of_the_same(tmp_path: Path) -> None:
    study = _study(tmp_path, {f"case{n}": 0.2 for n in range(50)})
    report = simulate_numbers(study, "missing:50%", "m50")
    simulate_numbers(study, "missing:20%", "m20")
    assert set(_ends(study, "m50")) < set(_ends(study, "m20"))
    assert report.numbers + report.dropped == 50
    for split in ("train", "select", "calibrate", "test"):
        cases = {case.id for case in study.split(split)}
        assert len(cases & set(_ends(study, "m50"))) == len(cases) - math.floor(len(cases) / 2 + 0.5)


def test_groups_sum_areas_and_pool_fractions(tmp_path: Path) -> None:
    groups = {"a1": "a", "a2": "a", "b": "b"}
    study = _study(tmp_path, {"a1": 1.0, "a2": 2.5, "b": 4.0}, SIZE, (SHARE,), groups)
    simulate_numbers(study, "group", "g")
    assert {key: n.value for key, n in study.group_numbers("g").items()} == {("a", "size"): 350.0, ("b", "size"): 400.0}
    assert study.numbers("g") == {}
    rows = [NumberRow("a1", "share", 0.5), NumberRow("a2", "share", 0.0), NumberRow("b", "share", 0.25)]
    study.add_numbers(rows, "shares")
    Image.fromarray(np.zeros((4, 12), np.uint8)).save(tmp_path / "a2.png")  # thrice as large
    simulate_numbers(study, "group", "gs", source="shares")
    assert {key: n.value for key, n in study.group_numbers("gs").items()} == {
        ("a", "share"): 0.125,
        ("b", "share"): 0.25,
    }


def test_a_group_of_which_an_image_has_no_number_has_none(tmp_path: Path) -> None:
    study = _study(tmp_path, {"a1": math.nan, "a2": 0.5, "b": 0.25}, groups={"a1": "a", "a2": "a"})
    study.add_numbers([NumberRow("a2", "share", 0.5), NumberRow("b", "share", 0.25)], "some")
    simulate_numbers(study, "group", "g", source="some")
    assert list(study.group_numbers("g")) == [("b", "share")]


def _ratio_study(folder: Path) -> Study:
    """Two images of one patient: fat 3 of 4 pixels, fat 0 of 12; and one without either."""
    masks = {"a": (3, 1), "b": (0, 12), "c": (0, 0)}
    cases, truth = [], []
    for id, (fat, muscle) in masks.items():
        labels = np.zeros(16, np.uint8)
        labels[:fat], labels[fat : fat + muscle] = 1, 2
        Image.fromarray(np.full((4, 4), len(cases), np.uint8)).save(folder / f"{id}.png")
        Image.fromarray(labels.reshape(4, 4)).save(folder / f"{id}_labels.png")
        cases.append(Case(id, folder / f"{id}.png", group="patient", spacing=(1.0, 1.0)))
        truth += [
            TruthRow(id, name, folder / f"{id}_labels.png", (code,)) for code, name in ((1, "fat"), (2, "muscle"))
        ]
    ratio = Statistic("fatness", "area_ratio", ("fat",), ("fat", "muscle"), unit="percent")
    length = Statistic("length", "longest_axis", ("muscle",), unit="mm")
    fraction = Statistic("fat_fraction", "area_fraction", ("fat",))
    settings = StudySettings(name="s", structures=("fat", "muscle"), statistics=(ratio, length, fraction))
    study = Study.create(folder / "study", settings, cases, truth)
    weaken(study, "deepest:10%", "d10")
    return study


def test_a_ratio_of_a_group_is_that_of_all_its_pixels(tmp_path: Path) -> None:
    study = _ratio_study(tmp_path)
    assert study.numbers("exact")["a", "fatness"].value == 0.75
    simulate_numbers(study, "ratio", "only")
    assert {name for _, name in study.numbers("only")} == {"fatness"}
    simulate_numbers(study, "group", "g", source="only")
    # Mean of the ratios: 0.375. Of the pixels: 3 / 16.
    assert study.group_numbers("g")["patient", "fatness"].value == pytest.approx(3 / 16)


def test_only_the_longest_axis_is_kept(tmp_path: Path) -> None:
    study = _ratio_study(tmp_path)
    simulate_numbers(study, "longest-axis", "recist")
    assert {name for _, name in study.numbers("recist")} == {"length"}
    assert study.numbers("recist")["b", "length"].value == study.numbers("exact")["b", "length"].value


def test_simulations_chain_and_recorded_numbers_can_be_their_source(tmp_path: Path) -> None:
    study = _study(tmp_path, {f"case{n}": 0.3 for n in range(10)})
    study.add_numbers([NumberRow(case.id, "share", 0.21) for case in study.cases], "recorded")
    simulate_numbers(study, "missing:50%", "m", source="recorded")
    simulate_numbers(study, "rounded:10%", "mr", source="m")
    assert set(_ends(study, "mr")) == set(_ends(study, "m"))
    assert set(_ends(study, "mr").values()) == {(0.2, 0.15, 0.25)}
    assert set(_values(study, "recorded").values()) == {0.21}


def test_only_the_statistics_that_are_named(tmp_path: Path) -> None:
    study = _ratio_study(tmp_path)
    simulate_numbers(study, "rounded:5%", "r5", statistics=["fat_fraction"])
    assert {name for _, name in study.numbers("r5")} == {"fat_fraction"}


@pytest.mark.parametrize("name", ["recorded", "exact", "taken", "", " "])
def test_names_that_are_taken(name: str, tmp_path: Path) -> None:
    study = _study(tmp_path, {"a": 0.2})
    simulate_numbers(study, "biased:10%", "taken")
    before = (study.folder / "statistics.csv").read_bytes()
    with pytest.raises(StudyError, match="numbers cannot be called"):
        simulate_numbers(study, "biased:50%", name)
    assert (study.folder / "statistics.csv").read_bytes() == before
    for protected in ("recorded", "exact"):
        with pytest.raises(StudyError, match="numbers cannot be called"):
            simulate_numbers(study, "biased:50%", protected, replace=True)
    simulate_numbers(study, "biased:50%", "taken", replace=True)
    assert _ends(study, "taken")["a"][0] == 0.3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bent:5%",
        "rounded",
        "rounded:",
        "rounded:5",
        "rounded:0%",
        "rounded:-5%",
        "rounded:101%",
        "rounded:5 parsec",
        "rounded:5,0%",
        "noisy:20",
        "noisy:20mm",
        "noisy:0%",
        "noisy:120%",
        "noisy:-5%",
        "biased:0%",
        "biased:-100%",
        "interval:nan%",
        "missing:0%",
        "missing:150%",
        "group:2",
        "ratio:",
        "longest-axis:5mm",
        "rounded:inf%",
    ],
)
def test_specifications_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_numbers(text)


@pytest.mark.parametrize("kind", NUMBER_KINDS)
def test_specifications_read_back(kind: str) -> None:
    text = kind if NUMBER_KINDS[kind][0] == "none" else f"{kind}:12.5%"
    assert parse_numbers(str(parse_numbers(text))) == parse_numbers(text)


def test_what_cannot_be_simulated_is_said(tmp_path: Path) -> None:
    study = _study(tmp_path, {"a": 0.2}, others=(SIZE,))
    with pytest.raises(StudyError, match="no statistic of the kind longest_axis"):
        simulate_numbers(study, "longest-axis", "x")
    with pytest.raises(StudyError, match="no statistic of the kind area_ratio"):
        simulate_numbers(study, "ratio", "x")
    with pytest.raises(StudyError, match="unknown statistic"):
        simulate_numbers(study, "rounded:5%", "x", statistics=["sahre"])
    with pytest.raises(StudyError, match="no numbers of the variant 'nothing'"):
        simulate_numbers(study, "rounded:5%", "x", source="nothing")
    with pytest.raises(ConfigError, match=r"'rounded:5mm' does not fit the statistic 'share'"):
        simulate_numbers(study, "rounded:5mm", "x")
    with pytest.raises(StudyError, match="no number of these statistics"):
        simulate_numbers(study, "rounded:5%", "x", statistics=["size"])
    with pytest.raises(StudyError, match="no number would be left"):
        simulate_numbers(study, "missing:100%", "x")
    simulate_numbers(study, "interval:10%", "i")
    with pytest.raises(StudyError, match="'rounded' needs numbers without intervals"):
        simulate_numbers(study, "rounded:5%", "x", source="i")
    assert study.number_variants() == ("exact", "i")


def test_exact_numbers_are_measured_where_there_are_none_yet(tmp_path: Path) -> None:
    root = write_phantoms(tmp_path, 6, size=32, normals=0.3)
    import_pairs(root / "images", root / "masks", root / "study")
    study = Study.open(root / "study")
    report = simulate_numbers(study, "rounded:5%", "r5")
    assert report.numbers == 6
    exact = {case.id: study.truth.mask(case, "lesion").mean() for case in study.cases}
    assert {id: number.value for (id, _), number in study.numbers("exact").items()} == pytest.approx(exact)
    assert _values_of(study, "r5") == pytest.approx({id: 0.05 * math.floor(v / 0.05 + 0.5) for id, v in exact.items()})
    assert measure_exact(study) == 6
    weaken(study, "click", "c")
    assert {id: number.value for (id, _), number in study.numbers("exact").items()} == pytest.approx(exact)


def test_exact_numbers_need_masks(tmp_path: Path) -> None:
    study = _study(tmp_path, {"a": 0.2})
    bare = Study.create(tmp_path / "bare", study.settings, study.cases)
    with pytest.raises(StudyError, match="this study has no full masks"):
        simulate_numbers(bare, "rounded:5%", "r5")
    empty = Study.create(tmp_path / "empty", study.settings, study.cases, truth=[])
    with pytest.raises(StudyError, match="no image has a full mask"):
        measure_exact(empty)


def _values_of(study: Study, variant: str) -> dict[str, float]:
    return {id: number.value for (id, _), number in study.numbers(variant).items()}
