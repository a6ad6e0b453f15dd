"""Which marks and which recipe: every way to mark an image against every recipe, beside the floors and full masks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from tallymark.data.cache import truth_cache
from tallymark.data.study import Study
from tallymark.datasets.generators import Per
from tallymark.datasets.weaken import weaken
from tallymark.engine.batches import CaseBatches
from tallymark.engine.recipes import RECIPES, resolve
from tallymark.errors import ConfigError
from tallymark.experiments.floors import FIXED, KNOWN
from tallymark.experiments.grid import Result, Row, folded
from tallymark.experiments.lines import lines_of
from tallymark.experiments.shared_work import Done, cost_line, share_work
from tallymark.experiments.table import write_tables
from tallymark.experiments.tune import read_tuned

MARKS = {
    "eroded": "erosion:8%",
    "deepest": "deepest:8%",
    "stroke": "stroke",
    "dab": "dab:4%",
    "dab-unclipped": "dab-unclipped:16%",
    "click": "click",
    "partial": "partial:50%",
}
"""Marks as people make them, by name: what :func:`tallymark.datasets.weaken.weaken` is asked for."""
FULL = "full"
_FOOT = """
Read it so. Each row is a mark and a recipe. *IoU per image* is the mean over the test images that show the structure,
*pooled* one overlap of all their pixels; both at the original size and threshold 0.5, of several structures the mean of
theirs; ± is the standard deviation over {runs}. *Share of full* is the per-image IoU over that of the supervised row
with the same network, schedule, augmentation and split, *minus full* the difference, *over its floor* that to the
position map, each with a 95 % interval (paired by case, {pooled}resampled by group). The floor of a row that sees the
number is the map cut at each image's true area; of one that does not, the map at a fixed size. Weak rows see no mask in
training. Marks: {marks}.
"""


def grid(
    kinds: Sequence[str],
    recipes: Sequence[str],
    seeds: int,
    *,
    folds: int | None = None,
    per: Per = "image",
    tuned: Mapping[str, tuple[str, ...]] | None = None,
) -> list[Row]:
    """Full supervision, then every recipe on every kind of marks; one seed (or fold) after the other.

    Args:
        kinds: keys of :data:`MARKS`.
        recipes: weak ones, keys of :data:`~tallymark.engine.recipes.RECIPES`.
        seeds: how many, from 0; without ``folds``.
        folds: instead, each row once on each of so many folds, with the number of the fold as its seed.
        per: what is marked at once, an image's structure or each connected component.
        tuned: settings of a recipe, as :func:`tallymark.experiments.tune.tune` chose them.

    Example:
        >>> [row.name for row in grid(["stroke", "click"], ["grow", "paper"], 1)]
        ['full', 'stroke, grow', 'click, grow', 'stroke, paper', 'click, paper']
    """
    rows = [Row(FULL, FULL, mark_set(kinds[0], per))]
    chosen = tuned or {}
    rows += [
        Row(f"{kind}, {recipe}", recipe, mark_set(kind, per), settings=chosen.get(recipe, ()))
        for recipe in recipes
        for kind in kinds
    ]
    if folds is not None:
        return [row for number in range(1, folds + 1) for row in folded(rows, number, folds)]
    return [replace(row, seed=seed) for seed in range(seeds) for row in rows]


def mark_set(kind: str, per: Per) -> str:
    """The name of a mark set.

    Example:
        >>> mark_set("dab", "image"), mark_set("dab", "component")
        ('marks-dab', 'marks-dab-per-component')
    """
    return f"marks-{kind}" if per == "image" else f"marks-{kind}-per-{per}"


def marks(
    study: Study,
    profile: str,
    seeds: int,
    out: Path,
    *,
    kinds: Sequence[str] = tuple(MARKS),
    recipes: Sequence[str] = ("grow", "paper"),
    folds: int | None = None,
    per: Per = "image",
    part: tuple[int, int] = (1, 1),
    hours: float | None = None,
    tuned: Path | None = None,
    settings: Sequence[str] = (),
    console: Console | None = None,
) -> Path | None:
    """Compute or continue the table of marks and recipes, and write it from the rows that are done.

    Args:
        study: with full masks; marks are simulated as far as they are missing.
        profile: small or paper.
        seeds: how many, from 0; without ``folds``.
        out: gets ``rows/`` (the runs), ``marks.csv``, ``marks.md`` and ``labels.csv``.
        kinds: of marks.
        recipes: that are compared.
        folds: instead of seeds, a run of every row on each of so many folds.
        per: what is marked at once.
        part: (2, 3) computes the second third of the rows, for several processes or machines side by side.
        hours: no row is begun after so many hours.
        tuned: the ``tuned.json`` of :func:`tallymark.experiments.tune.tune`, settings of each recipe.
        settings: for every row alike.
        console: where progress is shown.

    Returns:
        The Markdown file; None where not even full supervision is done.

    Raises:
        ConfigError: an unknown kind, recipe or part, or a recipe that learns from masks.
        StudyError: more folds than the study's groups allow.
    """
    _check(kinds, recipes)
    for number in range(1, (folds or 0) + 1):
        study.fold(f"{number}/{folds}")  # refuses too many before the work
    for kind in kinds:
        if mark_set(kind, per) not in study.marks.sets():
            weaken(study, marks=MARKS[kind], mark_set=mark_set(kind, per), per=per)
    chosen = None if tuned is None else read_tuned(tuned)
    planned = grid(kinds, recipes, seeds, folds=folds, per=per, tuned=chosen)
    rows = [replace(row, settings=(*settings, *row.settings)) for row in planned]
    done = share_work(study, rows, profile, out / "rows", runs=folds or seeds, part=part, hours=hours, console=console)
    whole = done.whole
    if FULL not in whole:
        return None
    lines = lines_of(
        study,
        whole,
        reference=FULL,
        place=_place,
        floor=lambda name: KNOWN if whole[name][0].config.reads_numbers else FIXED,
    )
    pd.DataFrame(_labels(study, whole)).to_csv(out / "labels.csv", index=False)
    words = [f"--profile {profile}", f"--seeds {seeds}" if folds is None else f"--folds {folds}"]
    words += [f"--kinds {','.join(kinds)}", f"--recipes {','.join(recipes)}"]
    words += [*([] if per == "image" else [f"--per {per}"]), *(f"--set {shlex.quote(one)}" for one in settings)]
    words += [] if tuned is None else ["--tuned tuned.json"]
    head = _head(study, done, words)
    runs, pooled = ("seeds", "") if folds is None else ("folds", "the cases of all folds together, ")
    made = "; ".join(f"{kind} is `{MARKS[kind]}`" for kind in kinds)
    return write_tables(list(lines), out, "marks", head=head, foot=_FOOT.format(runs=runs, pooled=pooled, marks=made))


def _check(kinds: Sequence[str], recipes: Sequence[str]) -> None:
    for given, known, option in ((kinds, MARKS, "--kinds"), (recipes, RECIPES, "--recipes")):
        unknown = [name for name in given if name not in known]
        if unknown or not given:
            raise ConfigError(
                "no such name", where=option, found=", ".join(unknown) or "nothing", expected=", ".join(known)
            )
    supervised = [name for name in recipes if resolve(name, "small").reads_masks]
    if supervised:
        raise ConfigError(
            "full supervision is always in the table",
            where="--recipes",
            found=", ".join(supervised),
            remedy="name weak recipes only",
        )


def _place(name: str) -> int:
    """Full supervision first, then by kind of marks; the recipes of a kind stay as they came."""
    kind = name.split(",")[0]
    return list(MARKS).index(kind) if kind in MARKS else -1


def _labels(study: Study, results: dict[str, list[Result]]) -> Iterator[dict[str, object]]:
    """What the grown marks were worth as labels: their IoU with the full masks of the training images."""
    for name, done in results.items():
        config = done[0].config
        if config.losses.grown.weight == 0:
            continue
        part = study.fold(config.data.fold)
        cases = part.split("train")
        grown = CaseBatches(part, cases, config).__getitems__(range(len(cases))).grown
        truth = truth_cache(part, config.data.size, cases)
        assert grown is not None
        masks = grown.numpy() > 0.5
        for k, structure in enumerate(part.structures):
            axes = tuple(range(1, masks.ndim - 1))
            both, either = ((op(masks[:, k], truth[:, k])).sum(axis=axes) for op in (np.logical_and, np.logical_or))
            shown = truth[:, k].any(axis=axes)
            yield {
                "row": name,
                "structure": structure,
                "images": int(shown.sum()),
                "iou_per_image": float((both[shown] / either[shown]).mean()),
                "iou_pooled": float(both.sum() / either.sum()),
            }


def _head(study: Study, done: Done, words: Sequence[str]) -> str:
    images = len(study.fold(done.results[0].config.data.fold).split("train"))
    return (
        f"# Marks and recipes on {study.settings.name}\n\n"
        f"Command: `tallymark experiment marks --data STUDY {' '.join(words)}`. {images} images to learn from, split "
        f"by group. {cost_line(done)}"
    )
