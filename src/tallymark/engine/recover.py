"""Recover: the masks that were thrown away, for every image of a study whose number was kept."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Float
from rich.console import Console
from rich.progress import track

from tallymark.data.atomic import write_text
from tallymark.data.images import Image, normalise
from tallymark.data.study import Case, Study
from tallymark.data.tables import write_table
from tallymark.engine.blind import trust
from tallymark.engine.config import GrownTerm, RunConfig
from tallymark.engine.cross_fit import FoldRun, plan
from tallymark.engine.estimates import Trust, estimates
from tallymark.engine.evidence import Evidence, Gatherer
from tallymark.engine.growers import grower
from tallymark.engine.known_size import require_sizes
from tallymark.engine.outlines import outlines, scored
from tallymark.engine.pieces import COMPACT, STREWN
from tallymark.engine.predict import Request, numbers_of
from tallymark.engine.pull import CLOSE, USUAL, choose_pulls
from tallymark.engine.reads import known_group_numbers, known_numbers, mark_set
from tallymark.engine.recipes import resolve
from tallymark.engine.recovered import (
    COLUMNS,
    Measured,
    RecoveredFolder,
    group_rows,
    number_rows,
    write_case,
    write_sheets,
)
from tallymark.engine.recovery_check import Check, check_recovered
from tallymark.engine.shared_sizes import SharedSizes
from tallymark.engine.sights import NOTHING, Sight, Sights, sights
from tallymark.engine.task import study_task
from tallymark.errors import ConfigError, StudyError
from tallymark.measure.groups import weight
from tallymark.measure.sizes import SIZING

_Item = TypeVar("_Item")
# Images of known size tell how far networks can be trusted without a mark or a number; so many are enough.
_COMPARED = 48


@dataclass(frozen=True)
class Recovery:
    """The masks that were given back.

    Args:
        folder: where they lie.
        pulls: by structure, what a place in the order of growth weighed, in logits.
        cases: one row a case and structure, the worst first; see :data:`tallymark.engine.recovered.COLUMNS`.
        numbers: one row a case and statistic: measured on the recovered mask, and kept.
        check: against full masks, where that was asked for.
    """

    folder: RecoveredFolder
    pulls: dict[str, float]
    cases: pd.DataFrame
    numbers: pd.DataFrame
    check: Check | None = None

    def summary(self) -> dict[str, Any]:
        """What ``--json`` prints and ``summary.json`` holds."""
        rows = self.cases
        counted = {
            "cases": int(rows["id"].nunique()),
            "to_look_at": int(rows["reasons"].ne("").sum()),
            "number_not_reached": int((~rows["reached"]).sum()),
            "without_number": int((~rows["known"]).sum()),
            "without_marks": int((rows["marked_pixels"] == 0).sum()),
        }
        expected = rows[rows["pixels"] > 0].groupby("structure", sort=False)["expected_iou"].mean()
        return {
            "out": str(self.folder.root),
            **counted,
            "pulls": self.pulls,
            "expected_iou": {str(name): round(float(value), 4) for name, value in expected.items()},
            "check": None if self.check is None else self.check.summary(),
        }


def recover(
    study: Study | Path | str,
    *,
    marks: str | None = None,
    numbers: str | None = None,
    profile: str = "small",
    folds: int = 3,
    seed: int = 0,
    out: Path | str,
    runs: Path | str | None = None,
    pull: float | None = None,
    file: Path | None = None,
    settings: Sequence[str] = (),
    check: bool = False,
    console: Console | None = None,
) -> Recovery:
    """Give back the lost masks of a study: of every image whose number was kept, and of exactly that number.

    Groups of cases are dealt to folds, and each fold is seen by a network that was trained on the others (recipe
    ``grow``), so that no image is outlined by a network that learned from it. Network and growth together rank the
    pixels of the image, and as many of them as the number says are the mask, the marked ones in any case. No full mask
    is read on the way. A second call continues where the first was stopped.

    Args:
        study: the study or its folder.
        marks: the mark set; None: the only one there is. With the setting ``data.marked=0`` no mark is used.
        numbers: the number variant; None: recorded, or the only simulated one.
        profile: of the networks, ``small`` or ``paper``.
        folds: how many parts the study is dealt to, each seen by a network of its own; at least 2.
        seed: of the networks.
        out: where masks, maps and tables go; a new folder, or one that a recovery was written to before.
        runs: holds the run of every fold, under names made of their content; None: ``runs`` in ``out``.
        pull: logits that a place in the order of growth is worth; None: :func:`~tallymark.engine.pull.choose_pulls`.
        file: a TOML file with more settings of the runs.
        settings: ``section.key=value`` strings for the runs.
        check: compare with the full masks of the study afterwards; they are not read otherwise.
        console: where progress is shown; None: nowhere.

    Returns:
        What was recovered, as it lies in ``out``.

    Raises:
        ConfigError: a setting is wrong, or the folder holds something else.
        StudyError: no number tells the size of a structure, no such marks, or more folds than groups.
        StorageError: the disk is full or read-only; what is there is kept, and a second call continues.

    Source: ours. Cross-fitting after Chernozhukov et al. 2018, doi 10.1111/ectj.12097.
    """
    study = study if isinstance(study, Study) else Study.open(Path(study))
    config = resolve("grow", profile, seed=seed, marks=marks, numbers=numbers, file=file, settings=settings)
    # Without marks to learn from there are none to keep to either: what numbers alone give.
    marks = None if config.data.marked == 0 else mark_set(study, config.data.marks)
    config = config.model_copy(update={"data": config.data.model_copy(update={"marks": marks})})
    _check_study(study, config, check=check)
    folder = RecoveredFolder(Path(out))
    k = len(study.structures)
    way = grower(config.losses.grown.model_copy(update={"straight": 0.0}))
    numbers_of_groups = known_group_numbers(study, config)
    shared = SharedSizes(study, kept := known_numbers(study, config), numbers_of_groups)
    gatherer = Gatherer(study, kept, marks, way, folder.growth)
    planned = plan(study, config, folds, Path(runs) if runs is not None else folder.runs)
    asked: dict[str, object] = {
        "study": study.settings.name,
        "marks": marks,
        "numbers": config.data.numbers,
        "folds": folds,
        "seed": seed,
        "profile": profile,
        "settings": [*settings],
    }

    def say(words: str) -> None:
        if console is not None:
            console.print(words, highlight=False, markup=False)

    earlier = folder.begin(asked)
    if earlier.otherwise:
        told = ", ".join(f"{key} {value}" for key, value in earlier.otherwise.items())
        say(f"the masks in {folder.root} are replaced; they were made with other settings: {told}")
    say(f"growing the marks of {len(study.cases)} images")
    for case in _tracked(study.cases, len(study.cases), console):
        gatherer.grown(case)
    seen = sights(study, config, planned, gatherer, folder.close_ups, say, console)
    # What was marked is in one place: networks of close-ups see it.
    close = any(sight.closer is not None for sight in seen.best.values())
    if pull is None:
        say("weighing growth against the networks")
        likenesses = (gatherer.likeness(case) for case in _tracked(study.cases, len(study.cases), console))
        # What has grown and is seen whole all the same lacks the mark or the number of another structure.
        pulls = choose_pulls(likenesses, k, CLOSE if close else USUAL)
    else:
        pulls = np.full(k, float(pull))
    trusted = trust(_compared(study.cases, seen, gatherer), k, config.losses.grown)
    large = COMPACT if close else STREWN
    say("outlining")
    rows, measured, together = [], [], []
    groups = _by_group(study.cases, seen.best, gatherer, shared)
    for group in _tracked(groups, len({case.group for case in study.cases}), console):
        parts = []
        for outlined, own in _outlined(group, pulls, trusted, large, config.losses.grown, gatherer, folder):
            rows += outlined
            measured += number_rows(own, gatherer.numbers, gatherer.task)
            parts.append(own)
        together += group_rows(group[0][2].case.group, parts, numbers_of_groups, gatherer.task)
    cases = _worst_first(pd.DataFrame(rows, columns=list(COLUMNS)))
    of_numbers = pd.DataFrame(measured)
    write_sheets(folder, study, marks, cases)
    write_table(folder.numbers_file, of_numbers)
    if together:
        write_table(folder.group_numbers_file, pd.DataFrame(together))
    write_table(folder.cases_file, cases)
    folder.tidy(earlier)
    compared = check_recovered(study, folder, cases) if check else None
    named = dict(zip(study.structures, pulls.tolist(), strict=True))
    recovery = Recovery(folder, named, cases, of_numbers, compared)
    # Written last: a folder with a summary is complete.
    write_text(folder.summary_file, json.dumps(recovery.summary(), indent=2) + "\n")
    return recovery


def _tracked(items: Iterable[_Item], count: int, console: Console | None) -> Iterable[_Item]:
    if console is None or not console.is_terminal:
        return items
    return track(items, "working", count, console=console, transient=True)


def _compared(cases: Sequence[Case], seen: Sights, gatherer: Gatherer) -> Iterator[Evidence]:
    """What networks of whole images see of some images of known size, where others lack a mark or a number.

    Marked ones, if there are any: they tell both.
    """
    marked, sized, lacking = [], [], False
    for case in cases if seen.whole else ():
        grown = gatherer.grown(case)
        grew = [not np.isnan(order).any() for order in grown.order]
        lacking |= any(not there and share != NOTHING for there, share in zip(grew, grown.shares, strict=True))
        if any(grew):
            marked.append(case)
        elif any(share not in (None, NOTHING) for share in grown.shares):
            sized.append(case)
    told = marked or sized
    if lacking:
        for case in told[:: math.ceil(len(told) / _COMPARED) or 1]:
            yield seen.whole[case.id].evidence(gatherer, case, case.read())


def _by_group(
    cases: Sequence[Case], seen: Mapping[str, Sight], gatherer: Gatherer, shared: SharedSizes
) -> Iterator[list[tuple[FoldRun, Image, Evidence]]]:
    """The cases of one group after the other; only one group is in memory at a time."""
    for _, group in itertools.groupby(sorted(cases, key=lambda case: case.group), key=lambda case: case.group):
        found = []
        for case in group:
            image, sight = case.read(), seen[case.id]
            found.append((sight.run, image, sight.evidence(gatherer, case, image)))
        shares = shared.of([evidence for _, _, evidence in found])
        yield [
            (run, image, gatherer.sized(evidence, own))
            for (run, image, evidence), own in zip(found, shares, strict=True)
        ]


def _outlined(
    group: Sequence[tuple[FoldRun, Image, Evidence]],
    pulls: Float[np.ndarray, " k"],
    trusted: Trust,
    large: float,
    grown: GrownTerm,
    gatherer: Gatherer,
    folder: RecoveredFolder,
) -> Iterator[tuple[list[dict[str, object]], Measured]]:
    """Masks, maps and rows of the cases of a group."""
    task = gatherer.task
    ranked = [
        scored(
            evidence,
            pulls,
            image=normalise(image, task.image_channels, task.window),
            reach=grown.reach,
            trust=grown.trust,
            large=large,
        )
        for _, image, evidence in group
    ]
    for (run, image, evidence), score, masks in zip(group, ranked, outlines(ranked), strict=True):
        judged = estimates(evidence, masks, pulls, grown, trusted)
        rows = write_case(folder, image, evidence, masks, score.score, judged, task)
        case = evidence.case
        named = dict(zip(task.structures, masks, strict=True))
        numbers = numbers_of(Request(case.id, case.image, case.spacing), image, named, task)
        weights = {statistic.name: weight(statistic, named) for statistic in task.statistics}
        yield [row | {"fold": run.fold.number} for row in rows], Measured(case.id, numbers, weights)


def _worst_first(cases: pd.DataFrame) -> pd.DataFrame:
    return cases.sort_values(["expected_iou", "id"], kind="stable", ignore_index=True)


def _check_study(study: Study, config: RunConfig, *, check: bool) -> None:
    """Refuse, before anything is trained, what would fail after it."""
    require_sizes(study_task(study), ratios=True)
    # A length bounds the size of an image's structure, but is not shared out among the images of a group.
    of_group = {each.name for each in study.statistics if each.kind in SIZING}
    sized = of_group | {each.name for each in study.statistics if each.kind == "longest_axis"}
    numbers, of_groups = known_numbers(study, config), known_group_numbers(study, config)
    known = [
        number
        for table, names in ((numbers, sized), (of_groups, of_group))
        for (_, name), number in table.items()
        if name in names
    ]
    if all(math.isnan(end) for number in known for end in (number.value, number.low, number.high)):
        raise StudyError(
            "no image has a number that tells the size of a structure",
            where=study.folder / "statistics.csv",
            found=f"{len(numbers)} numbers of images, {len(of_groups)} of groups",
            expected=f"a number of {' or '.join(sorted(sized))}",
            remedy="add the numbers that were kept, or name another variant with --numbers",
        )
    if config.data.fold is not None:
        raise ConfigError(
            "recover deals the folds itself",
            where="key data.fold",
            found=config.data.fold,
            remedy="say how many with --folds",
        )
    if check and not any(study.truth.has(case.id, name) for case in study.cases for name in study.structures):
        raise StudyError("there is no full mask to check with", where=study.folder / "truth.csv")
