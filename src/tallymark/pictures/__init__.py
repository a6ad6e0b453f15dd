"""Arrays in, pictures out: overlays of masks, sheets of cases, training curves and agreement of numbers.

Knows arrays and paths only. Every picture is a PNG written whole or not at all, in colours that colour-blind readers
can tell apart (:data:`~tallymark.pictures.palette.OKABE_ITO`). Pillow and matplotlib load when a picture is drawn.
"""

from __future__ import annotations

from tallymark.pictures.agreement import bland_altman, number_scatter
from tallymark.pictures.files import png_bytes, save_png
from tallymark.pictures.outlines import encircled, enlargement, fullest_slice, overlay
from tallymark.pictures.palette import OKABE_ITO, colour_hex, structure_colour
from tallymark.pictures.sheet import Panel, overlay_sheet
from tallymark.pictures.training import curves
from tallymark.pictures.value import Curve, score_against_seconds

__all__ = [
    "OKABE_ITO",
    "Curve",
    "Panel",
    "bland_altman",
    "colour_hex",
    "curves",
    "encircled",
    "enlargement",
    "fullest_slice",
    "number_scatter",
    "overlay",
    "overlay_sheet",
    "png_bytes",
    "save_png",
    "score_against_seconds",
    "structure_colour",
]
