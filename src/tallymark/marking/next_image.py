"""Which image to mark next, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tallymark.data.annotations import Progress
from tallymark.data.study import Case

Ranked = Sequence[tuple[str, str]]
"""Ids of cases, the most telling first, each with the reason in words for the reader."""


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
    """Whether an author is through with an image: left it as done, or cannot tell, and it was not sent back."""
    visit = None if progress is None else progress.visits.get(author)
    return visit is not None and visit.outcome in ("done", "unsure") and not sent_back(progress, author)


def sent_back(progress: Progress | None, author: str) -> str:
    """By whom, and why, an image was sent back to an author; empty if it was not."""
    judged = None if progress is None else progress.verdicts.get(author)
    if judged is None or judged[0].outcome != "returned":
        return ""
    return f"sent back by {judged[1]}" + (f": {judged[0].reason}" if judged[0].reason else "")


def unmarked(cases: Iterable[Case], progress: Mapping[str, Progress], author: str) -> list[str]:
    """Ids of the images that nobody has marked, and that the author has neither finished nor skipped."""
    found = []
    for case in cases:
        done = progress.get(case.id, Progress())
        if not any(done.marks.values()) and author not in done.visits:
            found.append(case.id)
    return found


def take_turns(ids: Sequence[str], rankings: Sequence[Ranked]) -> list[tuple[str, str]]:
    """One order from several: each ranking in turn names its next image; what no ranking names comes last.

    Scores of different kinds cannot be compared, and a single kind would fill the queue with images that are alike.

    Args:
        ids: of all images, in the order of the study.
        rankings: the most important first.

    Returns:
        Every id once, with all reasons that the rankings give for it, that of whose turn it was first.

    Example:
        >>> take_turns(["a", "b", "c", "d"], [[("c", "odd"), ("b", "odd")], [("c", "unsure"), ("d", "unsure")]])
        [('c', 'odd; unsure'), ('d', 'unsure'), ('b', 'odd'), ('a', 'unmarked')]
    """
    wanted, words = frozenset(ids), [dict(ranking) for ranking in rankings]
    waiting = [[entry for entry in ranking if entry[0] in wanted] for ranking in rankings]
    order: dict[str, str] = {}
    while any(waiting):
        for own, ranking in enumerate(waiting):
            while ranking and ranking[0][0] in order:
                ranking.pop(0)
            if ranking:
                name, why = ranking.pop(0)
                others = [other[name] for k, other in enumerate(words) if k != own and name in other]
                order[name] = "; ".join([why, *others])
    return [*order.items(), *((name, "unmarked") for name in ids if name not in order)]


def suggestions(
    cases: Sequence[Case],
    progress: Mapping[str, Progress],
    author: str,
    rankings: Sequence[Ranked] = (),
    *,
    without: Collection[str] = (),
) -> list[Suggestion]:
    """The images that an author has still to mark.

    Args:
        cases: that are to be marked, in the order of the study.
        progress: what is marked so far.
        author: who asks.
        rankings: of the unmarked ones by how much each would teach; see :func:`take_turns`.
        without: ids of images that the author has before them.

    Returns:
        First what was sent back, then what the author began, then what nobody marked, then what others marked, last
        what the author skipped.

    Example:
        >>> from pathlib import Path
        >>> cases = [Case("a", Path("a.png")), Case("b", Path("b.png"))]
        >>> [(s.case.id, s.reason) for s in suggestions(cases, {}, "reader", [[("b", "number disagrees")]])]
        [('b', 'number disagrees'), ('a', 'unmarked')]
    """
    by_id = {case.id: case for case in cases}
    stages: list[list[tuple[str, str]]] = [[], [], [], []]
    for case in cases:
        done = progress.get(case.id, Progress())
        if case.id in without or finished(done, author):
            continue
        visit = done.visits.get(author)
        if returned := sent_back(done, author):
            stages[0].append((case.id, returned))
        elif visit is not None and visit.outcome == "skip":
            stages[3].append((case.id, "skipped before"))
        elif done.marks.get(author):
            stages[1].append((case.id, "begun, not finished"))
        elif done.marks:
            stages[2].append((case.id, "marked by someone else"))
    fresh = [name for name in unmarked(cases, progress, author) if name not in without]
    order = [*stages[0], *stages[1], *take_turns(fresh, rankings), *stages[2], *stages[3]]
    return [Suggestion(by_id[name], reason) for name, reason in order]
