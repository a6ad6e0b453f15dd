from pathlib import Path

import pytest

from tallymark.engine.config_reading import parse_settings, read_config
from tallymark.engine.recipes import PROFILES, RECIPES, resolve
from tallymark.errors import ConfigError


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_recipe_runs_under_every_profile_with_the_same_schedule_and_augmentation(recipe, profile):
    config, paper = resolve(recipe, profile), resolve("paper", profile)
    for section in ("data", "augment", "optim", "predict"):
        assert getattr(config, section) == getattr(paper, section)
    # A second decoder is the method of one comparator; all else of the network is the same.
    assert config.model.name == paper.model.name
    assert config.model.options in ({}, {"branches": 2})


def test_the_papers_recipe_is_the_papers():
    losses = resolve("paper", "paper").losses
    named = {name: getattr(losses, name).weight for name in type(losses).model_fields}
    switched_on = {name: weight for name, weight in named.items() if weight > 0}
    assert switched_on == {"statistic": 1, "weak": 1, "confidence": 1, "reconstruction": 1}
    assert losses.weak.reduction == "all"
    assert resolve("paper", "paper").model.name == "deeplabv3_resnet50"


def test_only_a_supervised_recipe_reads_masks():
    assert {name for name in RECIPES if resolve(name, "small").reads_masks} == {"full"}


def test_later_layers_win(tmp_path):
    file = tmp_path / "more.toml"
    file.write_text("[optim]\nepochs = 7\nbatch_size = 4\n")
    config = resolve("paper", "small", file=file, settings=["optim.epochs=9"], marks="e8")
    assert (config.optim.epochs, config.optim.batch_size, config.data.marks) == (9, 4, "e8")
    assert config.optim.learning_rate == resolve("paper", "small").optim.learning_rate


def test_epochs_that_were_said_are_kept_however_few_steps_they_make(tmp_path):
    file = tmp_path / "more.toml"
    file.write_text("[optim]\nepochs = 7\n")
    assert resolve("grow", "small").optim.steps == 600
    for said in (resolve("grow", "small", file=file), resolve("grow", "small", settings=["optim.epochs=7"])):
        assert (said.optim.epochs, said.optim.steps) == (7, 0)
    assert resolve("grow", "small", settings=["optim.epochs=7", "optim.steps=9"]).optim.steps == 9


def test_a_layer_does_not_leak_into_the_next_run():
    resolve("paper", "small", settings=["losses.weak.weight=5"])
    assert resolve("paper", "small").losses.weak.weight == 1


def test_round_trip_through_the_run_folder(tmp_path):
    config = resolve("paper", "small", settings=["model.options={width=8}", "data.numbers=exact"])
    file = tmp_path / "config.toml"
    file.write_text(config.to_toml())
    assert read_config(file) == config


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("optim.epoch=3", ["optim.epoch", "unknown key", "epochs"]),
        ("optimiser.epochs=3", ["optimiser", "unknown key", "optim"]),
        ("optim.epochs=many", ["optim.epochs", "integer", "'many'"]),
        ("optim.epochs=0", ["optim.epochs", "greater than or equal to 1"]),
        ("optim.ema_decay=1", ["optim.ema_decay", "less than 1"]),
        ("losses.weak.weight=-1", ["losses.weak.weight", "greater than or equal to 0"]),
        ("losses.weak.weight=nan", ["losses.weak.weight"]),
        ("losses.weak.reduction=some", ["losses.weak.reduction", "'all' or 'marked'"]),
        ("losses.weak=3", ["losses.weak"]),
        ('augment.flip=["diagonal"]', ["augment.flip"]),
        ("data.size=[96, 4]", ["data.size"]),
        ("seed=-1", ["seed"]),
        ("optim.epochs", ["section.key=value"]),
        ("=3", ["section.key=value"]),
        ("optim..epochs=3", ["section.key=value"]),
    ],
)
def test_a_wrong_setting_is_one_clear_error(setting, words):
    with pytest.raises(ConfigError) as caught:
        resolve("paper", "small", settings=[setting])
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("recipe", "profile"), [("papre", "small"), ("paper", "large")])
def test_an_unknown_name_lists_the_known_ones(recipe, profile):
    with pytest.raises(ConfigError, match="expected one of"):
        resolve(recipe, profile)


@pytest.mark.parametrize("content", ["optim = ", b"\xff\xfe", None])
def test_a_settings_file_that_cannot_be_read(tmp_path, content):
    file = tmp_path / "settings.toml"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=r"settings\.toml"):
        resolve("paper", "small", file=file)


def test_values_are_toml_and_bare_words_are_strings():
    assert parse_settings(["a.b=1e-3", "a.c=true", "a.d=unet", 'a.e="x=y"']) == {
        "a": {"b": 1e-3, "c": True, "d": "unet", "e": "x=y"}
    }


def test_a_missing_settings_file_is_named():
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        resolve("paper", "small", file=Path("nowhere.toml"))
