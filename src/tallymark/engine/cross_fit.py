"""Cross-fitting: every case of a study is seen by a network that has not learned from its group."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console

from tallymark.data.atomic import replacing
from tallymark.data.images import Image
from tallymark.data.splits import Fold
from tallymark.data.study import Case, Study
from tallymark.engine.address import address
from tallymark.engine.config import RunConfig
from tallymark.engine.fit import fit
from tallymark.engine.model_file import Model, load_model
from tallymark.engine.predict import best_device
from tallymark.engine.run_folder import RunFolder
from tallymark.engine.views import flipped_logits, network_input
from tallymark.errors import ConfigError, StudyError

# Raised when networks are asked in another way: what they saw before is then not used.
_FORMAT = 2


@dataclass(frozen=True)
class FoldRun:
    """A fold and the run that has not seen it.

    Args:
        fold: which.
        cases: of the fold; the run learned from all others.
        config: of the run.
        folder: of the run; its name is made of all that decides the run.
    """

    fold: Fold
    cases: tuple[Case, ...]
    config: RunConfig
    folder: RunFolder


def plan(study: Study, config: RunConfig, folds: int, runs: Path) -> list[FoldRun]:
    """The runs that see every case of a study with the eyes of a network that did not learn from it.

    Groups are dealt to folds as :meth:`tallymark.data.study.Study.fold` does. A run learns from all cases outside its
    fold, whatever their split: nothing is selected, and an archive is recovered whole.

    Args:
        study: the study.
        config: of every run, but for the fold.
        folds: how many, at least 2.
        runs: holds a run folder for every address.

    Raises:
        ConfigError: fewer than 2 folds.
        StudyError: more folds than groups.
    """
    if folds < 2:
        raise ConfigError(
            "every image is seen by networks that learned from the other folds",
            where="--folds",
            found=folds,
            expected="2 or more",
        )
    planned = []
    groups = len({case.group for case in study.cases})
    if folds > groups:
        raise StudyError(
            "there are more folds than groups of cases, and a group is never split",
            where=study.folder,
            found=f"{folds} folds, {groups} groups",
            remedy=f"ask for --folds {groups} or fewer" if groups >= 2 else "recover needs images of two groups",
        )
    for number in range(1, folds + 1):
        fold = Fold.parse(f"{number}/{folds} whole")
        ours = config.model_copy(update={"data": config.data.model_copy(update={"fold": str(fold)})})
        folder = RunFolder(runs / address(study, ours, None))
        planned.append(FoldRun(fold, study.fold(fold).split("test"), ours, folder))
    return planned


def trained(study: Study, run: FoldRun, console: Console | None) -> Model:
    """The model of a fold: trained, trained to its end after an interruption, or read where it is there.

    Args:
        study: the study.
        run: of :func:`plan`.
        console: where progress is shown; None: nowhere.
    """
    if not run.folder.model_file.exists():
        fit(study, run.config, run.folder, resume=run.folder.config_file.exists(), console=console)
    return load_model(run.folder.model_file, device=best_device())


def logits_of(run: FoldRun, model: Model, case: Case, image: Image) -> Float[np.ndarray, "v k *size"]:
    """What the network of a fold sees of a case of it, by view; computed once and kept in the run's folder.

    Args:
        run: the case is of its fold.
        model: of the run.
        case: which.
        image: of the case.
    """
    kept = run.folder.root / f"logits-{_FORMAT}" / f"{case.id}.npy"
    if kept.exists():
        return np.asarray(np.load(kept))
    logits = seen_by(model, image)
    with replacing(kept) as temporary, temporary.open("wb") as stream:
        np.save(stream, logits)
    return logits


def seen_by(model: Model, image: Image) -> Float[np.ndarray, "v k *size"]:
    """Logits of an image and its mirror images, at the network's size."""
    pixels = torch.from_numpy(network_input(image, model))[None].to(best_device())
    return np.asarray(flipped_logits(model, pixels)[:, 0].cpu().numpy())
