"""From run folders to the content of a report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tallymark.engine.config import RunConfig
from tallymark.engine.config_reading import read_config
from tallymark.errors import ConfigError, ReadError
from tallymark.report.content import Example, Fact, NumberPairs, ReportContent, RunSummary
from tallymark.report.scores import Figures, scores_of

_OF_GROUPS = "_of_groups"


def read_report(
    folders: Sequence[Path],
    *,
    title: str,
    lead: str = "",
    split: str = "test",
    synthetic: bool = False,
    notes: Sequence[str] = (),
    command: str = "",
) -> ReportContent:
    """Read several runs, trained and evaluated, into one report.

    Args:
        folders: run folders; their names become the names of the runs.
        title: heading of the page.
        lead: one or two sentences under it; empty: made from the runs.
        split: which evaluation to show.
        synthetic: whether the images were made by a computer.
        notes: caveats for the reader.
        command: the command that makes the page again.

    Raises:
        ConfigError: no folder was given, or a run's configuration cannot be used.
        ReadError: a file of a run is missing or damaged.
    """
    if not folders:
        raise ConfigError("no run to report on", expected="at least one run folder")
    clash = len({folder.resolve().name for folder in folders}) < len(folders)
    runs = tuple(read_run(folder, split=split, name=str(folder) if clash else None) for folder in folders)
    structures = tuple(dict.fromkeys(structure for run in runs for structure in run.structures))
    facts = [Fact("Evaluated on", f"{max(run.images for run in runs)} images ({split})")]
    facts += [Fact(f"{run.name} learned from", run.learned_from) for run in runs]
    *others, last = (run.name for run in runs)
    names = f"{', '.join(others)} and {last}" if others else last
    return ReportContent(
        title=title,
        lead=lead or f"How well {names} found {' and '.join(structures)} in images that were kept apart from training.",
        runs=runs,
        synthetic=synthetic,
        facts=tuple(facts),
        structures=structures,
        notes=tuple(notes),
        command=command,
    )


def read_run(folder: Path, *, split: str = "test", name: str | None = None) -> RunSummary:
    """Read one run folder: configuration, environment, evaluation, curves and three overlays.

    The overlays are those of the images with the best, the median and the worst IoU (mean over the structures; images
    without any structure have none and are passed over). Without full masks they are those whose number is closest to
    the recorded one, in the middle, and farthest from it.

    Args:
        folder: as training, prediction and evaluation leave it: ``config.toml``, ``environment.json``, ``curves.png``,
            ``evaluation-<split>.json``, ``.csv``, ``-numbers.csv`` and, if there, ``-groups.csv``,
            ``predictions/<split>/overlays/<id>.png``.
        split: which evaluation to read.
        name: of the run in the report; None: the folder's name.

    Raises:
        ConfigError: the configuration cannot be used.
        ReadError: a file is missing or damaged; says which and what to run.
    """
    if not folder.is_dir():
        raise ReadError("no such run folder", where=folder, expected="a folder that training wrote")
    config = read_config(_existing(folder / "config.toml", "train the run"))
    environment = _json(folder / "environment.json", "train the run again")
    remedy = f"run: tallymark evaluate {folder} --split {split}"
    source = folder / f"evaluation-{split}.json"
    evaluation = _json(source, remedy)
    structures = _figures(evaluation, "scores", source, remedy)
    statistics = _figures(evaluation, "numbers", source, remedy)
    tables = [_numbers(folder / f"evaluation-{split}-numbers.csv", "id", remedy)]
    if evaluation.get("groups"):
        of_groups = _figures(evaluation, "groups", source, remedy)
        statistics = {**statistics, **{f"{name}{_OF_GROUPS}": figures for name, figures in of_groups.items()}}
        groups = _numbers(folder / f"evaluation-{split}-groups.csv", "group", remedy)
        tables.append(groups.assign(statistic=groups["statistic"] + _OF_GROUPS))
    cases = _table(folder / f"evaluation-{split}.csv", ("id", "structure"), ("iou", "true_pixels"), remedy)
    return RunSummary(
        name=name or folder.resolve().name,
        recipe=config.recipe,
        seed=config.seed,
        mask_free=not config.reads_masks,
        learned_from=_learned_from(config),
        structures=tuple(structures),
        images=cases["id"].nunique(),
        scores=scores_of(structures, statistics, where=source),
        curves_png=_existing(folder / "curves.png", "train the run again"),
        examples=tuple(_examples(_ranked(cases, tables[0]), tables[0], folder / "predictions" / split, remedy)),
        settings=config.model_dump(mode="json", exclude_none=True) | {"evaluation": evaluation.get("policy", {})},
        environment=environment,
        numbers=tuple(_pairs(rows) for table in tables for _, rows in table.groupby("statistic", sort=False)),
    )


def _numbers(path: Path, key: str, remedy: str) -> pd.DataFrame:
    return _table(path, (key, "statistic", "unit"), ("predicted", "recorded"), remedy)


def _learned_from(config: RunConfig) -> str:
    sources = {"numbers": config.reads_numbers, "marks": config.reads_marks, "full masks": config.reads_masks}
    return " and ".join(name for name, is_read in sources.items() if is_read) or "images alone"


def _pairs(rows: pd.DataFrame) -> NumberPairs:
    name, unit = rows["statistic"].iloc[0], rows["unit"].iloc[0]
    return NumberPairs(
        rows["predicted"].to_numpy(np.float64), rows["recorded"].to_numpy(np.float64), name.replace("_", " "), unit
    )


def _ranked(cases: pd.DataFrame, numbers: pd.DataFrame) -> dict[str, str]:
    """Cases to show and what to say of them: by their overlap, or without full masks by how far their number is off."""
    if cases["true_pixels"].notna().any():
        # An image that has none of the structure scores 0 or 1 by convention: neither the best nor the worst case.
        by_case = cases[cases["true_pixels"] > 0].groupby("id")["iou"].mean().dropna()
        order = by_case.sort_values(ascending=False, kind="stable")
        words = ("best, IoU {:.3f}", "median, IoU {:.3f}", "worst, IoU {:.3f}")
    else:
        # Numbers of different units do not add up: the first statistic ranks.
        of_first = numbers[numbers["statistic"] == numbers["statistic"].iloc[0]].set_index("id")
        order = (of_first["predicted"] - of_first["recorded"]).abs().dropna().sort_values(kind="stable")
        words = ("number closest", "number in the middle", "number farthest off")
    shown: dict[str, str] = {}
    for word, place in zip(words, (0, len(order) // 2, len(order) - 1), strict=True):
        if len(order) and str(order.index[place]) not in shown:  # fewer than three images: each once
            shown[str(order.index[place])] = word.format(order.iloc[place])
    return shown


def _examples(ranked: Mapping[str, str], numbers: pd.DataFrame, folder: Path, remedy: str) -> Iterator[Example]:
    for case, word in ranked.items():
        lines = [word]
        rows = numbers[numbers["id"] == case]
        for statistic, predicted, recorded in zip(rows["statistic"], rows["predicted"], rows["recorded"], strict=True):
            owner = f"{statistic.replace('_', ' ')}: " if len(rows) > 1 else ""
            kept = "none recorded" if math.isnan(recorded) else f"recorded {recorded:.3g}"
            lines.append(f"{owner}predicted {predicted:.3g}, {kept}")
        yield Example(case, _existing(folder / "overlays" / f"{case}.png", remedy), "\n".join(lines))


def _figures(evaluation: Mapping[str, Any], key: str, path: Path, remedy: str) -> Mapping[str, Figures]:
    figures = evaluation.get(key)
    if not isinstance(figures, dict) or not all(isinstance(each, dict) for each in figures.values()) or not figures:
        raise ReadError("nothing to report", where=f"{path}, key {key}", expected="scores by name", remedy=remedy)
    return figures


def _table(path: Path, texts: Sequence[str], numbers: Sequence[str], remedy: str) -> pd.DataFrame:
    _existing(path, remedy)
    try:
        # As text first: an id may be 007 or NA.
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        missing = [column for column in (*texts, *numbers) if column not in table]
        if missing:
            found, expected = ", ".join(map(str, table.columns)), ", ".join(missing)
            raise ReadError("columns are missing", where=path, found=found, expected=expected, remedy=remedy)
        for column in numbers:
            table[column] = [float(text or "nan") for text in table[column]]
    except (OSError, ValueError) as error:
        raise ReadError("not a table of an evaluation", where=path, found=str(error), remedy=remedy) from error
    if table.empty:
        raise ReadError("no image was evaluated", where=path, remedy=remedy)
    return table


def _json(path: Path, remedy: str) -> Mapping[str, Any]:
    try:
        content = json.loads(_existing(path, remedy).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReadError("not a JSON file", where=path, found=str(error), remedy=remedy) from error
    if not isinstance(content, dict):
        raise ReadError("not a JSON object", where=path, found=type(content).__name__, remedy=remedy)
    return content


def _existing(path: Path, remedy: str) -> Path:
    if not path.is_file():
        raise ReadError("no such file", where=path, remedy=remedy)
    return path
