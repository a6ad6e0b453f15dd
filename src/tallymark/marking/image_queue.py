"""What each person has before them next: to mark, or to review."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tallymark.data.annotations import Progress
from tallymark.data.study import Case
from tallymark.marking.desk import Desk
from tallymark.marking.likeness import Likeness, thumbnail_of
from tallymark.marking.next_image import Ranked, Suggestion, finished, suggestions, unmarked
from tallymark.marking.review import to_review
from tallymark.marking.settings import case_key
from tallymark.marking.team import Team, in_overlap
from tallymark.marking.workers import Runner


class ImageQueue:
    """The order in which the images of a study come up.

    Args:
        desk: the study while it is marked.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        predictions = desk.predictions
        self._rankings = [
            _ranked((case.id, predictions.disagreement(case, desk.kept.of(case))) for case in desk.cases),
            _ranked((case.id, predictions.doubt(case)) for case in desk.cases),
        ]
        self._likeness: Likeness | None = None

    def compare(self, runner: Runner) -> Likeness:
        """Begin to look, in the background, which images are far from the marked ones."""
        self._likeness = Likeness(self._desk.cases, lambda case: runner.run(thumbnail_of, case))
        return self._likeness

    def close(self) -> None:
        """Look no further."""
        if self._likeness is not None:
            self._likeness.close()

    def to_mark(self, user: str, count: int, without: Sequence[str]) -> dict[str, Any]:
        """The next images to mark, with the reason, and how far the user is.

        Args:
            user: who asks; images of a team are lent to the user for a while.
            count: how many at most.
            without: keys of images that the user has before them.
        """
        desk, team = self._desk, self._desk.team
        progress = desk.board.progress()
        cases = desk.cases if team is None else self._free(team, user, progress)
        marked = [name for name, done in progress.items() if any(done.marks.values())]
        far: Ranked = []
        if self._likeness is not None:
            far = self._likeness.farthest(unmarked(cases, progress, user), marked, 2 * count)
        waiting = suggestions(cases, progress, user, [*self._rankings, far], without=desk.ids(without))[:count]
        if team is not None:
            team.lease(desk.settings.mark_set, [s.case.id for s in waiting if not self._shared(s.case)], user)
        done = sum(finished(progress.get(case.id), user) for case in desk.cases)
        return _told(waiting, done, len(cases), progress, user)

    def to_review(self, user: str, count: int, without: Sequence[str]) -> dict[str, Any]:
        """The same of what others are through with and nobody has judged."""
        desk = self._desk
        progress = desk.board.progress()
        waiting, before = to_review(desk.cases, progress, user), desk.ids(without)
        following = [suggestion for suggestion in waiting if suggestion.case.id not in before][:count]
        return _told(following, len(desk.cases) - len(waiting), len(desk.cases), progress, user)

    def _shared(self, case: Case) -> bool:
        return in_overlap(case.id, self._desk.settings.overlap)

    def _free(self, team: Team, user: str, progress: Mapping[str, Progress]) -> list[Case]:
        """Images that everybody marks, and those that nobody else has finished or has before them now."""
        taken = team.leased(self._desk.settings.mark_set, user)
        free = []
        for case in self._desk.cases:
            others = progress.get(case.id, Progress()).visits
            done = any(finished(progress[case.id], name) for name in others if name != user)
            if self._shared(case) or finished(progress.get(case.id), user) or not (done or case.id in taken):
                free.append(case)
        return free


def _told(
    waiting: Sequence[Suggestion], done: int, everything: int, progress: Mapping[str, Progress], user: str
) -> dict[str, Any]:
    visits = [p.visits[user] for p in progress.values() if user in p.visits]
    seconds = [visit.seconds for visit in visits if visit.outcome == "done"]
    return {
        "next": [{"key": case_key(s.case), "reason": s.reason} for s in waiting],
        "done": done,
        "all": everything,
        "seconds": round(statistics.median(seconds), 1) if seconds else None,
    }


def _ranked(scored: Iterable[tuple[str, tuple[float, str] | None]]) -> Ranked:
    """Those that have a score, the highest first."""
    known = [(name, *found) for name, found in scored if found is not None]
    return [(name, why) for name, _, why in sorted(known, key=lambda entry: -entry[1])]
