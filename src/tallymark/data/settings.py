"""``study.toml``: what the numbers of a study mean, and how its images are read and split."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, ValidationError, field_validator

from tallymark.data.marks import EXCLUDED
from tallymark.errors import ConfigError, ReadError, StudyError
from tallymark.measure.definition import UNITS, Statistic

FORMAT = 1
"""The version of the study folder that this version of tallymark writes and reads."""

SPLITS = ("train", "select", "calibrate", "test")
"""What selected a model never calibrates an interval, and neither is ever trained or tested on."""

_STATISTIC_KEYS = ("name", "kind", "of", "over", "unit")


def check_shares(shares: Mapping[str, float], where: str) -> None:
    """Refuse shares that are not a division of the whole.

    Args:
        shares: share of each split.
        where: what to call them in the error.

    Raises:
        ConfigError: a share below 0 or not finite, or a sum other than 1.

    Example:
        >>> check_shares({"train": 0.75, "test": 0.25}, where="key split")
    """
    if not all(0 <= share <= 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        found = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise ConfigError("the shares do not divide the whole", where=where, found=found, expected="a sum of 1")


class _Settings(BaseModel):
    """Settings that refuse unknown keys and name the key in their errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    section: ClassVar[str] = ""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _explained(error, self.section) from None


class ImageSettings(_Settings):
    """How the images of a study are read.

    Args:
        channels: 1 (grey) or 3 (RGB) for the network.
        window: the stored values that become 0 and 1; None: 0 and 255 for 8-bit images, else the 0.5 and 99.5
            percentiles of each image.
        dimension: 2 (row, column) or 3 (plane, row, column).

    Raises:
        ConfigError: an unknown key or a value of the wrong type or out of range.
    """

    section: ClassVar[str] = "image"
    channels: Literal[1, 3] = 1
    window: tuple[StrictFloat | StrictInt, StrictFloat | StrictInt] | None = None
    dimension: Literal[2, 3] = 2

    @field_validator("window")
    @classmethod
    def _in_order(cls, window: tuple[float | int, float | int] | None) -> tuple[float, float] | None:
        if window is not None and not (math.isfinite(window[0]) and window[0] < window[1] < math.inf):
            raise ValueError("two finite values, the lower first")
        return None if window is None else (float(window[0]), float(window[1]))


class SplitSettings(_Settings):
    """Shares of the cases, by whole groups, and the seed that deals them.

    Args:
        train: to learn from.
        select: to select a model by.
        calibrate: to calibrate intervals on.
        test: to report on, once.
        seed: deals the groups.

    Raises:
        ConfigError: a share below 0, or shares that do not sum to 1.

    Example:
        >>> SplitSettings(train=0.5, select=0, calibrate=0, test=0.5).shares
        {'train': 0.5, 'select': 0.0, 'calibrate': 0.0, 'test': 0.5}
    """

    section: ClassVar[str] = "split"
    train: StrictFloat | StrictInt = 0.6
    select: StrictFloat | StrictInt = 0.1
    calibrate: StrictFloat | StrictInt = 0.1
    test: StrictFloat | StrictInt = 0.2
    seed: StrictInt = 0

    @property
    def shares(self) -> dict[str, float]:
        """Share of each split, in the order of :data:`SPLITS`."""
        return {name: float(getattr(self, name)) for name in SPLITS}

    def model_post_init(self, context: object) -> None:
        """Check the shares together."""
        check_shares(self.shares, where="key split")


class MarksSettings(_Settings):
    """Where marks are kept.

    Args:
        url: of a database, as SQLAlchemy writes it, without a password; None: the file ``marks.sqlite`` of the study.

    Raises:
        ConfigError: no address of a database, or one with a password.

    Example:
        >>> MarksSettings(url="postgresql+psycopg://tallymark@db.clinic.example/busi").url
        'postgresql+psycopg://tallymark@db.clinic.example/busi'
    """

    section: ClassVar[str] = "marks"
    url: StrictStr | None = None

    def model_post_init(self, context: object) -> None:
        """Check the address as far as it goes without a driver."""
        if self.url is None:
            return
        head, separator, rest = self.url.partition("://")
        if not separator or not head.replace("+", "").isalnum():
            raise ConfigError(
                "this is no address of a database",
                where="key marks.url",
                found=repr(self.url.split("@")[-1]),
                expected="for example postgresql+psycopg://USER@HOST/NAME",
            )
        if ":" in rest.rpartition("@")[0]:
            raise ConfigError(
                "a password does not belong into a file that travels with the images",
                where="key marks.url",
                remedy="put it into the environment variable TALLYMARK_DATABASE_PASSWORD",
            )


