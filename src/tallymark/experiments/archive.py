"""What an archive is worth: marks on a few images and numbers on all, numbers as kept, and a person's minutes."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from tallymark.data.study import RECORDED, Study
from tallymark.data.tables import write_table
from tallymark.datasets.exact_numbers import EXACT
from tallymark.datasets.kept_numbers import simulate_numbers
from tallymark.datasets.weaken import weaken
from tallymark.engine.recipes import resolve
from tallymark.errors import ConfigError
from tallymark.experiments.floors import FIXED, KNOWN
from tallymark.experiments.grid import Result, Row
from tallymark.experiments.lines import lines_of
from tallymark.experiments.marks import FULL, mark_set
from tallymark.experiments.shared_work import Done, cost_line, share_work
from tallymark.experiments.table import write_tables
from tallymark.pictures import Curve, score_against_seconds

SECONDS = {"clicks": 2.4, "strokes": 10.9, "masks": 79.0}
"""A person's seconds for one structure in one image. Source: Bearman et al. 2016 (doi 10.1007/978-3-319-46478-7_34): a
point on the first instance of a class, a squiggle, and an outline, there from Lin et al. 2014. Natural images, trained
annotators; a kept number takes no second."""
KEPT = {
    "rounded to 5 points": "rounded:5%",
    "off by 20 %, each by itself": "noisy:20%",
    "all 20 % too large": "biased:+20%",
    "all 20 % too small": "biased:-20%",
    "known to 20 %": "interval:20%",
    "half of them missing": "missing:50%",
}
"""Numbers as a clinic may have kept them, by name: what ``weaken --numbers`` is asked for."""
_MARKED = {"clicks": "click", "strokes": "stroke"}
_FOOT = """
Read it so. *10 % strokes, all numbers* learns from a stroke on a tenth of the training images and the number of every
one; *10 % masks* is full supervision on the same tenth, with as many steps as any other row; *and bare images* adds the
others without their numbers (an averaged teacher labels what it is sure of), *and numbers* adds them with theirs.
*Numbers alone* has no mark and no mask. The shares are of the same images in every row, a smaller one inside of a
larger one. *Share of full*, *minus full* and *over its floor* are those of `experiment marks`: 95 % intervals, paired
by case, resampled by group; ± is the standard deviation over {seeds} seeds. Floors: a row that sees numbers has to beat
the position map cut at each image's true area, the others the map at a fixed size.
"""


@dataclass(frozen=True)
class Supply:
    """What one row learns from.

    Args:
        row: what is computed.
        kind: clicks, strokes, masks, masks and numbers, masks and bare images; how a figure names its line.
        seconds: a person spent on the training images.
    """

    row: Row
    kind: str
    seconds: float


def supplies(
    images: int, batch: int, epochs: int, *, shares: Sequence[float], minutes: float, numbers: str | None
) -> list[Supply]:
    """Every row but full supervision, for a study of so many training images.

    Args:
        images: in the training split.
        batch: images in a batch; with ``epochs`` it says how many steps a row has.
        epochs: of a row that sees all images.
        shares: of the images, in (0, 1].
        minutes: of a person, spent on clicks, on strokes or on masks: as many images as they allow.
        numbers: the variant that is exact, or recorded.

    Example:
        >>> rows = supplies(310, 16, 40, shares=[0.1], minutes=20.0, numbers="exact")
        >>> [supply.row.name for supply in rows if supply.kind == "strokes"]
        ['10 % strokes, all numbers', '20 minutes of strokes, all numbers']
        >>> {supply.row.name: supply.row.settings for supply in rows}["10 % masks"]
        ('data.masks=0.1', 'optim.epochs=760')
        >>> {supply.row.name: supply.seconds for supply in rows}["20 minutes of masks"]
        1185.0
    """
    stroked = Row("numbers alone", "grow", mark_set("stroke", "image"), numbers, settings=("data.marked=0",))
    made = [Supply(stroked, "numbers", 0.0)]
    for kind, seconds in SECONDS.items():
        allowed = min(images, math.floor(60 * minutes / seconds))
        named = {f"{100 * share:g} %": share for share in shares} | {f"{minutes:g} minutes of": allowed / images}
        distinct: dict[int, str] = {}
        for words, share in named.items():  # time for all images is no other row than all of them
            distinct.setdefault(math.ceil(round(share * images, 6)), words)
        for count, words in distinct.items():
            some = f"{count / images:.6g}" if count < images else "1"

            def add(kind: str, text: str, recipe: str, *settings: str, cost: float = count * seconds) -> None:
                marks = mark_set(_MARKED.get(kind, "stroke"), "image")
                made.append(Supply(Row(text, recipe, marks, numbers, settings=settings), kind, cost))

            if kind in _MARKED:
                add(kind, f"{words} {kind}, all numbers", "grow", f"data.marked={some}")
            elif count < images:  # masks on all images are the row of full supervision
                masks = f"data.masks={some}"
                # As many steps as a row that sees every image: few images come round more often.
                steps = epochs * (images // min(batch, images)) / (count // min(batch, count))
                bare = ("data.marked=0", "data.numbered=0")
                add(kind, f"{words} {kind}", FULL, masks, f"optim.epochs={round(steps)}")
                add(f"{kind} and bare images", f"{words} {kind}, bare images", "grow", masks, *bare)
                add(f"{kind} and numbers", f"{words} {kind}, all numbers", "grow", masks, "data.marked=0")
    return made


def kept_rows(study: Study) -> list[Row]:
    """A stroke on every image, and the numbers as they may have been kept; what is missing is simulated."""
    rows = []
    for words, spec in KEPT.items():
        name = f"kept-{spec.replace(':', '-').replace('%', '')}"
        if name not in study.number_variants():
            simulate_numbers(study, spec, name)
        rows.append(Row(f"strokes, numbers {words}", "grow", mark_set("stroke", "image"), name))
    return rows


def archive(
    study: Study,
    profile: str,
    seeds: int,
    out: Path,
    *,
    shares: Sequence[float] = (0.01, 0.02, 0.05, 0.1, 0.25, 1.0),
    minutes: float = 20.0,
    kept: bool = True,
    part: tuple[int, int] = (1, 1),
    hours: float | None = None,
    settings: Sequence[str] = (),
    console: Console | None = None,
) -> Path | None:
    """Compute or continue the table of what an archive is worth, and write it from the rows that are done.

    Args:
        study: with full masks; marks and numbers are simulated as far as they are missing.
        profile: small or paper.
        seeds: how many, from 0.
        out: gets ``rows/``, ``archive.csv``, ``archive.md``, ``value.csv`` and ``value.png``.
        shares: of the training images that are marked or masked.
        minutes: of a person, compared over clicks, strokes and masks.
        kept: with the rows of numbers as they may have been kept.
        part: as for :func:`tallymark.experiments.shared_work.share_work`.
        hours: as there.
        settings: for every row alike.
        console: where progress is shown.

    Returns:
        The Markdown file; None where not even full supervision is done.

    Raises:
        ConfigError: there is no such part, or the minutes do not buy a single mask.
    """
    if 60 * minutes < max(SECONDS.values()):
        raise ConfigError(
            "so little time buys no mask to compare with",
            where="--minutes",
            found=f"{minutes:g}",
            expected=f"at least {max(SECONDS.values()) / 60:.2f}",
        )
    for kind in _MARKED.values():
        if mark_set(kind, "image") not in study.marks.sets():
            weaken(study, marks=kind, mark_set=mark_set(kind, "image"))
    numbers = RECORDED if RECORDED in study.number_variants() else EXACT
    config = resolve("grow", profile, settings=settings)
    images = len(study.split("train"))
    planned = supplies(
        images,
        config.optim.batch_size,
        config.optim.epochs_on(images),
        shares=shares,
        minutes=minutes,
        numbers=numbers,
    )
    once = [Row(FULL, FULL, mark_set("stroke", "image"), numbers), *(supply.row for supply in planned)]
    once += kept_rows(study) if kept else []
    rows = [replace(row, seed=seed, settings=(*settings, *row.settings)) for seed in range(seeds) for row in once]
    done = share_work(study, rows, profile, out / "rows", runs=seeds, part=part, hours=hours, console=console)
    if FULL not in done.whole:
        return None
    lines = lines_of(
        study, done.whole, reference=FULL, place=_order(once).__getitem__, floor=lambda name: _floor(done, name)
    )
    _value(planned, done.whole, images, out)
    words = [f"--profile {profile}", f"--seeds {seeds}", f"--shares {','.join(f'{share:g}' for share in shares)}"]
    words += [f"--minutes {minutes:g}", *([] if kept else ["--no-kept"])]
    words += [f"--set {shlex.quote(one)}" for one in settings]
    head = (
        f"# The archive of {study.settings.name}\n\nCommand: `tallymark experiment archive --data STUDY "
        f"{' '.join(words)}`. {images} images to learn from, split by group. {cost_line(done)}"
    )
    return write_tables(list(lines), out, "archive", head=head, foot=_FOOT.format(seeds=seeds))


def _order(rows: Sequence[Row]) -> Mapping[str, int]:
    return {row.name: place for place, row in enumerate(rows)}


def _floor(done: Done, name: str) -> str:
    config = done.whole[name][0].config
    return KNOWN if config.reads_numbers and config.data.numbered > 0 else FIXED


def _value(planned: Sequence[Supply], whole: Mapping[str, list[Result]], images: int, out: Path) -> None:
    """Per-image IoU against a person's seconds, as a table and a figure."""
    every = [*planned, Supply(whole[FULL][0].row, "masks", images * SECONDS["masks"])]
    lines = []
    for supply in every:
        for result in whole.get(supply.row.name, []):
            shown = result.cases[result.cases["true_pixels"] > 0]
            iou = float(shown.groupby("structure")["iou"].mean().mean())
            lines.append({"row": supply.row.name, "kind": supply.kind, "seconds": supply.seconds, "iou": iou})
    frame = pd.DataFrame(lines)
    mean = frame.groupby(["row", "kind", "seconds"], sort=False)["iou"].mean().reset_index()
    write_table(out / "value.csv", mean)
    curves = [
        Curve(str(kind), np.asarray(rows["seconds"]), np.asarray(rows["iou"]))
        for kind, rows in mean.sort_values("seconds").groupby("kind", sort=False)
    ]
    score_against_seconds(curves, out / "value.png")
