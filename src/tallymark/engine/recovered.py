"""What a recovery leaves behind: masks, maps of confidence, tables, and pictures for a person to look at."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from tallymark.data.atomic import write_text
from tallymark.data.images import Image, normalise, read_mask, write_map, write_mask
from tallymark.data.study import Number, Study
from tallymark.engine.estimates import Estimate, probability
from tallymark.engine.evidence import Evidence
from tallymark.engine.predict import Request, mask_file
from tallymark.engine.task import Task, study_task
from tallymark.errors import ConfigError
from tallymark.measure.definition import Statistic
from tallymark.measure.groups import pooled
from tallymark.pictures import Panel, enlargement, overlay, overlay_sheet

_SHOWN = 12
COLUMNS = (
    "id",
    "group",
    "fold",
    "structure",
    "expected_iou",
    "reasons",
    "known",
    "shared",
    "reached",
    "pixels",
    "least_pixels",
    "most_pixels",
    "marked_pixels",
    "agreement",
    "steadiness",
    "mask",
    "confidence",
)


class Earlier(NamedTuple):
    """What is known of an earlier recovery in a folder.

    Attributes:
        otherwise: what it was asked for otherwise; empty where nothing was.
        files: masks and maps that it wrote; empty where it was not finished.
    """

    otherwise: Mapping[str, object]
    files: set[Path]


@dataclass(frozen=True)
class RecoveredFolder:
    """The paths inside the folder of a recovery; nothing is opened or made until it is asked for.

    Args:
        root: the folder.
    """

    root: Path

    @property
    def settings_file(self) -> Path:
        """What was asked for; written first: such a folder is a recovery's own."""
        return self.root / "recovery.json"

    @property
    def summary_file(self) -> Path:
        """Written last: all is there."""
        return self.root / "summary.json"

    @property
    def cases_file(self) -> Path:
        """One row a case and structure, the worst first."""
        return self.root / "cases.csv"

    @property
    def numbers_file(self) -> Path:
        """Measured on the recovered masks, beside what was kept."""
        return self.root / "numbers.csv"

    @property
    def group_numbers_file(self) -> Path:
        """The same of numbers that were kept of groups."""
        return self.root / "group-numbers.csv"

    @property
    def check_file(self) -> Path:
        """Against full masks, case by case."""
        return self.root / "check.csv"

    @property
    def worst_file(self) -> Path:
        """A sheet of the cases to look at first."""
        return self.root / "worst.png"

    @property
    def typical_file(self) -> Path:
        """A sheet of cases from the middle of the list."""
        return self.root / "typical.png"

    @property
    def runs(self) -> Path:
        """The run of every fold."""
        return self.root / "runs"

    @property
    def close_ups(self) -> Path:
        """Images cut to what is marked in them, which networks learned from."""
        return self.root / "close-ups"

    @property
    def growth(self) -> Path:
        """The growth of every case."""
        return self.root / "growth"

    def mask(self, request: Request, structure: str, task: Task) -> Path:
        """As :func:`tallymark.engine.predict.mask_file`."""
        return mask_file(self.root, request, structure, task)

    def confidence(self, request: Request, structure: str, task: Task) -> Path:
        """Beside the masks, under the same name."""
        return self.root / "confidence" / self.mask(request, structure, task).name

    def begin(self, asked: Mapping[str, object]) -> Earlier:
        """Claim the folder, and take away what would say that it is complete.

        Args:
            asked: what is to be recovered; ``study`` names the study.

        Returns:
            What is known of an earlier recovery in the folder.

        Raises:
            ConfigError: the folder holds something that is no recovery, or that of another study.
            StorageError: it cannot be written.
        """
        if self.root.exists() and not self.settings_file.exists() and any(self.root.iterdir()):
            raise ConfigError(
                "this folder holds something that no recovery wrote, and it would be written over",
                where=self.root,
                found=next(self.root.iterdir()).name,
                remedy="choose a new folder with --out",
            )
        before: dict[str, object] = {}
        if self.settings_file.exists():
            before = json.loads(self.settings_file.read_text(encoding="utf-8"))
            if before["study"] != asked["study"]:
                raise ConfigError(
                    "this folder holds what was recovered of another study",
                    where=self.settings_file,
                    found=before["study"],
                    expected=str(asked["study"]),
                    remedy="choose a new folder with --out",
                )
        files = self._files() if self.cases_file.exists() else set()
        write_text(self.settings_file, json.dumps(dict(asked), indent=2) + "\n")
        for file in (self.summary_file, self.cases_file, self.numbers_file, self.group_numbers_file, self.check_file):
            file.unlink(missing_ok=True)
        return Earlier({key: value for key, value in before.items() if value != asked.get(key)}, files)

    def tidy(self, earlier: Earlier) -> None:
        """Remove masks and maps of images that the study no longer has; what no recovery wrote stays.

        Args:
            earlier: of :meth:`begin`; the table of cases is that of now.
        """
        for file in earlier.files - self._files():
            file.unlink(missing_ok=True)

    def _files(self) -> set[Path]:
        """The masks and maps that the table of cases names."""
        cases = pd.read_csv(self.cases_file, usecols=["mask", "confidence"], dtype=str)
        # Whatever somebody has written into the table, nothing beyond the folder is a recovery's own.
        inside = self.root.resolve()
        named = (self.root / path for path in (*cases["mask"].dropna(), *cases["confidence"].dropna()))
        return {path for path in named if path.resolve().is_relative_to(inside)}


