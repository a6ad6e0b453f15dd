"""Settings chosen without a mask: as many trials for every recipe, judged by held-out numbers and marks alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from tallymark.data.atomic import write_text
from tallymark.data.study import Study
from tallymark.data.tables import write_table
from tallymark.engine.address import address
from tallymark.engine.config import RunConfig
from tallymark.engine.reads import known_numbers
from tallymark.engine.recipes import resolve
from tallymark.engine.run_folder import RunFolder
from tallymark.engine.train import train
from tallymark.errors import ConfigError, StudyError

TRIALS: dict[str, tuple[tuple[str, ...], ...]] = {
    "grow": ((), ("losses.grown.pull=1",), ("losses.grown.warmup=1",)),
    "paper": (
        (),
        ("losses.weak.reduction=marked",),
        ("losses.weak.reduction=marked", "losses.statistic.weight=3"),
    ),
    "kervadec": ((), ("losses.size.weight=3",), ("losses.size.weight=30",)),
    "log_barrier": ((), ("losses.log_barrier.weight=0.03",), ("losses.log_barrier.weight=0.3",)),
    "ranked_negatives": ((), ("losses.ranked_negatives.margin=1.2",), ("losses.ranked_negatives.weight=0.3",)),
    "nnpu": ((), ("losses.nnpu.surrogate=sigmoid",), ("losses.nnpu.gamma=0.3",)),
    "gated_crf": ((), ("losses.gated_crf.weight=0.03",), ("losses.gated_crf.weight=0.3",)),
    "gated_crf_size": ((), ("losses.size.weight=30",), ("losses.gated_crf.weight=0.3",)),
    "dmsps": ((), ("losses.mixed_pseudo_labels.weight=1",), ("losses.mixed_pseudo_labels.weight=3",)),
    "dmsps_size": ((), ("losses.mixed_pseudo_labels.weight=1",), ("losses.mixed_pseudo_labels.weight=3",)),
}
"""What is tried of each recipe, its defaults first: the same number of trials for every one."""


def tune(
    study: Study,
    recipes: Sequence[str],
    marks: str,
    profile: str,
    out: Path,
    *,
    seed: int = 0,
    settings: Sequence[str] = (),
    console: Console | None = None,
) -> pd.DataFrame:
    """Train every trial of some recipes once and judge it on the select split, where no mask is opened.

    A trial is judged by ``hits * max(0, 1 - error / spread)``: the share of held-out marks that the prediction covers,
    times how much better its numbers are than a constant guess (the spread is the mean distance of the held-out numbers
    from their median). A mask of ones, an empty mask and one mask for all images are all judged 0.

    Args:
        study: with numbers and marks on its select split; it needs no full mask.
        recipes: keys of :data:`TRIALS`.
        marks: mark set.
        profile: small or paper.
        out: gets ``trials/`` (the runs), ``tuned.csv`` and ``tuned.json``. Trials that are done are not trained again.
        seed: of every trial.
        settings: for every trial alike.
        console: where progress is shown.

    Returns:
        One row a trial: recipe, settings, number_error, mark_hit_rate, score, chosen.

    Raises:
        ConfigError: a recipe without trials.
        StudyError: nothing is held out to judge by.

    Source: ours.
    """
    unknown = [name for name in recipes if name not in TRIALS]
    if unknown or not recipes:
        raise ConfigError(
            "no such name", where="--recipes", found=", ".join(unknown) or "nothing", expected=", ".join(TRIALS)
        )
    rows = []
    jobs = [(recipe, trial) for recipe in recipes for trial in TRIALS[recipe]]
    for position, (recipe, trial) in enumerate(jobs, start=1):
        if console is not None:
            words = " ".join(trial) or "defaults"
            console.print(f"{position}/{len(jobs)} {recipe}: {words}", highlight=False, markup=False)
        together = (*settings, *trial)
        config = resolve(recipe, profile, seed=seed, marks=marks, settings=together)
        spread = number_spread(study.fold(config.data.fold), resolve("paper", profile, marks=marks))
        run = RunFolder(out / "trials" / address(study, config, None))
        if not run.model_file.exists():
            train(
                study,
                recipe=recipe,
                profile=profile,
                marks=marks,
                seed=seed,
                settings=together,
                out=run.root,
                resume=run.config_file.exists(),
            )
        error, hits = held_out(run.metrics_file)
        rows.append(
            {
                "recipe": recipe,
                "settings": " ".join(trial),
                "number_error": error,
                "mark_hit_rate": hits,
                "score": hits * max(0.0, 1 - error / spread),
            }
        )
    frame = pd.DataFrame(rows)
    # The first of equals: the defaults.
    frame["chosen"] = frame.index.isin(frame.groupby("recipe", sort=False)["score"].idxmax())
    write_table(out / "tuned.csv", frame)
    chosen = {row.recipe: str(row.settings).split() for row in frame[frame["chosen"]].itertuples()}
    write_text(out / "tuned.json", json.dumps(chosen, indent=2) + "\n")
    return frame


def read_tuned(path: Path) -> Mapping[str, tuple[str, ...]]:
    """The settings that were chosen for each recipe.

    Raises:
        ConfigError: no such file, or not one that :func:`tune` wrote.
    """
    try:
        chosen = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(words, list) for words in chosen.values()):
            raise ValueError("a recipe without a list of settings")
        return {str(recipe): tuple(map(str, words)) for recipe, words in chosen.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(
            "not settings that were tuned", where=path, found=str(error), expected="the tuned.json of 'experiment tune'"
        ) from None


def held_out(metrics: Path) -> tuple[float, float]:
    """Error of the number and share of marks hit on the select split, after the last epoch.

    Raises:
        StudyError: the run had no such figures.
    """
    frame = pd.read_csv(metrics)
    names = ("select/number_error", "select/mark_hit_rate")
    if not set(names) <= set(frame.columns) or frame[list(names)].dropna().empty:
        raise StudyError(
            "there is nothing to judge a trial by",
            where=metrics,
            expected="numbers and marks on the select split",
            remedy="give the select split a share in study.toml, and numbers and marks to its images",
        )
    last = frame[list(names)].dropna().iloc[-1]
    return float(last[names[0]]), float(last[names[1]])


def number_spread(study: Study, config: RunConfig) -> float:
    """Mean absolute distance of the held-out numbers from their median, in canonical units.

    Raises:
        StudyError: fewer than two of them, or all the same.
    """
    known = known_numbers(study, config)
    distances: list[float] = []
    for statistic in study.statistics:
        found = [known.get((case.id, statistic.name)) for case in study.split("select")]
        values = np.array([number.value for number in found if number is not None and math.isfinite(number.value)])
        distances += list(np.abs(values - np.median(values))) if values.size else []
    if len(distances) < 2 or max(distances) == 0:
        raise StudyError(
            "the held-out numbers do not tell one setting from another",
            where=study.folder,
            found=f"{len(distances)} numbers on the select split",
            expected="two that differ",
        )
    return float(np.mean(distances))
