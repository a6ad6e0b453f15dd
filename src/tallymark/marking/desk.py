"""The work itself, without a word about HTTP: the images of a study, and what everyone marked on them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Bool

from tallymark.data.annotations import Annotator, Entry, Verdict
from tallymark.data.marks import EXCLUDED, MarkStore
from tallymark.data.strokes import Stroke, encode_runs
from tallymark.data.study import Case, Study
from tallymark.errors import StudyError
from tallymark.marking.board import Board
from tallymark.marking.committer import Committer
from tallymark.marking.frames import Frames
from tallymark.marking.growing import LastGrown, grow_marks, shown
from tallymark.marking.kept import KeptNumbers
from tallymark.marking.predicted import Predictions, blind
from tallymark.marking.settings import MarkingSettings, case_key
from tallymark.marking.team import Team
from tallymark.marking.workers import Here, Runner
from tallymark.pictures.palette import EXCLUSION, OKABE_ITO, colour_hex, structure_colour


class Desk:
    """A study while it is marked.

    Args:
        study: the study.
        settings: how it is marked.
        team: whose accounts are asked; None: one person marks.
        runner: computes what takes long; None: where it is asked for.

    Raises:
        StudyError: no image is in the splits that are to be marked, the set holds simulated marks, or no such variant
            of the numbers.
    """

    def __init__(
        self, study: Study, settings: MarkingSettings, team: Team | None = None, runner: Runner | None = None
    ) -> None:
        self.study = study
        self.team = team
        self.settings = settings
        self.runner: Runner = runner or Here()
        self.frames = Frames(study)
        self.kept = KeptNumbers(study, settings.variant)
        self._last_grown = LastGrown()
        self._painting = threading.Lock()
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
                where=study.marks.place,
                remedy="choose another name with --marks",
            )
        self.store: MarkStore = study.marks
        self.predictions = Predictions(study, settings.run)
        self.board = Board(self.store, settings.mark_set)
        self.committer = Committer(self.store)

    def case(self, key: str) -> Case:
        """The case of a key.

        Raises:
            StudyError: no image of the study has it.
        """
        if key not in self._by_key:
            raise StudyError("no such image")
        return self._by_key[key]

    def ids(self, keys: Iterable[str]) -> set[str]:
        """The ids of the cases of some keys; keys of no case are left out."""
        return {self._by_key[key].id for key in keys if key in self._by_key}

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
            # From the other end of the palette, so that people and structures look alike only where there are many.
            "layers": [colour_hex(colour) for colour in reversed(OKABE_ITO.values())],
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
            "marks": self.marks_of(case, user),
        }

    def marks_of(self, case: Case, author: str) -> list[dict[str, Any]]:
        """The marks of someone on an image, as the page draws them."""
        return [self._entry(entry) for entry in self.annotator(author).history(case.id)]

    def grown(self, key: str, plane: int, user: str) -> dict[str, Any]:
        """The own marks of an image grown to the kept numbers, as outlines on a plane.

        Raises:
            StudyError: no such image.
        """
        case = self.case(key)
        frame = self.frames.get(case)
        areas = self.kept.areas(case, frame.space, frame.spacing)
        # One after the other: a stroke that is being saved shares the interpreter with one of these, not with twenty.
        with self._painting:
            marks = self.annotator(user).labels(case.id)
        masks, warnings = self._last_grown.get(
            (case.id, user),
            marks,
            lambda: grow_marks(frame, marks, areas, self.study.structures, self.runner.run, self.study.wholes),
        )
        numbers = " · ".join(str(kept) for kept in self.kept.of(case))
        excessive = self.kept.without_room(case, frame.space, frame.spacing)
        return {
            "outlines": shown(masks, self.study.structures, frame.space, plane),
            "notes": [f"grown to {numbers}"] if masks else [],
            "warnings": [*excessive, *warnings],
        }

    def model(self, key: str, plane: int, user: str) -> dict[str, Any]:
        """What the model says of an image, once the user has marked it and unless it stays hidden on purpose.

        Raises:
            StudyError: no such image, nothing marked yet, or hidden.
        """
        case = self.case(key)
        masks = self.predicted(case, user)
        space = self.frames.get(case).space
        return {"outlines": shown(masks, self.study.structures, space, plane), "notes": [], "warnings": []}

    def predicted(self, case: Case, user: str) -> dict[str, Bool[np.ndarray, "*space"]]:
        """The model's masks of an image, under the conditions of :meth:`model`."""
        if self._model(case, user) != "there":
            raise StudyError("there is no outline to be shown")
        if not any(entry.kind in ("stroke", "nothing") for entry in self.annotator(user).history(case.id)):
            raise StudyError("the outline comes after the first stroke")
        return self.predictions.masks(case)

    def judge(self, case: Case, verdict: Verdict, user: str, uuid: str) -> None:
        """Keep what a reviewer says of somebody's marks; the audit log tells it too, without the name of the image."""
        if self.annotator(user).judge(case.id, verdict, uuid) and self.team is not None:
            self.team.record(user, verdict.outcome, f"{verdict.of}: {case_key(case)}")

    def close(self) -> None:
        """Write what waits, and stop."""
        self.committer.close()
        self.runner.close()

    def _model(self, case: Case, user: str) -> str:
        if not self.predictions.has(case):
            return "none"
        return "blind" if blind(case_key(case), user, self.settings.blind) else "there"

    def _entry(self, entry: Entry) -> dict[str, Any]:
        names = (*self.study.structures, EXCLUDED)
        shown: dict[str, Any] = {
            "id": entry.uuid,
            "kind": entry.kind,
            "structure": names.index(entry.structure) if entry.structure in names else 0,
            "order": entry.number,
            "retracted": entry.retracted,
        }
        if isinstance(entry.mark, Stroke):
            stroke = {key: getattr(entry.mark, key) for key in ("width", "plane", "filled")}
            return shown | stroke | {"points": np.round(entry.mark.points, 2).tolist()}
        if entry.kind == "nothing":
            return shown
        runs = np.frombuffer(encode_runs(entry.mark), "<u4")[1 + entry.mark.ndim :]
        return shown | {"runs": runs.tolist()}
