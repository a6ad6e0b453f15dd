"""A study to mark, and a way in for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import PIL.Image
import SimpleITK
from starlette.testclient import TestClient

from tallymark.data.settings import MarksSettings
from tallymark.data.study import Case, NumberRow, Study, StudySettings
from tallymark.datasets.pairs import import_pairs
from tallymark.datasets.phantom import write_phantoms
from tallymark.datasets.weaken import weaken
from tallymark.marking.team import Team
from tallymark.measure.definition import Statistic

ORIGIN = "http://127.0.0.1:8700"
PASSWORD = "correct horse battery"


def make_study(folder: Path, count: int = 4, url: str | None = None) -> Study:
    """Bright discs on noise, of 8 bits and (every second) of 16, whose areas were recorded; marks at ``url``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[:120, :160]
    cases, numbers = [], []
    for number in range(count):
        disc = (rows - 60) ** 2 + (columns - 60 - 10 * (number % 5)) ** 2 < 30**2
        pixels = rng.normal(80, 8, (120, 160)) + 90 * disc
        deep = number % 2 == 1
        stored = (pixels * 16).astype(np.uint16) if deep else pixels.astype(np.uint8)
        path = folder / f"Room 12 bed {number}.png"
        PIL.Image.fromarray(stored).save(path)
        cases.append(Case(f"Room 12 bed {number}", path, group=f"g{number}", split="train"))
        numbers.append(NumberRow(f"Room 12 bed {number}", "share", value=100 * float(disc.mean())))
    settings = StudySettings(
        name="discs",
        structures=("lesion", "cyst"),
        marks=MarksSettings(url=url),
        statistics=(Statistic("share", "area_fraction", ("lesion",), unit="percent"),),
    )
    return Study.create(folder / "study", settings, cases, numbers=numbers)


def volume_study(folder: Path, slices: int) -> Study:
    """One volume whose slices get brighter, and no number."""
    values = np.zeros((slices, 40, 50), np.int16) + 100 * np.arange(slices, dtype=np.int16)[:, None, None]
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(folder / "a.nii.gz"))
    settings = StudySettings(name="volume", structures=("organ",), image={"dimension": 3})
    return Study.create(folder / "study", settings, [Case("a", folder / "a.nii.gz", split="train")])


class Visitor:
    """A browser without a screen."""

    def __init__(self, client: TestClient, token: str) -> None:
        self.client = client
        client.headers["origin"] = ORIGIN
        assert client.post("/api/enter", json={"token": token}).status_code == 200
        self.session = client.get("/api/session").json()
        client.headers["x-tallymark-csrf"] = self.session["csrf"]

    def send(self, *events: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post("/api/marks", json={"events": list(events)})
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document


def stroke(key: str, points: list[list[float]] | None = None, **changed: Any) -> dict[str, Any]:
    event = {"id": str(uuid4()), "case": key, "kind": "stroke", "structure": 0, "points": points or [[60, 60]]}
    return event | {"width": 5, "plane": None, "filled": False} | changed


def phantom_study(root: Path) -> Study:
    """Synthetic ultrasound-like images with their exact numbers."""
    write_phantoms(root / "source", count=8, seed=7, size=320)
    import_pairs(root / "source" / "images", root / "source" / "masks", root / "study")
    study = Study.open(root / "study")
    weaken(study, marks="erosion:8%", mark_set="e8")
    return study


def make_team(study: Study) -> None:
    team = Team(study.folder / "team.sqlite")
    for name, role in (("ann", "annotator"), ("bob", "annotator"), ("eve", "reviewer")):
        team.add(name, role, PASSWORD)
    team.close()
