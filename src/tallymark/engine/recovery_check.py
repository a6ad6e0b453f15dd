"""Recovered masks against full ones, and what was expected of them against what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from tallymark.data.images import read_mask
from tallymark.data.study import Study
from tallymark.data.tables import write_table
from tallymark.engine.recovered import RecoveredFolder
from tallymark.errors import EvaluationError
from tallymark.measure import Overlap

_PARTS = 5


@dataclass(frozen=True)
class Check:
    """How good the recovered masks are, and how well that was foreseen.

    Args:
        cases: one row a case and structure with a full mask: id, structure, expected_iou, iou, true_pixels.
    """

    cases: pd.DataFrame

    def summary(self) -> dict[str, Any]:
        """Scores by structure; see :func:`scores`."""
        return {str(name): scores(rows) for name, rows in self.cases.groupby("structure", sort=False)}


def check_recovered(study: Study, folder: RecoveredFolder, cases: pd.DataFrame) -> Check:
    """Compare recovered masks with the full masks of the study: the one place of a recovery that opens them.

    Args:
        study: with ``truth.csv``.
        folder: of the recovery.
        cases: its table of cases.

    Returns:
        The comparison; also written as ``check.csv``.

    Raises:
        StudyError: the study has no full masks.
        EvaluationError: it has none of the recovered cases.
    """
    rows = []
    for _, row in cases.iterrows():
        case, structure = study.case(str(row["id"])), str(row["structure"])
        if not study.truth.has(case.id, structure):
            continue
        overlap = Overlap.of(read_mask(folder.root / str(row["mask"])), study.truth.mask(case, structure))
        rows.append(
            {
                "id": case.id,
                "group": case.group,
                "structure": structure,
                "expected_iou": row["expected_iou"],
                "iou": overlap.iou(),
                "dice": overlap.dice(),
                "true_pixels": overlap.true,
                "predicted_pixels": overlap.predicted,
                "both_pixels": overlap.both,
            }
        )
    if not rows:
        raise EvaluationError("no recovered case has a full mask", where=study.folder / "truth.csv")
    table = pd.DataFrame(rows)
    write_table(folder.check_file, table)
    return Check(table)


def scores(rows: pd.DataFrame) -> dict[str, Any]:
    """Overlap with the full masks, and how well it was foreseen, over the cases whose full mask is not empty.

    Args:
        rows: of :attr:`Check.cases`, of one structure.

    Returns:
        images, iou_per_image, iou_pooled; expected_iou (its mean), mean_absolute_error and rank_correlation (Spearman)
        of the expected IoU; calibration: expected and true mean in fifths of the cases by expected IoU.

    Example:
        >>> rows = pd.DataFrame({"expected_iou": [0.5, 0.9], "iou": [0.6, 0.8], "true_pixels": [10, 10],
        ...                      "predicted_pixels": [10, 10], "both_pixels": [7, 9]})
        >>> found = scores(rows)
        >>> round(found["iou_per_image"], 2), round(found["mean_absolute_error"], 2), found["rank_correlation"]
        (0.7, 0.1, 1.0)
    """
    rows = rows[rows["true_pixels"] > 0]
    if rows.empty:
        return {"images": 0}
    expected, iou = rows["expected_iou"].to_numpy(float), rows["iou"].to_numpy(float)
    both = rows["both_pixels"].sum()
    order = np.argsort(expected, kind="stable")
    return {
        "images": len(rows),
        "iou_per_image": float(iou.mean()),
        "iou_pooled": float(both / (rows["true_pixels"].sum() + rows["predicted_pixels"].sum() - both)),
        "expected_iou": float(expected.mean()),
        "mean_absolute_error": float(np.abs(expected - iou).mean()),
        "rank_correlation": _spearman(expected, iou),
        "calibration": [
            {"images": len(part), "expected": float(expected[part].mean()), "iou": float(iou[part].mean())}
            for part in np.array_split(order, min(_PARTS, len(order)))
        ],
    }


def _spearman(one: np.ndarray, other: np.ndarray) -> float | None:
    ranks = [rankdata(values) for values in (one, other)]
    if any(np.ptp(values) == 0 for values in ranks):
        return None
    return round(float(np.corrcoef(*ranks)[0, 1]), 12)
