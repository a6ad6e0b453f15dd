"""A grid of rows shared between processes, within a budget, and what of it is done so far."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from tallymark.data.study import Study
from tallymark.errors import ConfigError
from tallymark.experiments.grid import Result, Row, by_name, run_grid, stored


class Done(NamedTuple):
    """What of a grid is there.

    Attributes:
        results: every run that is done.
        whole: by name of the row, the rows of which no run is missing; others do not compare.
        missing: how many runs belong to rows that are not whole.
    """

    results: list[Result]
    whole: dict[str, list[Result]]
    missing: int


def share_work(
    study: Study,
    rows: Sequence[Row],
    profile: str,
    folder: Path,
    *,
    runs: int,
    part: tuple[int, int] = (1, 1),
    hours: float | None = None,
    console: Console | None = None,
) -> Done:
    """Compute one part of the rows, and read what is there of all of them, whoever computed it.

    Args:
        study: what all rows are trained and tested on.
        rows: of the whole grid, in the order in which they are computed.
        profile: the same for all.
        folder: holds the rows; several processes and machines may share it.
        runs: how many runs a row has.
        part: (2, 3): every third row, from the second.
        hours: no row is begun after so many hours.
        console: where progress is shown.

    Raises:
        ConfigError: there is no such part.
    """
    if not 1 <= part[0] <= part[1]:
        raise ConfigError("there is no such part", where="--part", found=f"{part[0]}/{part[1]}", expected="such as 2/3")
    began = time.monotonic()
    for _ in run_grid(study, rows[part[0] - 1 :: part[1]], profile, folder, console=console):
        if hours is not None and time.monotonic() - began > 3600 * hours:
            break
    there = [result for row in rows if (result := stored(study, row, profile, folder)) is not None]
    whole = {name: done for name, done in by_name(there).items() if len(done) == runs}
    return Done(there, whole, sum(row.name not in whole for row in rows))


def cost_line(done: Done) -> str:
    """How much was computed, and what is missing, for the head of a table."""
    config = done.results[0].config
    minutes = sum(result.minutes for result in done.results)
    size = " x ".join(map(str, config.data.size))
    left = f" {done.missing} runs are still missing; the command goes on with them." if done.missing else ""
    return (
        f"Network {config.model.name} at {size}, {config.optim.length}, the same for every row. "
        f"{len(done.results)} runs took {minutes / 60:.1f} hours of computing.{left} Per cent."
    )
