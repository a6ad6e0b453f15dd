"""From files and words to settings: TOML and ``section.key=value``, laid over each other and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tallymark.engine.config import RunConfig
from tallymark.errors import ConfigError


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Turn ``section.key=value`` strings into a nested dictionary; values are TOML, bare words are strings.

    Raises:
        ConfigError: no ``=``, or an empty key.

    Example:
        >>> parse_settings(["optim.epochs=5", "model.name=unet", "data.size=[64, 64]"])
        {'optim': {'epochs': 5}, 'model': {'name': 'unet'}, 'data': {'size': [64, 64]}}
    """
    nested: dict[str, Any] = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        path = [part.strip() for part in key.split(".")]
        if not separator or not all(path):
            raise ConfigError("not a setting", where=f"--set {setting}", expected="section.key=value")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        merge(nested, _nest(path, value))
    return nested


def merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``over`` on ``base``, section by section, in place; returns ``base``.

    Example:
        >>> merge({"optim": {"epochs": 60, "batch_size": 16}}, {"optim": {"epochs": 5}})
        {'optim': {'epochs': 5, 'batch_size': 16}}
    """
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = dict(value) if isinstance(value, Mapping) else value
    return base


def read_config(path: Path) -> RunConfig:
    """Read a configuration that a run wrote.

    Raises:
        ConfigError: no such file, not TOML, an unknown key or a value of the wrong type.
    """
    return validate(read_toml(path), where=str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file of settings.

    Raises:
        ConfigError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("cannot be read", where=path, found=error.strerror) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("not a TOML file", where=path, found=str(error)) from error


def validate(values: Mapping[str, Any], *, where: str) -> RunConfig:
    """Check a nested dictionary and freeze it.

    Raises:
        ConfigError: names the first wrong key, what was found and what was expected.

    Example:
        >>> validate({"recipe": "paper", "profile": "small", "optim": {"epoch": 3}}, where="--set")
        Traceback (most recent call last):
        tallymark.errors.ConfigError: --set, key optim.epoch: unknown key; expected one of epochs, steps, ...
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"]]
        key = f"{where}, key {'.'.join(path)}"
        if first["type"] == "extra_forbidden":
            expected = f"one of {', '.join(_known_keys(path[:-1]))}"
            raise ConfigError("unknown key", where=key, expected=expected) from None
        message = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigError(
            message[:1].lower() + message[1:],
            where=key,
            found=repr(first["input"]),
        ) from None


def _known_keys(path: Sequence[str]) -> list[str]:
    section: type[BaseModel] = RunConfig
    for part in path:
        inner = section.model_fields[part].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        section = inner
    return list(section.model_fields)


def _nest(path: Sequence[str], value: object) -> dict[str, Any]:
    nested: Any = value
    for part in reversed(path):
        nested = {part: nested}
    assert isinstance(nested, dict)
    return nested