class StudySettings(_Settings):
    """All settings of a study.

    Args:
        name: what the study is called.
        structures: what is segmented, in the order of every mask's channels; at least one.
        statistics: what the kept numbers mean.
        marks: where marks are kept.
        image: how images are read.
        split: how groups are dealt.
        format: version of the study folder.

    Raises:
        ConfigError: an unknown key, a wrong type, a value out of range, a name twice, a statistic of an unknown
            structure; the key is named.

    Example:
        >>> settings = StudySettings(name="busi", structures=("lesion",))
        >>> settings.image.channels, settings.split.seed, settings.format
        (1, 0, 1)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    format: StrictInt = FORMAT
    name: StrictStr
    structures: tuple[StrictStr, ...]
    statistics: tuple[Statistic, ...] = ()
    marks: MarksSettings = Field(default_factory=MarksSettings)
    image: ImageSettings = Field(default_factory=ImageSettings)
    split: SplitSettings = Field(default_factory=SplitSettings)

    @field_validator("statistics", mode="before")
    @classmethod
    def _parsed(cls, statistics: object) -> object:
        if not isinstance(statistics, list | tuple):
            raise ValueError("a list of tables, [[statistics]]")
        return tuple(_statistic(entry, number) for number, entry in enumerate(statistics))

    def model_post_init(self, context: object) -> None:
        """Check what must fit together."""
        if not self.structures:
            raise ConfigError("no structure is named", where="key structures", remedy="name at least one")
        for structure in self.structures:
            if not structure.strip() or structure == EXCLUDED:
                raise ConfigError("this is no name for a structure", where="key structures", found=repr(structure))
        for key, names in (("structures", self.structures), ("statistics", [s.name for s in self.statistics])):
            twice = [name for name in names if list(names).count(name) > 1]
            if twice:
                raise ConfigError("a name is there twice", where=f"key {key}", found=repr(twice[0]))
        for statistic in self.statistics:
            for structure in (*statistic.of, *statistic.over):
                if structure not in self.structures:
                    raise ConfigError(
                        f"the statistic '{statistic.name}' is of an unknown structure",
                        where="key statistics",
                        found=repr(structure),
                        expected=", ".join(self.structures),
                    )

    @classmethod
    def from_toml(cls, path: Path | str) -> StudySettings:
        """Read ``study.toml``.

        Args:
            path: the file.

        Raises:
            ReadError: no such file, or not a TOML file.
            StudyError: another format version, an unknown key, a wrong type or value; file and key are named.
        """
        path = Path(path)
        try:
            values = tomllib.loads(path.read_bytes().decode("utf-8"))
        except OSError as error:
            raise ReadError("cannot be read", where=path, found=error.strerror) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ReadError("this is not a TOML file", where=path, found=error) from error
        if values.get("format") != FORMAT:
            raise StudyError(
                "this study folder has another format",
                where=f"{path}, key format",
                found=repr(values.get("format")),
                expected=FORMAT,
                remedy="use the version of tallymark that made it, or make the study again",
            )
        try:
            return cls(**values)
        except (ConfigError, StudyError) as error:
            raise StudyError(
                error.what,
                where=f"{path}, {error.where}" if error.where else path,
                found=error.found,
                expected=error.expected,
                remedy=error.remedy,
            ) from None

    def to_toml(self) -> str:
        """The text of ``study.toml``; the same settings give the same text.

        Example:
            >>> print(StudySettings(name="busi", structures=("lesion",)).to_toml())
            format = 1
            name = "busi"
            structures = ["lesion"]
            <BLANKLINE>
            [image]
            channels = 1
            dimension = 2
            <BLANKLINE>
            [split]
            train = 0.6
            select = 0.1
            calibrate = 0.1
            test = 0.2
            seed = 0
            <BLANKLINE>
        """
        lines = [f"{key} = {_toml(getattr(self, key))}" for key in ("format", "name", "structures")]
        sections = (*([self.marks] if self.marks.url else []), self.image, self.split)
        for section in sections:
            lines += ["", f"[{section.section}]"]
            values = ((key, getattr(section, key)) for key in type(section).model_fields)
            lines += [f"{key} = {_toml(value)}" for key, value in values if value is not None]
        for statistic in self.statistics:
            lines += ["", "[[statistics]]"]
            lines += [f"{key} = {_toml(getattr(statistic, key))}" for key in _STATISTIC_KEYS if getattr(statistic, key)]
        return "\n".join(lines) + "\n"


def _statistic(entry: object, number: int) -> Statistic:
    """A statistic from its table in ``study.toml``."""
    if isinstance(entry, Statistic):
        return entry
    where = f"key statistics[{number}]"
    if not isinstance(entry, Mapping):
        raise ConfigError("a statistic is a table", where=where, found=repr(entry))
    unknown = [key for key in entry if key not in _STATISTIC_KEYS]
    if unknown:
        expected = ", ".join(_STATISTIC_KEYS)
        raise ConfigError("unknown key", where=f"{where}.{unknown[0]}", expected=expected, remedy="remove it")
    for key in ("name", "kind", "of"):
        if key not in entry:
            raise ConfigError("this key is missing", where=f"{where}.{key}")
    for key, value in entry.items():
        listed = key in ("of", "over")
        right = isinstance(value, list | tuple) if listed else isinstance(value, str)
        if not right or (listed and not all(isinstance(name, str) for name in value)):
            expected = "a list of structures" if listed else "a text"
            raise ConfigError("wrong type", where=f"{where}.{key}", found=repr(value), expected=expected)
    if entry["kind"] not in UNITS:
        raise ConfigError("unknown kind", where=f"{where}.kind", found=repr(entry["kind"]), expected=", ".join(UNITS))
    values: dict[str, Any] = {key: tuple(value) if key in ("of", "over") else value for key, value in entry.items()}
    return Statistic(**values)


def _explained(error: ValidationError, section: str) -> ConfigError:
    """The first complaint of pydantic in our words."""
    first = error.errors()[0]
    key = ".".join([*([section] if section else []), *(str(part) for part in first["loc"])])
    where = f"key {key}"
    if first["type"] == "extra_forbidden":
        return ConfigError("unknown key", where=where, remedy="remove it, or look for a typing error")
    if first["type"] == "missing":
        return ConfigError("this key is missing", where=where)
    message = str(first["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return ConfigError("this value cannot be used", where=where, found=repr(first["input"]), expected=message)


def _toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(entry) for entry in value) + "]"
    return repr(value)
