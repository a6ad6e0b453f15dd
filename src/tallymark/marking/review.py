"""For reviewers: what everyone marked on an image, how everyone gets on, and how well they agree."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from tallymark.data.annotations import Progress
from tallymark.data.study import Case
from tallymark.marking.agreement import agreement
from tallymark.marking.desk import Desk
from tallymark.marking.growing import grow_marks
from tallymark.marking.next_image import Suggestion, finished

_COMPARED = 100  # images on which agreement is measured


def to_review(cases: Iterable[Case], progress: Mapping[str, Progress], user: str) -> list[Suggestion]:
    """The images on which somebody else is through and nobody has judged it, in the order of the study.

    Example:
        >>> from pathlib import Path
        >>> from tallymark.data.annotations import Visit
        >>> progress = {"a": Progress({}, {"ann": Visit("done", 2.0)}), "b": Progress({}, {"ann": Visit("skip", 2.0)})}
        >>> [(s.case.id, s.reason) for s in to_review([Case("a", Path("a")), Case("b", Path("b"))], progress, "eve")]
        [('a', 'to be reviewed: ann')]
    """
    found = []
    for case in cases:
        done = progress.get(case.id, Progress())
        names = [name for name in done.visits if name != user and finished(done, name) and name not in done.verdicts]
        if names:
            found.append(Suggestion(case, f"to be reviewed: {', '.join(sorted(names))}"))
    return found


def layers(desk: Desk, case: Case, user: str) -> list[dict[str, Any]]:
    """The marks of everyone else on an image, with what they said of it and what was said of them."""
    progress = desk.board.progress().get(case.id, Progress())
    names = sorted({*progress.marks, *progress.visits} - {user})
    found = []
    for name in names:
        visit, judged = progress.visits.get(name), progress.verdicts.get(name)
        found.append(
            {
                "author": name,
                "marks": desk.marks_of(case, name),
                "outcome": None if visit is None else visit.outcome,
                "reason": "" if visit is None else visit.reason,
                "seconds": None if visit is None else round(visit.seconds, 1),
                "verdict": None if judged is None else {**asdict(judged[0]), "by": judged[1]},
            }
        )
    return found


def everybody(desk: Desk) -> dict[str, Any]:
    """How far and how quick every annotator is, and how well annotators agree on the images that they share."""
    progress = desk.board.progress()
    people = []
    for name in sorted({name for p in progress.values() for name in (*p.marks, *p.visits)}):
        visits = [p.visits[name] for p in progress.values() if name in p.visits]
        seconds = [visit.seconds for visit in visits if visit.outcome == "done"]
        verdicts = [p.verdicts[name][0].outcome for p in progress.values() if name in p.verdicts]
        people.append(
            {
                "name": name,
                "done": sum(finished(p, name) for p in progress.values()),
                "unsure": sum(visit.outcome == "unsure" for visit in visits),
                "accepted": verdicts.count("accepted"),
                "returned": verdicts.count("returned"),
                "seconds": round(statistics.median(seconds), 1) if seconds else None,
            }
        )
    shared = [case for case in desk.cases if len(progress.get(case.id, Progress()).marks) > 1]
    grown = [_grown(desk, case, progress[case.id].marks) for case in shared[:_COMPARED]]
    return {"people": people, "images": len(desk.cases), "agreement": agreement(grown)}


def _grown(desk: Desk, case: Case, authors: Iterable[str]) -> list[dict[str, np.ndarray]]:
    """The grown marks of several annotators on one image."""
    frame = desk.frames.get(case)
    areas, structures = desk.kept.areas(case, frame.space, frame.spacing), desk.study.structures
    marks = (desk.annotator(name).labels(case.id) for name in authors)
    return [grow_marks(frame, own, areas, structures, desk.runner.run, desk.study.wholes)[0] for own in marks]
