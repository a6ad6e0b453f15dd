"""The lines of a table: floors first, then every row beside its floor and full supervision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from tallymark.data.study import Study
from tallymark.engine.task import study_task
from tallymark.experiments.floors import floors
from tallymark.experiments.grid import Result
from tallymark.experiments.table import Scores, table_lines


def lines_of(
    study: Study,
    results: dict[str, list[Result]],
    *,
    reference: str,
    place: Callable[[str], int],
    floor: Callable[[str], str],
) -> Iterator[dict[str, object]]:
    """The lines of the rows that are done.

    Args:
        study: what they were trained and scored on.
        results: by name of the row, one a seed or fold; "full" is what the others are compared with.
        reference: the row whose numbers, marks and folds the floors are scored with.
        place: of a row in the table; rows of one place stay as they came.
        floor: name of the floor that a row has to beat.
    """
    task = study_task(study)
    # The floors of seeds are the same; those of folds are not.
    configs = {result.config.data.fold: result.config for result in results[reference]}
    tables = [floors(study, task, config) for config in configs.values()]
    lows = {name: _scores([table[name] for table in tables]) for name in tables[0]}
    for name, low in lows.items():
        yield from table_lines(name, low, task)
    scores = {
        name: _scores([(result.cases, result.numbers) for result in results[name]])
        for name in sorted(results, key=place)
    }
    for name, own in scores.items():
        full = scores.get("full") if name != "full" else None
        minutes = sum(result.minutes for result in results[name]) / len(results[name])
        for line in table_lines(name, own, task, floor=lows[floor(name)], full=full):
            yield line | {"minutes": minutes}


def _scores(runs: Sequence[tuple[pd.DataFrame, pd.DataFrame]]) -> Scores:
    return Scores(tuple(cases for cases, _ in runs), tuple(numbers for _, numbers in runs))
