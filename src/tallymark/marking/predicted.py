"""What a run says of the images: outlines to compare with, and which images are worth marking next.

Only files that ``tallymark predict`` and ``evaluate`` left behind are read; no model runs here.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from tallymark.data.formats import VOLUMES, suffix_of
from tallymark.data.images import read_mask
from tallymark.data.study import Case, Study
from tallymark.data.tables import read_table
from tallymark.errors import ReadError
from tallymark.marking.kept import Kept, written

_FAR = 0.2
"""A number that is off by this share of the recorded one is said to disagree."""

_SURE = 0.8
"""A model that expects less overlap than this is said to be unsure."""


class Predictions:
    """The predictions of one run of a study.

    Args:
        study: the study.
        run: the run's folder; its ``predictions`` are looked through. None: there are none.

    Raises:
        ReadError: the run has no predictions, or their numbers cannot be read.
    """

    def __init__(self, study: Study, run: Path | None) -> None:
        self._structures = study.structures
        self._folders = [] if run is None else sorted(p.parent for p in (run / "predictions").glob("*/numbers.csv"))
        self._numbers: dict[tuple[str, str], float] = {}
        self._overlap: dict[str, float] = {}
        if run is not None and not self._folders:
            raise ReadError(
                "this run has no predictions",
                where=run,
                remedy="predict the images that are to be marked: tallymark evaluate RUN --split train",
            )
        for folder in self._folders:
            table = read_table(folder / "numbers.csv", ("id", "statistic", "value"), ("unit",))
            for name, statistic, value in table[["id", "statistic", "value"]].itertuples(index=False, name=None):
                self._numbers[name, statistic] = float(value) if value else math.nan
            if (folder / "certainty.csv").is_file():
                table = read_table(folder / "certainty.csv", ("id", "structure", "expected_overlap"))
                for name, _, overlap in table.itertuples(index=False, name=None):
                    self._overlap[name] = min(float(overlap), self._overlap.get(name, 1.0))

    def has(self, case: Case) -> bool:
        """Whether any structure of an image was predicted."""
        return bool(self._files(case))

    def masks(self, case: Case) -> dict[str, Bool[np.ndarray, "*space"]]:
        """The predicted masks of an image by structure; empty where there are none.

        Raises:
            ReadError: a mask cannot be read.
        """
        return {structure: read_mask(path) for structure, path in self._files(case).items()}

    def _files(self, case: Case) -> dict[str, Path]:
        suffix = suffix_of(case.image)
        ending = suffix if suffix in VOLUMES else ".png"
        found: dict[str, Path] = {}
        for structure in self._structures:
            stem = case.id if len(self._structures) == 1 else f"{case.id}_{structure}"
            for folder in self._folders:
                path = folder / "masks" / f"{stem}{ending}"
                if path.is_file():
                    found[structure] = path
        return found

    def disagreement(self, case: Case, kept: list[Kept]) -> tuple[float, str] | None:
        """How far the predicted numbers of an image are from the recorded ones, where they disagree.

        Returns:
            The difference as a share of the recorded number, and the reason in words; None where they agree.
        """
        worst: tuple[float, str] | None = None
        for number in kept:
            predicted = self._numbers.get((case.id, number.statistic.name), math.nan)
            off = number.off(predicted) / max(abs(number.middle), 1e-9)
            if off >= _FAR and (worst is None or off > worst[0]):
                found = written(number.statistic, predicted)
                worst = off, f"number disagrees: the model finds {found}, recorded is {number.amount}"
        return worst

    def doubt(self, case: Case) -> tuple[float, str] | None:
        """How unsure the model is of an image, where it is.

        Returns:
            One less the overlap (intersection over union) that the model expects of its mask, of the structure of
            which it is least sure, and the reason in words; None where it is sure or was not asked.
        """
        overlap = self._overlap.get(case.id, 1.0)
        return (1 - overlap, f"model unsure: it expects {100 * overlap:.0f} % overlap") if overlap < _SURE else None


def blind(key: str, user: str, share: float | int) -> bool:
    """Whether the model's outline of an image stays hidden from a user: by chance, and always the same.

    Example:
        >>> blind("0" * 20, "reader", 0), blind("0" * 20, "reader", 1)
        (False, True)
    """
    digest = hashlib.sha256(f"{key}/{user}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32
