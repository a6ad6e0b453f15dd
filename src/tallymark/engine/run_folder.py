"""What a run leaves behind, and where: configuration, environment, checkpoint, model, metrics, predictions."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from tallymark.data.atomic import write_text
from tallymark.engine.config import RunConfig
from tallymark.engine.config_reading import read_config
from tallymark.errors import ConfigError, ReadError

_RECORDED = ("tallymark", "torch", "torchvision", "lightning", "numpy", "scipy", "scikit-image", "pandas", "pillow")


@dataclass(frozen=True)
class RunFolder:
    """The paths inside ``runs/<name>/``; nothing is opened or made until it is asked for.

    Args:
        root: the run's folder.
    """

    root: Path

    @property
    def config_file(self) -> Path:
        """The complete configuration."""
        return self.root / "config.toml"

    @property
    def environment_file(self) -> Path:
        """Versions, machine and study."""
        return self.root / "environment.json"

    @property
    def checkpoint(self) -> Path:
        """Everything that is needed to go on training."""
        return self.root / "checkpoints" / "last.ckpt"

    @property
    def model_file(self) -> Path:
        """The finished model; its presence means that the run is complete."""
        return self.root / "model.pt"

    @property
    def metrics_file(self) -> Path:
        """One row an epoch."""
        return self.root / "metrics.csv"

    @property
    def curves_file(self) -> Path:
        """The metrics as a picture."""
        return self.root / "curves.png"

    @property
    def close_ups(self) -> Path:
        """The run on close-ups that came before this one."""
        return self.root / "close-ups"

    def predictions(self, name: str) -> Path:
        """Folder of the predictions for a split."""
        return self.root / "predictions" / name

    def evaluation(self, name: str, suffix: str) -> Path:
        """File of an evaluation, ``.json`` or ``.csv``."""
        return self.root / f"evaluation-{name}{suffix}"

    @property
    def study_folder(self) -> Path:
        """The study that the run was trained on.

        Raises:
            ReadError: the run does not say.
        """
        try:
            environment = json.loads(self.environment_file.read_text(encoding="utf-8"))
            return (self.root / str(environment["study"])).resolve()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReadError(
                "the run does not say which study it was trained on",
                where=self.environment_file,
                remedy="give a folder of images and one of masks (--images, --masks)",
            ) from error

    def begin(self, config: RunConfig, study: Path, weights: Mapping[str, str]) -> None:
        """Claim the folder for a new run and write down what it will be.

        Args:
            config: the complete configuration.
            study: the study's folder.
            weights: where the initial weights come from.

        Raises:
            ConfigError: a run is there already.
            StorageError: the folder cannot be written.
        """
        self.refuse_another()
        self._record_environment(study, weights)
        # Written last: a folder with a configuration is a run.
        write_text(self.config_file, config.to_toml())

    def refuse_another(self) -> None:
        """Refuse a folder that holds a run.

        Raises:
            ConfigError: it does.
        """
        if self.config_file.exists():
            raise ConfigError(
                "there is a run in this folder already",
                where=self.root,
                remedy="choose another --out, continue it with --resume, or remove the folder",
            )

    def resume(self, config: RunConfig) -> None:
        """Check that the run in this folder is the one that was asked for.

        Raises:
            ConfigError: there is no run, or its configuration differs; names the first key that does.
        """
        if not self.config_file.exists():
            raise ConfigError("there is no run to resume", where=self.root, remedy="leave --resume away")
        there, asked = (flatten(each.model_dump(mode="json")) for each in (read_config(self.config_file), config))
        for key in asked:
            # Where it is computed may differ from session to session; what is learned may not.
            if there.get(key) != asked[key] and not key.startswith("runtime."):
                raise ConfigError(
                    "the run was started with another setting",
                    where=f"{self.config_file}, key {key}",
                    found=there.get(key),
                    expected=asked[key],
                    remedy="resume with the same settings, or start a new run with another --out",
                )

    def _record_environment(self, study: Path, weights: Mapping[str, str]) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        environment = {
            # Relative, so that a study can move with its runs.
            "study": Path(os.path.relpath(study.resolve(), self.root.resolve())).as_posix(),
            "command": " ".join(sys.argv),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "threads": torch.get_num_threads(),
            "revision": _revision(),
            # Where the initial weights came from, and their checksum.
            "weights": dict(weights),
            "versions": {name: _version(name) for name in _RECORDED},
        }
        write_text(self.environment_file, json.dumps(environment, indent=2) + "\n")


def flatten(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested settings as ``section.key`` pairs.

    Example:
        >>> flatten({"optim": {"epochs": 5}, "seed": 0})
        {'optim.epochs': 5, 'seed': 0}
    """
    flat: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _revision() -> str | None:
    """The commit of the checkout that runs, if it is one; '+' when it holds changes that no commit has."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
