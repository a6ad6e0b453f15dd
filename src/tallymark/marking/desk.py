"""The work itself, without a word about HTTP: images out, marks in, what to mark next."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

import numpy as np
from pydantic import TypeAdapter, ValidationError

from tallymark.data.annotations import Annotator, Entry, Progress, Visit
from tallymark.data.marks import EXCLUDED, MarkStore
from tallymark.data.strokes import Stroke, encode_runs
from tallymark.data.study import Case, Study
from tallymark.errors import StudyError, TallymarkError
from tallymark.marking.agreement import agreement
from tallymark.marking.committer import Committer
from tallymark.marking.frames import Frame, Frames
from tallymark.marking.growing import grow_marks, shown
from tallymark.marking.kept import KeptNumbers
from tallymark.marking.next_image import finished, suggestions
from tallymark.marking.predicted import Predictions, blind
from tallymark.marking.settings import MarkingSettings, case_key
from tallymark.marking.team import Team, in_overlap
from tallymark.marking.wire import AnyEvent, Drawn, NothingHere, TakenBack, Visited
from tallymark.pictures.palette import EXCLUSION, colour_hex, structure_colour

_COMPARED = 100  # images on which agreement is measured

_EVENT: TypeAdapter[Drawn | NothingHere | TakenBack | Visited] = TypeAdapter(AnyEvent)


class Desk:
    """A study while it is marked.

    Args:
        study: the study.
        settings: how it is marked.
        team: whose accounts are asked; None: one person marks.

    Raises:
        StudyError: no image is in the splits that are to be marked, the set holds simulated marks, or no such variant
            of the numbers.
    """

    def __init__(self, study: Study, settings: MarkingSettings, team: Team | None = None) -> None:
        self.study = study
        self.team = team
        self.settings = settings
        self.frames = Frames(study)
        self.kept = KeptNumbers(study, settings.variant)
        self.cases = tuple(case for split in settings.splits for case in study.split(split))
        # Strokes that wait in a browser may be of images that are no longer asked for.
        self._by_key = {case_key(case): case for case in study.cases}
        if not self.cases:
            raise StudyError(
                "no image is to be marked", where=study.folder, found=f"no case of {', '.join(settings.splits)}"
            )
        found = study.marks.sets().get(settings.mark_set)
        if found is not None and found.origin != "real":
            raise StudyError(
                f"the mark set '{settings.mark_set}' holds simulated marks",
                where=study.marks.path,
                remedy="choose another name with --marks",
            )
        self.store: MarkStore = study.marks
        self.predictions = Predictions(study, settings.run)
        reasons = ((case.id, self.predictions.reason(case, self.kept.of(case))) for case in self.cases)
        self._reasons = {name: reason for name, reason in reasons if reason is not None}
        self.committer = Committer(self.store)

    def case(self, key: str) -> Case:
        """The case of a key.

        Raises:
            StudyError: no image of the study has it.
        """
        if key not in self._by_key:
            raise StudyError("no such image")
        return self._by_key[key]

    def annotator(self, user: str) -> Annotator:
        """The layer of a user."""
        return Annotator(self.store, self.settings.mark_set, user)

    def overview(self) -> dict[str, Any]:
        """What the page needs once: structures, their colours and how marking goes."""
        structures = [
            {"name": name, "colour": colour_hex(structure_colour(k))} for k, name in enumerate(self.study.structures)
        ]
        return {
            "study": self.study.settings.name,
            "place": hashlib.sha256(f"{self.study.folder.resolve()}/{self.settings.mark_set}".encode()).hexdigest()[
                :16
            ],
            "structures": structures,
            "exclusion": {"name": "none of these", "colour": colour_hex(EXCLUSION)},
            "filled": self.settings.filled,
        }

    def open(self, key: str, user: str) -> dict[str, Any]:
        """All about an image but its samples.

        Raises:
            StudyError: no such image.
            ReadError: it cannot be read.
        """
        case = self.case(key)
        frame = self.frames.get(case)
        planes, rows, columns, channels = frame.samples.shape
        entries = self.annotator(user).history(case.id)
        return {
            "key": key,
            "id": case.id,
            "planes": planes,
            "rows": rows,
            "columns": columns,
            "channels": channels,
            "type": frame.samples.dtype.str.lstrip("<|"),
            "window": frame.window,
            "range": frame.range,
            "spacing": frame.spacing,
            "numbers": [str(kept) for kept in self.kept.of(case)],
            "sized": sorted(self.kept.areas(case, frame.space, frame.spacing)),
            "model": self._model(case, user),
            "marks": [self._entry(entry, frame) for entry in entries],
        }

    def grown(self, key: str, plane: int, user: str) -> dict[str, Any]:
        """The own marks of an image grown to the kept numbers, as outlines on a plane.

        Raises:
            StudyError: no such image.
        """
        case = self.case(key)
        frame = self.frames.get(case)
        areas = self.kept.areas(case, frame.space, frame.spacing)
        masks, warnings = grow_marks(frame, self.annotator(user).labels(case.id), areas, self.study.structures)
        numbers = "; ".join(str(kept) for kept in self.kept.of(case))
        return {
            "outlines": shown(masks, self.study.structures, frame.space, plane),
            "notes": [f"grown to {numbers}"] if masks else [],
            "warnings": warnings,
        }

    def model(self, key: str, plane: int, user: str) -> dict[str, Any]:
        """What the model says of an image, once the user has marked it and unless it stays hidden on purpose.

        Raises:
            StudyError: no such image, nothing marked yet, or hidden.
        """
        case = self.case(key)
        if self._model(case, user) != "there":
            raise StudyError("there is no outline to be shown")
        if not any(entry.kind in ("stroke", "nothing") for entry in self.annotator(user).history(case.id)):
            raise StudyError("the outline comes after the first stroke")
        masks = self.predictions.masks(case)
        space = self.frames.get(case).space
        return {"outlines": shown(masks, self.study.structures, space, plane), "notes": [], "warnings": []}

    def store_events(self, raw: Sequence[Mapping[str, Any]], user: str) -> dict[str, Any]:
        """Store events in one transaction; when this returns, all that it calls saved is on the disk.

        Args:
            raw: as they came from the page.
            user: whose they are.

        Returns:
            Ids of what was saved, and id and reason of what was refused for good.

        Raises:
            StorageError: nothing was stored; the page keeps it and tries again.
        """
        events: list[Any] = []
        refused: list[dict[str, str]] = []
        for item in raw:
            try:
                event = _EVENT.validate_python(dict(item), strict=False)
                events.append((event, self._stroke(event) if isinstance(event, Drawn) else None))
            except (ValidationError, TallymarkError) as error:
                refused.append({"id": _uuid(item.get("id")), "reason": _short(error)})
        saved: list[str] = []

        def write() -> tuple[list[str], list[dict[str, str]]]:
            done, wrong = [], []
            for event, stroke in events:
                try:
                    self._write(event, stroke, user)
                    done.append(str(event.id))
                except StudyError as error:
                    wrong.append({"id": str(event.id), "reason": _short(error)})
            return done, wrong

        if events:
            saved, wrong = self.committer.run(write)
            refused += wrong
        return {"saved": saved, "refused": refused}

    def next(self, user: str, count: int, without: Sequence[str]) -> dict[str, Any]:
        """The next images to mark, with the reason, and how far the user is."""
        progress = self.annotator(user).progress()
        before = {self._by_key[key].id for key in without if key in self._by_key}
        cases = self.cases if self.team is None else self._free(self.team, user, progress)
        following = suggestions(cases, progress, user, self._reasons, without=before)[:count]
        if self.team is not None:
            self.team.lease(self.settings.mark_set, [s.case.id for s in following if not self._shared(s.case)], user)
        visits = [p.visits[user] for case in self.cases if (p := progress.get(case.id)) and user in p.visits]
        seconds = [visit.seconds for visit in visits if visit.outcome == "done"]
        return {
            "next": [{"key": case_key(s.case), "reason": s.reason} for s in following],
            "done": sum(finished(progress.get(case.id), user) for case in self.cases),
            "all": len(self.cases) if self.team is None else len({case.id for case in cases}),
            "seconds": round(statistics.median(seconds), 1) if seconds else None,
        }

    def everybody(self) -> dict[str, Any]:
        """How far and how quick every annotator is, and how well annotators agree on the images that they share."""
        progress = self.annotator("").progress()
        authors = sorted({name for p in progress.values() for name in (*p.marks, *p.visits)})
        people = []
        for name in authors:
            visits = [p.visits[name] for p in progress.values() if name in p.visits]
            seconds = [visit.seconds for visit in visits if visit.outcome == "done"]
            people.append(
                {
                    "name": name,
                    "done": sum(finished(p, name) for p in progress.values()),
                    "unsure": sum(visit.outcome == "unsure" for visit in visits),
                    "seconds": round(statistics.median(seconds), 1) if seconds else None,
                }
            )
        shared = [case for case in self.cases if len(progress.get(case.id, Progress()).marks) > 1]
        layers = [self._layers(case, progress[case.id].marks) for case in shared[:_COMPARED]]
        return {"people": people, "images": len(self.cases), "agreement": agreement(layers)}

    def _layers(self, case: Case, authors: Iterable[str]) -> list[dict[str, np.ndarray]]:
        """The grown marks of several annotators on one image."""
        frame = self.frames.get(case)
        areas = self.kept.areas(case, frame.space, frame.spacing)
        structures = self.study.structures
        return [grow_marks(frame, self.annotator(name).labels(case.id), areas, structures)[0] for name in authors]

    def _shared(self, case: Case) -> bool:
        return in_overlap(case.id, self.settings.overlap)

    def _free(self, team: Team, user: str, progress: Mapping[str, Progress]) -> list[Case]:
        """Images that everybody marks, and those that nobody else has finished or has before them now."""
        taken = team.leased(self.settings.mark_set, user)
        free = []
        for case in self.cases:
            others = progress.get(case.id, Progress()).visits
            done = any(finished(progress[case.id], name) for name in others if name != user)
            if self._shared(case) or finished(progress.get(case.id), user) or not (done or case.id in taken):
                free.append(case)
        return free

    def close(self) -> None:
        """Write what waits, and stop."""
        self.committer.close()

    def _model(self, case: Case, user: str) -> str:
        if not self.predictions.has(case):
            return "none"
        return "blind" if blind(case_key(case), user, self.settings.blind) else "there"

    def _stroke(self, event: Drawn) -> Stroke:
        frame = self.frames.get(self.case(event.case))
        plane = event.plane if len(frame.space) == 3 else None
        stroke = Stroke(np.array(event.points), event.width, frame.space, plane, event.filled)
        if event.kind != "diameter" and not stroke.touches():
            raise StudyError("the stroke lies outside of the image")
        return stroke

    def _write(self, event: Drawn | NothingHere | TakenBack | Visited, stroke: Stroke | None, user: str) -> None:
        own, case, uuid = self.annotator(user), self.case(event.case), str(event.id)
        if isinstance(event, Drawn) and stroke is not None:
            structure = self._structure(event.structure)
            if event.kind == "diameter":
                own.measure(case.id, structure, stroke, uuid)
            else:
                own.draw(case.id, structure if event.kind == "stroke" else None, stroke, uuid)
        elif isinstance(event, NothingHere):
            own.nothing_here(case.id, self.frames.get(case).space, uuid)
        elif isinstance(event, TakenBack):
            (own.retract if event.kind == "retract" else own.restore)(case.id, str(event.target), uuid)
        elif isinstance(event, Visited):
            visit = Visit(event.outcome, event.seconds, event.reason, event.model, event.judgement, event.warned)
            own.visit(case.id, visit, uuid)

    def _structure(self, number: int) -> str:
        names = (*self.study.structures, EXCLUDED)
        if number >= len(names):
            raise StudyError("no such structure", found=number, expected=f"0 to {len(names) - 1}")
        return names[number]

    def _entry(self, entry: Entry, frame: Frame) -> dict[str, Any]:
        names = (*self.study.structures, EXCLUDED)
        shown: dict[str, Any] = {
            "id": entry.uuid,
            "kind": entry.kind,
            "structure": names.index(entry.structure) if entry.structure in names else 0,
            "order": entry.number,
            "retracted": entry.retracted,
        }
        if isinstance(entry.mark, Stroke):
            stroke = asdict(entry.mark) | {"points": np.round(entry.mark.points, 2).tolist()}
            return shown | {key: stroke[key] for key in ("points", "width", "plane", "filled")}
        if entry.kind == "nothing":
            return shown
        runs = np.frombuffer(encode_runs(entry.mark), "<u4")[1 + entry.mark.ndim :]
        return shown | {"runs": runs.tolist()}


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
    return str(error)[:200]
