"""The paper's Table 1 with the floors under it: what each of its losses and mark sizes gives.

Kulkarni, Raff & Oates 2026 (arXiv 2605.03059), Table 1: L_s only; 4, 8 and 12 % marks; L_ws only; full supervision.
Every ablation keeps L_c and L_r. What the paper does not state is chosen in one place, here, and said in the table.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from tallymark.data.study import Study
from tallymark.datasets.weaken import weaken
from tallymark.engine.recipes import resolve
from tallymark.engine.train import study_task
from tallymark.experiments.floors import floors
from tallymark.experiments.grid import Result, Row, by_name, run_grid
from tallymark.experiments.table import against, summarise, write_tables

# IoU in per cent, as printed.
PAPER = {
    "BUSI": {"L_s only": 36.95, "4 %": 45.70, "8 %": 48.13, "12 %": 45.29, "L_ws only": 26.33, "full": 63.15},
    "KiTS23": {"L_s only": 12.65, "4 %": 29.22, "8 %": 37.23, "12 %": 28.43, "L_ws only": 8.75, "full": 59.85},
}
SHARES = (4, 8, 12)
READINGS = {"erosion": "iterated 3x3 erosion", "deepest": "the deepest pixels, exact share"}
_WITHOUT = {"L_s only": "losses.weak.weight=0", "L_ws only": "losses.statistic.weight=0"}
# A row that sees the number may be compared with a floor that knows it; one that does not, may not.
_FLOOR = {"L_ws only": "position map, fixed size", "full": "position map, fixed size"}
_FOOT = """
Read it so. *IoU pooled* is one overlap of all pixels of all test images, *per image* the mean over images that have the
structure; both at the original size and threshold 0.5; ± is the standard deviation over seeds. *Over its floor* and
*minus full* are differences of per-image IoU with 95 % intervals (paired by case, resampled by group). The floor of a
row that sees the number is the position map cut at each image's true area; of one that does not, the map at a fixed
size. The floors never look at the image. *L_ws only* is degenerate: p = 1 everywhere makes L_ws and L_c both 0, so the
row measures accidents of optimisation. The paper does not state its loss weights (here 1, 1, 1, 1), reduction of L_ws,
split, input size, schedule or which IoU it prints.
"""


def grid(seeds: int, *, readings: bool = True) -> list[Row]:
    """The rows of Table 1, and both erosion readings and both reductions beside the paper's.

    Example:
        >>> [row.name for row in grid(1, readings=False)]
        ['full', '8 %', 'L_s only', '4 %', '12 %', 'L_ws only']
    """
    rows = []
    for seed in range(seeds):
        rows.append(Row("full", "full", "erosion-8", seed=seed))
        rows.append(Row("8 %", "paper", "erosion-8", seed=seed))
        for name, setting in _WITHOUT.items():
            rows.append(Row(name, "paper", "erosion-8", seed=seed, settings=(setting,)))
        rows += [Row(f"{share} %", "paper", f"erosion-{share}", seed=seed) for share in SHARES if share != 8]
        if readings:
            rows += [Row(f"{share} %, deepest", "paper", f"deepest-{share}", seed=seed) for share in SHARES]
            marked = ("losses.weak.reduction=marked",)
            rows += [
                Row(f"{share} %, mean over marked", "paper", f"erosion-{share}", seed=seed, settings=marked)
                for share in SHARES
            ]
    order = ["full", "8 %", "L_s only", "4 %", "12 %", "L_ws only"]
    return sorted(rows, key=lambda row: (row.seed, order.index(row.name) if row.name in order else len(order)))


def table1(
    study: Study,
    profile: str,
    seeds: int,
    out: Path,
    *,
    paper: str | None = None,
    readings: bool = True,
    settings: Sequence[str] = (),
    console: Console | None = None,
) -> Path:
    """Compute or continue Table 1 on a study and write it.

    Args:
        study: with full masks; marks are simulated as far as they are missing.
        profile: small or paper.
        seeds: how many, from 0.
        out: gets ``rows/`` (the runs), ``table1.csv`` and ``table1.md``.
        paper: a key of :data:`PAPER`, to show its figures beside ours.
        readings: both readings of the erosion and both reductions, too.
        settings: for every row alike.
        console: where progress is shown.

    Returns:
        The Markdown file.
    """
    simulate_marks(study)
    rows = [
        Row(row.name, row.recipe, row.marks, row.numbers, row.seed, (*settings, *row.settings))
        for row in grid(seeds, readings=readings)
    ]
    results = by_name(run_grid(study, rows, profile, out / "rows", console=console))
    return write_table1(study, results, profile, out, paper=paper, readings=readings, settings=settings)


def simulate_marks(study: Study) -> None:
    """Make the mark sets of Table 1 that are not there yet: both readings, three shares, each component marked."""
    for reading in READINGS:
        for share in SHARES:
            name = f"{reading}-{share}"
            if name not in study.marks.sets():
                weaken(study, marks=f"{reading}:{share}%", mark_set=name)


def write_table1(
    study: Study,
    results: dict[str, list[Result]],
    profile: str,
    out: Path,
    *,
    paper: str | None,
    readings: bool,
    settings: Sequence[str],
) -> Path:
    """Write the table of the rows that are done, floors first."""
    config = resolve("paper", profile, marks="erosion-8", settings=settings)
    floor_tables = floors(study, study_task(study), config)
    full = [result.cases for result in results["full"]] if "full" in results else None
    lines: list[dict[str, object]] = [
        summarise(name, [cases], [numbers]) for name, (cases, numbers) in floor_tables.items()
    ]
    order = ["L_s only", "4 %", "8 %", "12 %", "L_ws only", "full"]
    for name in sorted(results, key=lambda name: order.index(name) if name in order else len(order)):
        cases = [result.cases for result in results[name]]
        line = summarise(name, cases, [result.numbers for result in results[name]])
        floor: pd.DataFrame = floor_tables[_FLOOR.get(name, "position map, known area")][0]
        line = against(line, cases, floor=[floor], full=None if name == "full" else full)
        line["minutes"] = sum(result.minutes for result in results[name]) / len(cases)
        lines.append(line)
    if paper is not None:
        lines = [line | {"paper": PAPER[paper].get(str(line["row"]))} for line in lines]
    seeds = max(len(rows) for rows in results.values())
    extra = (f" --paper {paper}" if paper else "") + ("" if readings else " --no-readings")
    words = "".join(f" --set {shlex.quote(setting)}" for setting in settings)
    head = (
        f"# Table 1 on {study.settings.name}: profile {profile}, {seeds} seeds\n\n"
        f"Command: `tallymark experiment table1 --data STUDY --profile {profile} --seeds {seeds}{extra}{words}`. "
        f"{len(study.split('train'))} images to learn from, {len(study.split('test'))} to test on, split by group. "
        f"Network {config.model.name} at {' x '.join(map(str, config.data.size))}, {config.optim.epochs} epochs, the "
        "same for every row. Per cent."
    )
    return write_tables(lines, out, "table1", head=head, foot=_FOOT)
