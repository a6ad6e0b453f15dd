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
from tallymark.marking.kept import Kept

_FAR = 0.2
"""A number that is off by this share of the recorded one is said to disagree."""


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

    def reason(self, case: Case, kept: list[Kept]) -> tuple[float, str] | None:
        """How far the predicted numbers of an image are from the recorded ones, where they disagree.

        Returns:
            The difference as a share of the recorded number, and the reason in words; None where they agree.
        """
        worst: tuple[float, str] | None = None
        for number in kept:
            predicted = self._numbers.get((case.id, number.statistic), math.nan)
            recorded = number.value if not math.isnan(number.value) else (number.low + number.high) / 2
            off = abs(predicted - recorded) / max(abs(recorded), 1e-9)
            if off >= _FAR and (worst is None or off > worst[0]):
                worst = off, f"number disagrees: the model finds {predicted:.3g}, recorded is {recorded:.3g}"
        return worst


def blind(key: str, user: str, share: float | int) -> bool:
    """Whether the model's outline of an image stays hidden from a user: by chance, and always the same.

    Example:
        >>> blind("0" * 20, "reader", 0), blind("0" * 20, "reader", 1)
        (False, True)
    """
    digest = hashlib.sha256(f"{key}/{user}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32
