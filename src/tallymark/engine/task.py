"""What a network is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from tallymark.data.study import Study
from tallymark.measure.definition import Statistic


@dataclass(frozen=True)
class Task:
    """What a network is asked for: the structures it outlines and the statistics it must reproduce.

    Args:
        structures: names, in the order of the network's outputs.
        statistics: in the order of a batch's numbers.
        image_channels: 1 or 3.
        dimension: 2 or 3 space axes.
        window: intensities shown as 0 and 1; None for 8-bit images.
    """

    structures: tuple[str, ...]
    statistics: tuple[Statistic, ...]
    image_channels: int
    dimension: int
    window: tuple[float, float] | None = None


def study_task(study: Study) -> Task:
    """What a network trained on this study is asked for."""
    image = study.settings.image
    return Task(study.structures, study.statistics, image.channels, image.dimension, image.window)
