"""A grid of runs: each row is one line, has an address made of its content, and is computed once.

A row that is done is never computed again; one that was interrupted goes on from its last checkpoint. The address
covers all that decides the result: the study's images, masks, numbers and marks, and the complete configuration.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from rich.console import Console

from tallymark.data.atomic import write_text
from tallymark.data.study import Study
from tallymark.engine.batches import mark_set
from tallymark.engine.config import RunConfig
from tallymark.engine.evaluate import evaluate
from tallymark.engine.recipes import resolve
from tallymark.engine.run_folder import RunFolder
from tallymark.engine.train import train

GENERATION = 1
"""Raised when results change although no setting does: a loss is corrected, or the default of a setting changes."""
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


def address(study: Study, config: RunConfig, split: str | None) -> str:
    """The name of a row's folder: its recipe and seed, and a hash of all that decides its result.

    Settings count as far as they differ from their defaults, so that a new setting, whose default changes nothing,
    leaves every address as it was; where a default itself changes, :data:`GENERATION` is raised. Where it is computed
    (``runtime``) does not count, and names do not: a recipe and a profile count by what they set, marks, numbers and
    masks by their content, a fold by the splits it deals. Marks and numbers that are named count in a
    run that does not learn from them, too: it is scored by them. Without a split nothing is scored, and the masks do
    not count unless the run learns from them.
    """
    study = study.fold(config.data.fold)
    decides: dict[str, object] = {
        "generation": GENERATION,
        "split": split,
        "config": config.model_dump(
            mode="json", exclude_defaults=True, exclude={"recipe", "profile", "runtime", "data"}
        ),
        "data": config.data.model_dump(mode="json", exclude_defaults=True, exclude={"marks", "numbers", "fold"}),
        "settings": study.settings.model_dump(mode="json", exclude_defaults=True, exclude={"name", "format", "split"}),
        "cases": [(case.id, case.sha256, case.group, case.split) for case in study.cases],
    }
    if split is not None or config.reads_masks:
        decides["masks"] = [
            study.truth.fingerprint(case.id, name)
            for case in study.cases
            for name in study.structures
            if study.truth.has(case.id, name)
        ]
    if config.reads_numbers or config.data.numbers is not None:
        numbers = study.numbers(config.data.numbers)
        decides["numbers"] = [(*key, number.value, number.low, number.high) for key, number in sorted(numbers.items())]
        # Only where there are some, so that rows of other studies keep their address.
        if groups := study.group_numbers(config.data.numbers):
            decides["group_numbers"] = [(*key, one.value, one.low, one.high) for key, one in sorted(groups.items())]
    if config.reads_marks or config.data.marks is not None:
        name = mark_set(study, config.data.marks)
        decides["marks"] = study.marks.fingerprint(name, [case.id for case in study.cases])
    text = json.dumps(decides, sort_keys=True, default=str)
    return f"{config.recipe}-{config.seed}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


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
