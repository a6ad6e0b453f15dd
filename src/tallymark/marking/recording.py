"""What happened on the page becomes rows on the disk: each event judged by itself, all in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np
from pydantic import TypeAdapter, ValidationError

from tallymark.data.annotations import Verdict, Visit
from tallymark.data.marks import EXCLUDED
from tallymark.data.strokes import Stroke
from tallymark.errors import StudyError, TallymarkError
from tallymark.marking.desk import Desk
from tallymark.marking.team import REVIEWERS
from tallymark.marking.wire import Adopted, AnyEvent, Drawn, Judged, NothingHere, TakenBack, Visited

_EVENT: TypeAdapter[Any] = TypeAdapter(AnyEvent)

Write = Callable[[], None]


class Recorder:
    """Stores events.

    Args:
        desk: of the study that is marked.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def store(self, raw: Sequence[Mapping[str, Any]], user: str, role: str) -> dict[str, Any]:
        """Store events in one transaction; when this returns, all that it calls saved is on the disk.

        Args:
            raw: as they came from the page.
            user: whose they are.
            role: of the user.

        Returns:
            Ids of what was saved, and id and reason of what was refused for good.

        Raises:
            StorageError: nothing was stored; the page keeps it and tries again.
        """
        writes: list[tuple[str, Write]] = []
        refused: list[dict[str, str]] = []
        for item in raw:
            try:
                event = _EVENT.validate_python(dict(item), strict=False)
                writes.append((str(event.id), self._prepared(event, user, role)))
            except (ValidationError, TallymarkError) as error:
                refused.append({"id": _uuid(item.get("id")), "reason": _short(error)})

        def write_all() -> tuple[list[str], list[dict[str, str]]]:
            saved, wrong = [], []
            for uuid, write in writes:
                try:
                    write()
                    saved.append(uuid)
                except StudyError as error:
                    wrong.append({"id": uuid, "reason": _short(error)})
            return saved, wrong

        saved, wrong = self._desk.committer.run(write_all) if writes else ([], [])
        return {"saved": saved, "refused": refused + wrong}

    def _prepared(self, event: Any, user: str, role: str) -> Write:
        """What is to be done in the transaction; all that takes long is done before."""
        desk, uuid = self._desk, str(event.id)
        case, own = desk.case(event.case), desk.annotator(user)
        match event:
            case Drawn():
                stroke, structure = self._stroke(event), self._structure(event.structure)
                if event.kind == "diameter":
                    return lambda: own.measure(case.id, structure, stroke, uuid)
                return lambda: own.draw(case.id, structure if event.kind == "stroke" else None, stroke, uuid)
            case NothingHere():
                space = desk.frames.get(case).space
                return lambda: own.nothing_here(case.id, space, uuid)
            case Adopted():
                mask = desk.predicted(case, user).get(structure := self._structure(event.structure))
                if mask is None:
                    raise StudyError("the model says nothing of this structure", found=structure)
                return lambda: own.adopt(case.id, structure, mask, uuid)
            case TakenBack():
                take = own.retract if event.kind == "retract" else own.restore
                return lambda: take(case.id, str(event.target), uuid)
            case Judged():
                if role not in REVIEWERS:
                    raise StudyError("this is for reviewers")
                verdict = Verdict(event.of, event.outcome, event.reason)
                return lambda: desk.judge(case, verdict, user, uuid)
            case Visited():
                visit = Visit(event.outcome, event.seconds, event.reason, event.model, event.judgement, event.warned)
                return lambda: own.visit(case.id, visit, uuid)
        raise AssertionError(event)

    def _stroke(self, event: Drawn) -> Stroke:
        frame = self._desk.frames.get(self._desk.case(event.case))
        plane = event.plane if len(frame.space) == 3 else None
        stroke = Stroke(np.array(event.points), event.width, frame.space, plane, event.filled)
        if event.kind != "diameter" and not stroke.touches():
            raise StudyError("the stroke lies outside of the image")
        return stroke

    def _structure(self, number: int) -> str:
        names = (*self._desk.study.structures, EXCLUDED)
        if number >= len(names):
            raise StudyError("no such structure", found=number, expected=f"0 to {len(names) - 1}")
        return names[number]


def _uuid(value: object) -> str:
    """An id as the page gave it, or "" where it is none: what came is not repeated unseen."""
    try:
        return str(UUID(str(value)))
    except ValueError:
        return ""


def _short(error: ValidationError | TallymarkError) -> str:
    """Why an event was refused, without repeating what came."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"[:200]
    return error.what[:200]
