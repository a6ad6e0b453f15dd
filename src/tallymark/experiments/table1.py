"""The paper's Table 1 with the floors under it: what each of its losses and mark sizes gives.

Kulkarni, Raff & Oates 2026 (arXiv 2605.03059), Table 1: L_s only; 4, 8 and 12 % marks; L_ws only; full supervision.
Every ablation keeps L_c and L_r. What the paper does not state is chosen in one place, here, and said in the table.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from rich.console import Console

from tallymark.data.study import Study
from tallymark.datasets.generators import Per
from tallymark.datasets.weaken import weaken
from tallymark.engine.recipes import resolve
from tallymark.errors import ConfigError
from tallymark.experiments.figures import predictions_figure, weak_masks_figure
from tallymark.experiments.floors import FIXED, KNOWN
from tallymark.experiments.grid import Result, Row, by_name, folded, run_grid
from tallymark.experiments.lines import lines_of
from tallymark.experiments.table import write_tables

# IoU in per cent, as printed.
PAPER = {
    "BUSI": {"L_s only": 36.95, "4 %": 45.70, "8 %": 48.13, "12 %": 45.29, "L_ws only": 26.33, "full": 63.15},
    "KiTS23": {"L_s only": 12.65, "4 %": 29.22, "8 %": 37.23, "12 %": 28.43, "L_ws only": 8.75, "full": 59.85},
}
SHARES = (4, 8, 12)
READINGS = {"erosion": "iterated 3x3 erosion", "deepest": "the deepest pixels, exact share"}
_ORDER = ("L_s only", "4 %", "8 %", "12 %", "L_ws only", "full")
# What says most is computed first.
_FIRST = ("full", "8 %", "L_s only", "4 %", "12 %", "L_ws only")
_WITHOUT = {"L_s only": "losses.weak.weight=0", "L_ws only": "losses.statistic.weight=0"}
# A row that sees the number may be compared with a floor that knows it; one that does not, may not.
_FLOOR = {"L_ws only": FIXED, "full": FIXED}
_FOOT = """
Read it so. *IoU pooled* is one overlap of all pixels of all test images, *per image* the mean over images that have the
structure; both at the original size and threshold 0.5, of several structures the mean of theirs; ± is the standard
deviation over {runs}. *Over its floor* and *minus full* are differences of per-image IoU with 95 % intervals (paired by
case, {pooled}resampled by group). The floor of a
row that sees the number is the position map cut at each image's true area; of one that does not, the map at a fixed
size. The floors never look at the image. *L_ws only* is degenerate: p = 1 everywhere makes L_ws and L_c both 0, so the
row measures accidents of optimisation. The paper does not state its loss weights (here 1, 1, 1, 1), reduction of L_ws,
split, input size, schedule or which IoU it prints.

