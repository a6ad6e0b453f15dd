"""Which image to mark next, and why."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tallymark.data.annotations import Progress
from tallymark.data.study import Case


@dataclass(frozen=True)
class Suggestion:
    """An image to mark.

    Args:
        case: the image.
        reason: why it, in words for the reader.
    """

    case: Case
    reason: str


def finished(progress: Progress | None, author: str) -> bool:
    """Whether an author is through with an image: left it as done, or cannot tell."""
    visit = None if progress is None else progress.visits.get(author)
    return visit is not None and visit.outcome in ("done", "unsure")


def suggestions(
    cases: Sequence[Case],
    progress: Mapping[str, Progress],
    author: str,
    reasons: Mapping[str, tuple[float, str]] | None = None,
    *,
    without: Collection[str] = (),
) -> list[Suggestion]:
    """The images that an author has still to mark.

    Args:
        cases: that are to be marked, in the order of the study.
        progress: what is marked so far.
        author: who asks.
        reasons: by case id, how much an image would teach (any scale) and why. Images with a reason come first, the
            most telling at the front.
        without: ids of images that the author has before them.

    Returns:
        First what the author began, then what nobody marked, then what others marked, last what the author skipped.

    Example:
        >>> from pathlib import Path
        >>> cases = [Case("a", Path("a.png")), Case("b", Path("b.png"))]
        >>> [(s.case.id, s.reason) for s in suggestions(cases, {}, "reader", {"b": (0.5, "number disagrees")})]
        [('b', 'number disagrees'), ('a', 'unmarked')]
    """
    order = []
    for position, case in enumerate(cases):
        done = progress.get(case.id)
        if case.id in without or finished(done, author):
            continue
        score, why = (reasons or {}).get(case.id, (-math.inf, "unmarked"))
        stage, reason = 1, why
        if done is not None:
            visit = done.visits.get(author)
            if visit is not None and visit.outcome == "skip":
                stage, reason = 3, "skipped before"
            elif done.marks.get(author):
                stage, reason = 0, "begun, not finished"
            elif done.marks:
                stage, reason = 2, "marked by someone else"
        order.append(((stage, -score, position), Suggestion(case, reason)))
    return [suggestion for _, suggestion in sorted(order, key=lambda entry: entry[0])]
