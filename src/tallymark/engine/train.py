"""Training: from a study and the name of a recipe to a run folder with a model in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tallymark.data.study import Study
from tallymark.engine.close_up_labels import close_up_labels
from tallymark.engine.fit import Run, fit
from tallymark.engine.recipes import resolve
from tallymark.engine.run_folder import RunFolder

__all__ = ["Run", "run_folder", "train"]


def train(
    study: Study | Path | str,
    *,
    recipe: str = "grow",
    profile: str = "small",
    marks: str | None = None,
    numbers: str | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    file: Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    console: Console | None = None,
) -> Run:
    """Train a recipe on a study.

    Args:
        study: the study or its folder.
        recipe: how it learns: ``grow`` (ours) or ``paper`` from numbers and marks, ``full`` from masks (the upper
            bound) or a comparator, see :data:`~tallymark.engine.recipes.RECIPES`.
        profile: how large: ``small`` (U-Net, 96 x 96, a CPU) or ``paper`` (DeepLabV3-ResNet50, 256 x 256, a GPU).
        marks: the mark set; None: the only one there is.
        numbers: the number variant; None: recorded, or the only simulated one.
        seed: of the initial weights, the order of the cases and the augmentation.
        out: the run's folder; None: ``runs/<recipe>-<profile>-<seed>`` inside the study.
        file: a TOML file with more settings.
        settings: ``section.key=value`` strings; they win over everything.
        resume: go on from the last checkpoint; the weights come out as if the run had never stopped.
        console: where progress is shown; None: nowhere.

    Returns:
        The run; its folder holds configuration, environment, metrics, curves, the last checkpoint and ``model.pt``.

    Raises:
        ConfigError: a setting is wrong, the folder holds a run already, or there is none to resume.
        CheckpointError: the checkpoint to resume from is damaged.
        StudyError: the study is damaged, or has nothing that the recipe can learn from.
        GeometryError: a number is in mm but the spacing of a training image is not known.
        StorageError: the disk is full or read-only; the last checkpoint is still whole.
    """
    study = study if isinstance(study, Study) else Study.open(Path(study))
    config = resolve(recipe, profile, seed=seed, marks=marks, numbers=numbers, file=file, settings=settings)
    folder = run_folder(study.folder, recipe, profile, seed, out)
    if resume:
        folder.resume(config)
        if folder.model_file.exists():
            return Run(folder, config)
    closer = close_up_labels(study, config, folder.close_ups, console)
    return fit(study, config, folder, resume=resume, console=console, closer=closer)


def run_folder(study: Path, recipe: str, profile: str, seed: int, out: Path | str | None = None) -> RunFolder:
    """The folder of a run; arguments as of :func:`train`.

    Example:
        >>> run_folder(Path("my-study"), "grow", "small", 0).root.as_posix()
        'my-study/runs/grow-small-0'
    """
    return RunFolder(Path(out) if out is not None else study / "runs" / f"{recipe}-{profile}-{seed}")