Pictures: *figure1.png*, what was marked; *figure2.png*, test images from the best to the worst for 8 %, with the IoU of
each row and of the floor that knows the area. They show images of the study; *figure1-outlines.png* and
*figure2-outlines.png* show the same outlines on plain grey.
"""


def grid(seeds: int, *, folds: int | None = None, per: Per = "image", readings: bool = True) -> list[Row]:
    """The rows of Table 1, and both erosion readings and both reductions beside the paper's.

    Args:
        seeds: how many, from 0; without ``folds``.
        folds: instead, each row once on each of so many folds, with the number of the fold as its seed.
        per: what was marked at once; see :func:`mark_sets`.
        readings: the rows of the other readings, too.

    Example:
        >>> [row.name for row in grid(1, readings=False)]
        ['full', '8 %', 'L_s only', '4 %', '12 %', 'L_ws only']
    """
    sets = mark_sets(per)
    paper = sets["erosion", 8]
    rows = [Row("full", "full", paper), Row("8 %", "paper", paper)]
    rows += [Row(name, "paper", paper, settings=(setting,)) for name, setting in _WITHOUT.items()]
    rows += [Row(f"{share} %", "paper", sets["erosion", share]) for share in SHARES if share != 8]
    rows.sort(key=lambda row: _FIRST.index(row.name))
    if readings:
        marked = ("losses.weak.reduction=marked",)
        rows += [Row(f"{share} %, deepest", "paper", sets["deepest", share]) for share in SHARES]
        rows += [
            Row(f"{share} %, mean over marked", "paper", sets["erosion", share], settings=marked) for share in SHARES
        ]
    if folds is not None:
        return [row for number in range(1, folds + 1) for row in folded(rows, number, folds)]
    return [replace(row, seed=seed) for seed in range(seeds) for row in rows]


def mark_sets(per: Per) -> dict[tuple[str, int], str]:
    """The names of the mark sets, by reading of the erosion and share in per cent.

    The paper erodes a mask, so that of several components the small ones may end without a mark ("image"). A person who
    marks would mark each ("component").

    Example:
        >>> mark_sets("image")["erosion", 8], mark_sets("component")["erosion", 8]
        ('erosion-8', 'erosion-8-per-component')
    """
    suffix = "" if per == "image" else f"-per-{per}"
    return {(reading, share): f"{reading}-{share}{suffix}" for reading in READINGS for share in SHARES}


def simulate_marks(study: Study, per: Per) -> None:
    """Make the mark sets of Table 1 that are not there yet."""
    for (reading, share), name in mark_sets(per).items():
        if name not in study.marks.sets():
            weaken(study, marks=f"{reading}:{share}%", mark_set=name, per=per)


def table1(
    study: Study,
    profile: str,
    seeds: int,
    out: Path,
    *,
    folds: int | None = None,
    per: Per = "image",
    paper: str | None = None,
    readings: bool = True,
    settings: Sequence[str] = (),
    console: Console | None = None,
) -> Path:
    """Compute or continue Table 1 on a study and write it.

    Args:
        study: with full masks; marks are simulated as far as they are missing.
        profile: small or paper.
        seeds: how many, from 0; without ``folds``.
        out: gets ``rows/`` (the runs), ``table1.csv``, ``table1.md`` and the figures.
        folds: instead, a run of every row on each of so many folds, so that every image is tested once.
        per: what is marked at once; see :func:`mark_sets`.
        paper: a key of :data:`PAPER`, to show its figures beside ours.
        readings: both readings of the erosion and both reductions, too.
        settings: for every row alike.
        console: where progress is shown.

    Returns:
        The Markdown file.

    Raises:
        ConfigError: an option out of range.
        StudyError: more folds than the study's groups allow, or no training image shows a structure.
    """
    if paper is not None and paper not in PAPER:
        raise ConfigError("the paper has no such column", where="--paper", found=paper, expected=" or ".join(PAPER))
    if per not in get_args(Per):
        raise ConfigError("marks cannot be made so", where="--per", found=per, expected=" or ".join(get_args(Per)))
    for number in range(1, (folds or 0) + 1):
        study.fold(f"{number}/{folds}")  # refuses too many before the work
    simulate_marks(study, per)
    rows = [
        replace(row, settings=(*settings, *row.settings))
        for row in grid(seeds, folds=folds, per=per, readings=readings)
    ]
    results = by_name(run_grid(study, rows, profile, out / "rows", console=console))
    lines = table1_lines(study, results)
    if paper is not None:
        # The paper prints the mean of the structures, not each of them.
        whole = lines[0]["structure"]
        figures = PAPER[paper]
        lines = [
            line | {"paper": figures.get(str(line["row"])) if line["structure"] == whole else None} for line in lines
        ]
    _figures(study, results, out, per)
    runs = f"--seeds {seeds}" if folds is None else f"--folds {folds}"
    words = [f"--profile {profile}", runs, *([f"--paper {paper}"] if paper else [])]
    words += [*([] if readings else ["--no-readings"]), *([] if per == "image" else [f"--per {per}"])]
    words += [f"--set {shlex.quote(setting)}" for setting in settings]
    return write_tables(
        lines, out, "table1", head=_head(study, profile, seeds, folds, per, words, settings), foot=_foot(folds)
    )


def table1_lines(study: Study, results: dict[str, list[Result]]) -> list[dict[str, object]]:
    """The lines of the table of the rows that are done, floors first."""
    # The numbers and marks of the floors are those of the paper's row.
    reference = "8 %" if "8 %" in results else next(iter(results))
    return list(lines_of(study, results, reference=reference, place=_place, floor=lambda name: _FLOOR.get(name, KNOWN)))


def _place(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _figures(study: Study, results: dict[str, list[Result]], out: Path, per: Per) -> None:
    sets = mark_sets(per)
    weak_masks_figure(study, {f"{share} %": sets["erosion", share] for share in SHARES}, out / "figure1")
    shown = {name: results[name] for name in _ORDER if name in results}
    predictions_figure(study, shown, "8 %", out / "figure2")


def _head(
    study: Study,
    profile: str,
    seeds: int,
    folds: int | None,
    per: Per,
    words: Sequence[str],
    settings: Sequence[str],
) -> str:
    config = resolve("paper", profile, settings=settings)
    if folds is None:
        runs, split = f"{seeds} seeds", study
        tested = f"{len(study.split('test'))} to test on"
    else:
        runs, split = f"{folds} folds", study.fold(f"1/{folds}")
        tested = f"each of {len(study.cases)} tested once, in {folds} folds"
    marked = "once an image, as the paper erodes masks" if per == "image" else "in each connected component"
    return (
        f"# Table 1 on {study.settings.name}: profile {profile}, {runs}\n\n"
        f"Command: `tallymark experiment table1 --data STUDY {' '.join(words)}`. "
        f"{len(split.split('train'))} images to learn from, {tested}, split by group. "
        f"Network {config.model.name} at {' x '.join(map(str, config.data.size))}, {config.optim.length}, the "
        f"same for every row. Structures are marked {marked}. Per cent."
    )


def _foot(folds: int | None) -> str:
    runs, pooled = ("seeds", "") if folds is None else ("folds", "the cases of all folds together, ")
    return _FOOT.format(runs=runs, pooled=pooled)
