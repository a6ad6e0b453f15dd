"""What a report says, free of how it looks and of where it was read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MISSING = "n/a"


@dataclass(frozen=True)
class Score:
    """One figure of one run.

    Args:
        name: heading of its column; scores of different runs with one name share a column.
        value: the figure, a pair for an interval, None where it could not be computed.
        format: format specification of one value.
        unit: written behind the value.
        explanation: what the score says, in one plain sentence.
        subject: the structure or the statistic that it is about; empty where there is only one.

    Example:
        >>> Score("Overlap (IoU)", 0.48125, ".3f").text
        '0.481'
        >>> Score("Limits of agreement", (-0.02, 0.05), "+.2f").text
        '-0.02 to +0.05'
        >>> Score("Mark hit rate", None).text
        'n/a'
    """

    name: str
    value: float | int | tuple[float, float] | None
    format: str = ".3f"
    unit: str = ""
    explanation: str = ""
    subject: str = ""

    @property
    def text(self) -> str:
        """The value as it is printed."""
        if self.value is None:
            return MISSING
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        if any(math.isnan(value) for value in values):
            return MISSING
        text = " to ".join(format(value, self.format) for value in values)
        return f"{text} {self.unit}" if self.unit else text


@dataclass(frozen=True)
class Example:
    """One image with its masks drawn over it.

    Args:
        id: of the case.
        png: the picture, a file or its bytes.
        caption: why it is shown and its figures, for example ``"best, IoU 0.91"``; line breaks are kept.
    """

    id: str
    png: bytes | Path
    caption: str


@dataclass(frozen=True, eq=False)
class NumberPairs:
    """The number of every evaluated image twice, from which the agreement is drawn.

    Args:
        predicted: (n,); NaN where there is none.
        recorded: (n,), in the same unit.
        name: what the number is, for the axes.
        unit: of both.
    """

    predicted: NDArray[np.float64]
    recorded: NDArray[np.float64]
    name: str = "number"
    unit: str = ""


@dataclass(frozen=True)
class Fact:
    """One thing that the model learned from or was tested on, for example ``Fact("Training images", "120")``."""

    label: str
    value: str


@dataclass(frozen=True)
class Floor:
    """What a rule reaches that never looks at the image; a run has learned something only if it beats this.

    Args:
        name: the rule.
        scores: with the names of the runs' scores.
        explanation: the rule in one plain sentence.
    """

    name: str
    scores: tuple[Score, ...]
    explanation: str = ""


@dataclass(frozen=True, eq=False)
class RunSummary:
    """One run: what it learned from, how well it does, how it looks.

    Args:
        name: of the run.
        recipe: what it learned from, ``paper`` or ``full`` for example.
        seed: of its random draws.
        mask_free: whether no full mask was read in training or selection.
        scores: in the order of the columns.
        learned_from: ``"numbers and marks"`` for example; empty: only whether full masks were read is shown.
        structures: what it was scored on.
        images: how many it was scored on.
        curves_png: training curves, a file or its bytes.
        examples: overlays, usually the best, the median and the worst.
        settings: the configuration, nested.
        environment: versions, revision, platform.
        numbers: one for each statistic.
    """

    name: str
    recipe: str
    seed: int
    mask_free: bool
    scores: tuple[Score, ...]
    learned_from: str = ""
    structures: tuple[str, ...] = ()
    images: int = 0
    curves_png: bytes | Path | None = None
    examples: tuple[Example, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)
    numbers: tuple[NumberPairs, ...] = ()


@dataclass(frozen=True, eq=False)
class ReportContent:
    """A whole report.

    Args:
        title: the heading.
        lead: one or two sentences on what the page shows.
        runs: at least one, in the order of the page.
        synthetic: whether the images were made by a computer; the page then says so at the top.
        facts: what was learned from and tested on.
        floors: rules that never look at the image, in the order of the table.
        structures: names in the order of their colours; more than one gives the legend an entry each.
        notes: caveats, one sentence each.
        command: the command that makes the page again.
    """

    title: str
    lead: str
    runs: tuple[RunSummary, ...]
    synthetic: bool = False
    facts: tuple[Fact, ...] = ()
    floors: tuple[Floor, ...] = ()
    structures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    command: str = ""
