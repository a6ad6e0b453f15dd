"""Exact statistics of masks in NumPy: the reference that the differentiable ones are tested against."""

from __future__ import annotations

from tallymark.measure.agreement import BlandAltman, bland_altman, mark_hit_rate, mean_absolute_error
from tallymark.measure.definition import UNITS, Kind, Statistic
from tallymark.measure.diameter import diameters, longest_diameter
from tallymark.measure.overlap import Overlap, dice, iou, pooled_iou
from tallymark.measure.statistics import (
    area,
    area_fraction,
    area_ratio,
    axis_lengths,
    centroid,
    evaluate,
    mean_intensity,
)

__all__ = [
    "UNITS",
    "BlandAltman",
    "Kind",
    "Overlap",
    "Statistic",
    "area",
    "area_fraction",
    "area_ratio",
    "axis_lengths",
    "bland_altman",
    "centroid",
    "diameters",
    "dice",
    "evaluate",
    "iou",
    "longest_diameter",
    "mark_hit_rate",
    "mean_absolute_error",
    "mean_intensity",
    "pooled_iou",
]
