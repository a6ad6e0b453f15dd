"""The address of a row: all that decides its result, nothing else, and the same after new settings."""

from __future__ import annotations

import pydantic
import pytest

from tallymark.data.study import ImageSettings, Study, StudySettings
from tallymark.datasets.kept_numbers import simulate_numbers
from tallymark.engine import address as addresses
from tallymark.engine import recipes
from tallymark.engine.address import address
from tallymark.engine.config import RunConfig
from tallymark.engine.recipes import resolve
from tallymark.engine.run_folder import flatten

# What the defaults were when addresses were first made so. New settings need not be added; they are known by their own
# line from the day on which their default changes. A line changes only together with GENERATION.
DEFAULTS = {
    "data.size": [96, 96],
    "model.name": "unet",
    "model.weights": "random",
    "model.options": None,  # empty: flattening leaves no key
    "losses.statistic.weight": 0.0,
    "losses.statistic.area": "soft",
    "losses.statistic.level": "image",
    "losses.weak.weight": 0.0,
    "losses.weak.reduction": "all",
    "losses.confidence.weight": 0.0,
    "losses.reconstruction.weight": 0.0,
    "losses.cross_entropy.weight": 0.0,
    "losses.dice.weight": 0.0,
    "augment.flip": ["column"],
    "augment.affine": 0.0,
    "augment.rotation": 15.0,
    "augment.shrink": 0.8,
    "augment.brightness": 0.1,
    "augment.contrast": 0.2,
    "augment.gamma": 0.2,
    "augment.noise": 0.02,
    "optim.epochs": 60,
    "optim.batch_size": 16,
    "optim.learning_rate": 2e-3,
    "optim.weight_decay": 1e-4,
    "optim.warmup": 0.05,
    "optim.gradient_clip": 1.0,
    "optim.ema_decay": 0.99,
    "predict.flips": True,
    "predict.threshold": 0.5,
}


@pytest.fixture
def opened(study):
    return Study.open(study)


def of(study: Study, *settings: str, recipe: str = "paper", marks: str | None = "e8", seed: int = 0) -> str:
    return address(study, resolve(recipe, "small", marks=marks, seed=seed, settings=settings), "test")


def test_defaults_are_those_that_addresses_were_made_with():
    now = flatten(RunConfig(recipe="any", profile="any").model_dump(mode="json"))
    for key, value in DEFAULTS.items():
        assert now.get(key) == value, f"the default of {key} has changed: raise GENERATION, then change it here"
    settings = flatten(StudySettings(name="any", structures=("any",)).model_dump(mode="json"))
    for key, value in {"image.channels": 1, "image.window": None, "image.dimension": 2, "statistics": []}.items():
        assert settings[key] == value, f"the default of {key} has changed: raise GENERATION, then change it here"


def test_the_address_depends_on_what_decides_the_result(opened):
    addresses = [
        of(opened),
        of(opened, "optim.epochs=3"),
        of(opened, seed=1),
        of(opened, "data.size=[32, 32]"),
        of(opened, "data.fold=1/3"),
        of(opened, "data.fold=2/3"),
        of(opened, "losses.dice.weight=0.5"),
    ]
    assert len(set(addresses)) == len(addresses)
    assert of(opened) == of(opened, "runtime.workers=0", "runtime.precision=32-true")


def test_what_is_set_to_its_default_is_not_set(opened):
    assert of(opened) == of(opened, "predict.threshold=0.5", "augment.flip=['column']", "model.options={}")


def test_a_least_number_of_steps_counts_where_there_are_more_for_it(opened):
    # Explicit epochs are kept, so that nothing asks for more.
    assert of(opened) != of(opened, "optim.epochs=40") == of(opened, "optim.steps=0") == of(opened, "optim.steps=40")
    assert of(opened) != of(opened, "optim.steps=500")


def test_marks_numbers_and_masks_count_by_content(opened):
    before, unnamed = of(opened), of(opened, marks=None)
    assert before == unnamed
    opened.marks.clear("e8", opened.cases[0].id)
    assert of(opened) != before
    for name, draw in (("one", 0), ("same", 0), ("other", 1)):
        simulate_numbers(opened, "noisy:20%", name, draw=draw)
    one, same, other = (of(opened, f"data.numbers={name}") for name in ("one", "same", "other"))
    assert one == same != other
    table = opened.folder / "truth.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    assert of(Study.open(opened.folder), "data.numbers=one") != one


def test_marks_and_numbers_by_which_a_supervised_run_is_scored_count(opened):
    before, numbered = of(opened, recipe="full"), of(opened, "data.numbers=exact", recipe="full")
    assert before != numbered
    simulate_numbers(opened, "noisy:20%", "noisy")
    assert of(opened, recipe="full") == before
    assert of(opened, "data.numbers=noisy", recipe="full") != numbered
    opened.marks.clear("e8", opened.cases[0].id)
    assert of(opened, recipe="full") != before


def test_a_recipe_counts_by_what_it_sets(opened, monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "other-name", recipes.RECIPES["paper"])
    monkeypatch.setitem(recipes.PROFILES, "tiny", recipes.PROFILES["small"])
    other = address(opened, resolve("other-name", "tiny", marks="e8"), "test")
    assert other.removeprefix("other-name-") == of(opened).removeprefix("paper-")


def test_a_study_counts_by_what_it_holds(opened):
    settings, cases = opened.settings, opened.cases

    def made_with(**other: object) -> str:
        return of(Study(opened.folder, settings.model_copy(update=other), cases, ()), "losses.statistic.weight=0")

    before = of(opened, "losses.statistic.weight=0")
    assert made_with(name="other") == before
    assert made_with(image=ImageSettings(channels=3)) != before
    assert made_with(statistics=()) != before


def test_a_new_setting_leaves_every_address_as_it_was(opened, monkeypatch):
    config = resolve("paper", "small", marks="e8")
    before = address(opened, config, "test")
    section = pydantic.create_model("Optim", __base__=type(config.optim), momentum=(float, 0.9))
    larger = pydantic.create_model("Larger", __base__=RunConfig, optim=(section, section()), more=(list[int], []))
    values = config.model_dump()
    assert address(opened, larger.model_validate(values), "test") == before
    values["optim"]["momentum"] = 0.8
    assert address(opened, larger.model_validate(values), "test") != before
    monkeypatch.setattr(addresses, "GENERATION", addresses.GENERATION + 1)
    assert address(opened, config, "test") != before
