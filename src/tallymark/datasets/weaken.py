"""Full masks made into what a clinic kept: a few marked pixels and one number per image.

This is one of the few places that open the truth. Weak recipes see nothing of a mask but what is written here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from scipy.ndimage import label

from tallymark.data.findings import counted
from tallymark.data.study import Case, NumberRow, Study
from tallymark.datasets.exact_numbers import EXACT, Masks, exact_numbers, for_masked
from tallymark.datasets.generators import MarkOptions, Per
from tallymark.datasets.kinds import MARK_KINDS, MarkSpec, parse_marks
from tallymark.datasets.pairs import Track
from tallymark.datasets.seeds import named_rng
from tallymark.errors import StudyError


@dataclass(frozen=True)
class WeakenReport:
    """What :func:`weaken` wrote.

    Args:
        mark_set: the set of the marks.
        marks: kind and share, for example ``erosion:8%``.
        cases: images that were marked.
        empty: images whose masks are all empty; they have numbers and no marks.
        unmasked: images without full masks; they have neither.
        numbers: how many numbers were written.
        share_mean: share of a structure that is marked, mean over images and structures; NaN if nothing is marked.
        share_min: the smallest of these shares.
        share_max: the largest.
        outside_mean: share of the marked pixels that lie outside the structure, mean over the same.
        components: connected components of the structures, in all images together.
        unmarked: how many of them hold no mark.
    """

    mark_set: str
    marks: str
    cases: int
    empty: int
    unmasked: int
    numbers: int
    share_mean: float
    share_min: float
    share_max: float
    outside_mean: float
    components: int
    unmarked: int

    def __str__(self) -> str:
        share = f"{self.share_mean:.2%} of the structure on average ({self.share_min:.2%} to {self.share_max:.2%})"
        lines = [f"{counted(self.cases, 'image')} marked as '{self.mark_set}' by {self.marks}: {share}"]
        if self.outside_mean > 0:
            lines.append(f"{self.outside_mean:.2%} of the marked pixels lie outside")
        if self.unmarked:
            lines.append(f"{self.unmarked} of {self.components} connected components have no mark")
        lines += [
            f"{counted(count, 'image')} {what}"
            for count, what in ((self.empty, "with empty masks"), (self.unmasked, "without masks"))
            if count
        ]
        return "\n".join([*lines, counted(self.numbers, "exact number")])


def weaken(
    study: Study,
    marks: str = "erosion:8%",
    mark_set: str = "e8",
    *,
    per: Per = "image",
    variant: int = 0,
    structures: Sequence[str] | None = None,
    replace: bool = False,
    track: Track = iter,
) -> WeakenReport:
    """Simulate marks and numbers from the full masks of a study.

    Every image with full masks gets marks of each structure that is present (an empty mask gets none) and, in the
    variant ``exact``, the value of every statistic. The marks are stored in one transaction as a simulated set. Chance
    is seeded by the SHA-256 of case id, structure, kind and variant, so that nothing depends on order.

    Args:
        study: with full masks.
        marks: kind and share; see :func:`tallymark.datasets.kinds.parse_marks`.
        mark_set: what to call the set.
        per: mark each structure once per "image", or each of its components ("component").
        variant: another number draws other marks of the same kind.
        structures: to be marked; None for all.
        replace: take the place of a simulated set of this name. Real marks are never replaced.
        track: wraps the cases while they are worked through, to show progress.

    Returns:
        Counts, and the share of the structures that is marked in fact.

    Raises:
        ConfigError: the marks cannot be read.
        StudyError: no full masks, an unknown structure, or a set of this name that may not be replaced.
        ReadError: an image or a mask cannot be read; nothing is written then.

    Source: Kulkarni, Raff and Oates 2026, arXiv 2605.03059 (erosion to 4, 8, 12 % of the region of interest, and its
    share of the image as the number); the other kinds are ours.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import PIL.Image
        >>> from tallymark.datasets.pairs import import_pairs
        >>> folder = Path(tempfile.mkdtemp())
        >>> mask = np.zeros((10, 10), dtype=np.uint8)
        >>> mask[2:7, 2:7] = 255  # 5 x 5, of which 3 x 3 are left after one erosion
        >>> for name in ("a.png", "a_mask.png"):
        ...     PIL.Image.fromarray(mask).save(folder / name)
        >>> _ = import_pairs(folder, None, folder / "study")
        >>> study = Study.open(folder / "study")
        >>> weaken(study, "erosion:40%", "e40").share_mean
        0.36
        >>> int(study.marks.labels("a", "e40")["lesion"].sum()), study.numbers("exact")["a", "lesion_fraction"].value
        (9, 0.25)
    """
    spec = parse_marks(marks)
    chosen = _chosen(study, structures)
    _check_set(study, mark_set, replace)
    options = MarkOptions(spec.share or 1.0, per)
    weakened = for_masked(
        study, lambda case, masks: _weaken_case(study, case, masks, chosen, spec, options, variant), track
    )
    rows = [row for one in weakened for row in one.numbers]
    author = f"simulated: {spec}, per {per}, variant {variant}"
    with study.marks.batch():
        if mark_set in study.marks.sets():
            study.marks.clear(mark_set, author=author)
        for one in weakened:
            for mark in one.marks:
                study.marks.add_raster(
                    one.case_id, mark_set, mark.structure, mark.raster(), author=author, origin="simulated"
                )
        study.add_numbers(rows, EXACT)
    every = [mark for one in weakened for mark in one.marks]
    shares = [mark.share for mark in every] or [math.nan]
    return WeakenReport(
        mark_set=mark_set,
        marks=str(spec),
        cases=sum(bool(one.marks) for one in weakened),
        empty=sum(one.empty for one in weakened),
        unmasked=len(study.cases) - len(weakened),
        numbers=len(rows),
        share_mean=float(np.mean(shares)),
        share_min=min(shares),
        share_max=max(shares),
        outside_mean=float(np.mean([mark.outside for mark in every])) if every else math.nan,
        components=sum(mark.components for mark in every),
        unmarked=sum(mark.unmarked for mark in every),
    )


@dataclass(frozen=True)
class _Mark:
    """Marked pixels of one structure, kept small: a study has thousands of images."""

    structure: str
    shape: tuple[int, ...]
    pixels: Int[np.ndarray, " n"]
    share: float
    outside: float
    components: int
    unmarked: int

    def raster(self) -> Bool[np.ndarray, "*space"]:
        flat = np.zeros(math.prod(self.shape), dtype=bool)
        flat[self.pixels] = True
        return flat.reshape(self.shape)


@dataclass(frozen=True)
class _Weakened:
    case_id: str
    marks: list[_Mark]
    numbers: list[NumberRow]
    empty: bool


def _weaken_case(
    study: Study,
    case: Case,
    masks: Masks,
    structures: Sequence[str],
    spec: MarkSpec,
    options: MarkOptions,
    variant: int,
) -> _Weakened:
    marks = []
    for name in structures:
        mask = masks.get(name)
        if mask is None or not mask.any():
            continue
        rng = named_rng(case.id, name, spec.kind, variant)
        spaced = MarkOptions(options.share, options.per, case.spacing)
        marked = MARK_KINDS[spec.kind].generate(mask, rng, spaced)
        inside = int((marked & mask).sum())
        count = int(marked.sum())
        pixels = np.flatnonzero(marked)
        marks.append(
            _Mark(name, mask.shape, pixels, inside / int(mask.sum()), 1 - inside / count, *_components(mask, marked))
        )
    empty = not any(mask.any() for mask in masks.values())
    return _Weakened(case.id, marks, exact_numbers(study, case, masks), empty)


def _components(mask: Bool[np.ndarray, "*space"], marked: Bool[np.ndarray, "*space"]) -> tuple[int, int]:
    """How many connected components a structure has, and how many of them no mark touches."""
    labels, count = label(mask, np.ones((3,) * mask.ndim))
    return count, count - len(np.unique(labels[marked & mask]))


def _chosen(study: Study, structures: Sequence[str] | None) -> tuple[str, ...]:
    chosen = study.structures if structures is None else tuple(structures)
    unknown = [name for name in chosen if name not in study.structures]
    if unknown or not chosen:
        raise StudyError(
            "unknown structure", where=study.folder, found=", ".join(unknown), expected=", ".join(study.structures)
        )
    return chosen


def _check_set(study: Study, mark_set: str, replace: bool) -> None:
    there = study.marks.sets().get(mark_set)
    if there is None or (there.origin == "simulated" and (replace or there.marks == 0)):
        return
    raise StudyError(
        f"there is a mark set '{mark_set}' already",
        where=study.marks.place,
        found=f"{there.marks} {there.origin} marks",
        remedy="choose another name"
        + (" for the simulated marks" if there.origin == "real" else ", or replace it on purpose"),
    )
