"""A grid of runs: each row is one line, has an address made of its content, and is computed once.

A row that is done is never computed again; one that was interrupted goes on from its last checkpoint. The address
covers all that decides the result: the study's images, masks, numbers and marks, and the complete configuration.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from rich.console import Console

from tallymark.data.atomic import write_text
from tallymark.data.study import Study
from tallymark.engine.address import address
from tallymark.engine.config import RunConfig
from tallymark.engine.evaluate import evaluate
from tallymark.engine.recipes import resolve
from tallymark.engine.run_folder import RunFolder
from tallymark.engine.train import train

_DONE = "row.json"


@dataclass(frozen=True)
class Row:
    """One line of a grid.

    Args:
        name: what the table calls it; rows of one name differ by seed alone.
        recipe: of :data:`tallymark.engine.recipes.RECIPES`.
        marks: mark set.
        numbers: number variant; None: recorded, or the only simulated one.
        seed: of every random draw.
        settings: ``section.key=value`` strings, the same as ``--set``.
    """

    name: str
    recipe: str
    marks: str
    numbers: str | None = None
    seed: int = 0
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """A row that is done.

    Args:
        row: what was asked for.
        config: the complete configuration of its run.
        folder: its run folder.
        cases: one row a case and structure of the test split; see :mod:`tallymark.engine.scoring`.
        numbers: one row a case and statistic.
        minutes: of training and evaluation, when it was computed.
    """

    row: Row
    config: RunConfig
    folder: Path
    cases: pd.DataFrame
    numbers: pd.DataFrame
    minutes: float


def run_grid(
    study: Study,
    rows: Sequence[Row],
    profile: str,
    folder: Path,
    *,
    split: str = "test",
    console: Console | None = None,
) -> Iterator[Result]:
    """Compute the rows of a grid one after the other, or read those that are done.

    Args:
        study: what all rows are trained and tested on.
        rows: in the order in which they are computed.
        profile: of :data:`tallymark.engine.recipes.PROFILES`, the same for all rows, so that they compare.
        folder: holds a run folder for every address.
        split: what they are scored on.
        console: where progress is shown; None: nowhere.

    Yields:
        One result a row, in order.
    """
    for position, row in enumerate(rows, start=1):
        done = stored(study, row, profile, folder, split=split)
        if console is not None:
            state = "computing" if done is None else "there"
            console.print(f"{position}/{len(rows)} {row.name}, seed {row.seed}: {state}", highlight=False, markup=False)
        yield done or _computed(study, row, profile, folder, split)


def stored(study: Study, row: Row, profile: str, folder: Path, *, split: str = "test") -> Result | None:
    """A row that is done, read from its folder; None where it has to be computed, or computed to its end.

    Args:
        study: as for :func:`run_grid`.
        row: which one.
        profile: as for :func:`run_grid`.
        folder: as for :func:`run_grid`.
        split: what it was scored on.
    """
    config, run = _place(study, row, profile, folder, split)
    done = run.root / _DONE
    if not done.exists():
        return None
    return Result(
        row=row,
        config=config,
        folder=run.root,
        cases=read_cases(run.evaluation(split, ".csv")),
        numbers=read_cases(run.evaluation(split, "-numbers.csv")),
        minutes=float(json.loads(done.read_text(encoding="utf-8"))["minutes"]),
    )


def _computed(study: Study, row: Row, profile: str, folder: Path, split: str) -> Result:
    _, run = _place(study, row, profile, folder, split)
    began = time.monotonic()
    train(
        study,
        recipe=row.recipe,
        profile=profile,
        marks=row.marks,
        numbers=row.numbers,
        seed=row.seed,
        settings=row.settings,
        out=run.root,
        resume=run.config_file.exists(),
    )
    evaluate(run.root, split=split)
    minutes = (time.monotonic() - began) / 60
    # Written last: a row with this file is done.
    write_text(run.root / _DONE, json.dumps({"name": row.name, "minutes": round(minutes, 2)}) + "\n")
    result = stored(study, row, profile, folder, split=split)
    assert result is not None
    return result


def _place(study: Study, row: Row, profile: str, folder: Path, split: str) -> tuple[RunConfig, RunFolder]:
    config = resolve(row.recipe, profile, seed=row.seed, marks=row.marks, numbers=row.numbers, settings=row.settings)
    return config, RunFolder(folder / address(study, config, split))


def read_cases(path: Path) -> pd.DataFrame:
    """A table of an evaluation; ids and groups stay text (007 is not 7)."""
    return pd.read_csv(path, dtype={"id": str, "group": str}, keep_default_na=True)


def folded(rows: Iterable[Row], number: int, folds: int) -> list[Row]:
    """The rows on one fold of a cross-validation, with the number of the fold as their seed.

    Example:
        >>> [(row.seed, row.settings) for row in folded([Row("a", "paper", "e8")], 2, 5)]
        [(2, ('data.fold=2/5',))]
    """
    fold = f"data.fold={number}/{folds}"
    return [replace(row, seed=number, settings=(*row.settings, fold)) for row in rows]


def by_name(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Results of one name together, in the order in which the names first come."""
    named: dict[str, list[Result]] = {}
    for result in results:
        named.setdefault(result.row.name, []).append(result)
    return named