def write_case(
    folder: RecoveredFolder,
    image: Image,
    evidence: Evidence,
    masks: Bool[np.ndarray, "k *space"],
    score: Float[np.ndarray, "k *space"],
    estimates: Sequence[Estimate],
    task: Task,
) -> list[dict[str, object]]:
    """Write the masks and the maps of one image.

    Args:
        folder: of the recovery.
        image: of the case.
        evidence: of the case.
        masks: that were recovered.
        score: that ranked the pixels.
        estimates: of every mask.
        task: names the structures.

    Returns:
        Its rows of ``cases.csv``, one a structure.
    """
    case = evidence.case
    request = Request(case.id, case.image, case.spacing)
    rows: list[dict[str, object]] = []
    for k, structure in enumerate(task.structures):
        estimate = estimates[k]
        paths = folder.mask(request, structure, task), folder.confidence(request, structure, task)
        write_mask(paths[0], masks[k], image)
        write_map(paths[1], probability(score[k], masks[k], estimate.expected_iou), image)
        rows.append(
            {
                "id": case.id,
                "group": case.group,
                "structure": structure,
                "expected_iou": round(estimate.expected_iou, 4),
                "reasons": "; ".join(estimate.reasons),
                "known": bool(evidence.known[k]),
                "shared": bool(evidence.shared[k]),
                "reached": estimate.reached,
                "pixels": int(masks[k].sum()),
                "least_pixels": _whole(evidence.least[k]),
                "most_pixels": _whole(min(evidence.most[k], masks[k].size)),
                "marked_pixels": int(evidence.marks[k].sum()),
                "agreement": round(estimate.agreement, 4),
                "steadiness": round(estimate.steadiness, 4),
                "mask": paths[0].relative_to(folder.root).as_posix(),
                "confidence": paths[1].relative_to(folder.root).as_posix(),
            }
        )
    return rows


class Measured(NamedTuple):
    """What the masks of an image measure.

    Attributes:
        case_id: of the image.
        numbers: by statistic, in the units of the study's table.
        weights: by statistic, how much the image counts in its group's number.
    """

    case_id: str
    numbers: Mapping[str, float]
    weights: Mapping[str, float]


def number_rows(measured: Measured, kept: Mapping[tuple[str, str], Number], task: Task) -> list[dict[str, object]]:
    """What an image's masks measure, beside what was kept, in the units of the study's table."""
    return [
        {
            "id": measured.case_id,
            "statistic": statistic.name,
            "recovered": measured.numbers[statistic.name],
            **_kept(kept.get((measured.case_id, statistic.name)), statistic),
        }
        for statistic in task.statistics
    ]


def group_rows(
    group: str, measured: Sequence[Measured], kept: Mapping[tuple[str, str], Number], task: Task
) -> list[dict[str, object]]:
    """The same of the numbers that were kept of all images of a group together; none where none was."""
    return [
        {
            "group": group,
            "statistic": statistic.name,
            "images": len(measured),
            "recovered": pooled(
                statistic,
                [one.weights[statistic.name] for one in measured],
                [one.numbers[statistic.name] for one in measured],
            ),
            **_kept(kept[group, statistic.name], statistic),
        }
        for statistic in task.statistics
        if (group, statistic.name) in kept
    ]


def _kept(number: Number | None, statistic: Statistic) -> dict[str, object]:
    ends = (math.nan,) * 3 if number is None else (number.value, number.low, number.high)
    value, low, high = (end / statistic.scale for end in ends)
    return {"kept": value, "low": low, "high": high, "unit": statistic.unit}


def write_sheets(folder: RecoveredFolder, study: Study, mark_set: str | None, cases: pd.DataFrame) -> None:
    """Two pages for a person: the cases to look at first, and some from the middle of the list.

    Args:
        folder: of the recovery, with its masks.
        study: the study.
        mark_set: of the marks to be drawn; None: none.
        cases: the worst first.
    """
    middle = max(0, (len(cases) - _SHOWN) // 2)
    for path, rows in ((folder.worst_file, cases[:_SHOWN]), (folder.typical_file, cases[middle : middle + _SHOWN])):
        panels = [_panel(folder, study, mark_set, row) for _, row in rows.iterrows()]
        overlay_sheet(panels, path, columns=4)


def _panel(folder: RecoveredFolder, study: Study, mark_set: str | None, row: pd.Series) -> Panel:
    case, task = study.case(str(row["id"])), study_task(study)
    image = normalise(case.read(), task.image_channels, task.window)
    marks = study.marks.labels(case.id, mark_set)
    nothing = np.zeros(image.shape[:-1], dtype=bool)
    request = Request(case.id, case.image, case.spacing)
    picture = overlay(
        image,
        np.stack([read_mask(folder.mask(request, name, task)) for name in task.structures]),
        marks=np.stack([marks.get(name, nothing) for name in task.structures]),
        enlarge=enlargement(image.shape[:-1]),
    )
    named = f"{case.id}, {row['structure']}" if len(task.structures) > 1 else case.id
    return Panel(picture, f"{named}\nexpected IoU {row['expected_iou']:.2f}\n{row['reasons']}")


def _whole(pixels: float) -> int | None:
    return int(pixels) if math.isfinite(pixels) else None
