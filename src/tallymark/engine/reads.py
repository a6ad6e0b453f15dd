"""What a run reads of a study: which marks, which full masks and which numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from tallymark.data.study import RECORDED, Case, Number, Study
from tallymark.datasets.seeds import named_rng
from tallymark.engine.config import RunConfig
from tallymark.errors import StudyError


def marks_to_read(study: Study, config: RunConfig) -> str | None:
    """The mark set of a run; None where it learns from no mark (``data.marked`` is 0) and which is meant is not clear.

    Raises:
        StudyError: as :func:`mark_set`.
    """
    if config.data.marked == 0 and config.data.marks is None and len(study.marks.sets()) != 1:
        return None
    return mark_set(study, config.data.marks)


def mark_set(study: Study, name: str | None) -> str:
    """The mark set of this name, or the only one there is.

    Raises:
        StudyError: no such set, none at all, or several and none named.
    """
    there = list(study.marks.sets())
    if name is None and len(there) == 1:
        return there[0]
    if name is None or name not in there:
        raise StudyError(
            "which mark set?" if name is None else f"no mark set '{name}'",
            where=study.folder,
            found=", ".join(there) or "no marks",
            remedy=f"name one with --marks, or make one: {', or '.join(_ways_to_marks(study))}; "
            "with --set data.marked=0 the recipe grow learns from numbers alone",
        )
    return name


def _ways_to_marks(study: Study) -> list[str]:
    """How a study comes to marks; full masks are weakened only where there are any."""
    ways = ["by hand, 'tallymark mark STUDY'", "from another tool, 'tallymark import marks STUDY FOLDER --as NAME'"]
    if study.has_truth:
        ways.append("of full masks, 'tallymark weaken STUDY --marks erosion:8% --as e8'")
    return ways


def masked(study: Study, cases: Sequence[Case], share: float | None) -> Bool[np.ndarray, " n"]:
    """Which cases' full masks are read: a share of them, drawn by name alone, as far as they have masks.

    Args:
        study: with full masks.
        cases: to choose from.
        share: of the cases, in (0, 1], rounded up; None: every case, and each must have its masks. What a smaller
            share reads, a larger one reads as well.

    Returns:
        True where the masks of all structures are read, one a case.

    Raises:
        StudyError: none of the share has them.
    """
    if share is None:
        return np.ones(len(cases), dtype=bool)
    whole = [all(study.truth.has(case.id, name) for name in study.structures) for case in cases]
    chosen: Bool[np.ndarray, " n"] = drawn(cases, share) & np.asarray(whole)
    if not chosen.any():
        raise StudyError(
            "no training case of the chosen share has a full mask of every structure",
            where=f"{study.folder}, key data.masks",
            found=f"{sum(whole)} with masks among {len(cases)} cases, a share of {share:g} of them chosen",
            remedy="raise data.masks, add rows to truth.csv, or leave data.masks out to learn without masks",
        )
    return chosen


def drawn(cases: Sequence[Case], share: float) -> Bool[np.ndarray, " n"]:
    """A share of the cases, rounded up, drawn by their names alone.

    Shares of masks, marks and numbers are drawn alike: a smaller one lies inside of a larger one, and 10 % of the masks
    are of the same images as 10 % of the marks.
    """
    order = np.argsort([named_rng(case.id, "full mask").random() for case in cases])
    chosen = np.zeros(len(cases), dtype=bool)
    # Shares are written with a few digits: 0.0483871 of 310 is 15, not 16.
    chosen[order[: math.ceil(round(share * len(cases), 3))]] = True
    return chosen


def known_numbers(study: Study, config: RunConfig) -> dict[tuple[str, str], Number]:
    """The numbers that a run learns from, or is scored by, by case id and statistic.

    A run that learns from numbers must know which; one that does not goes without where it is not clear.

    Raises:
        StudyError: the run learns from numbers, and there are none, or several variants and none is named.
    """
    return study.numbers(config.data.numbers) if _numbers_are_clear(study, config) else {}


def known_group_numbers(study: Study, config: RunConfig) -> dict[tuple[str, str], Number]:
    """The numbers of groups that a run learns from, or is scored by, by group and statistic.

    Raises:
        StudyError: as :func:`known_numbers`.
    """
    return study.group_numbers(config.data.numbers) if _numbers_are_clear(study, config) else {}


def _numbers_are_clear(study: Study, config: RunConfig) -> bool:
    variants = study.number_variants()
    return config.data.numbers is not None or RECORDED in variants or len(variants) == 1 or config.reads_numbers
