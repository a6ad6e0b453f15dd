"""Choosing the cost of a growth without a full mask, by how well its outline divides the image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int
from scipy.ndimage import distance_transform_edt, find_objects, label

from tallymark.grow.contrast import separation
from tallymark.grow.costs import Ranks, blend, consensus, euclidean, paths, revised, walker
from tallymark.grow.dynamics import depth_of, thickness
from tallymark.grow.order import lowest
from tallymark.grow.scene import Scene

# Thinner than this share of a disc of its area, a structure is no blob, and a random walk leaks along it; walks alone
# are for those that are nearly discs.
_THIN, _ROUND = 0.5, 0.75
# No brush made marks of which its widest disc covers less, so that they mirror the structure;
_BRUSHED = 0.95
# others do where they share so much with as many of the deepest pixels of a blend with straight growth (which is made
# where there is a first hint of it), if that divides the image about as well as the best.
_MIRRORED, _HINT, _FAIRLY = 0.45, 0.1, 0.6
# Growth is straight altogether where that divides it nearly as well, less nearly where no brush made the marks.
_NEARLY, _NEARLY_ERODED = 0.8, 0.6


def choose(scene: Scene) -> tuple[str, Ranks]:
    """The cost for this image and its ranks.

    The best of paths, walks and their consensus (no walks where the structure is thin), or what it is revised to. But
    where no brush made the marks, or they look like what erosion leaves of the result: a blend with straight growth, or
    that alone.

    Source: ours. Fixed on breast ultrasound, cardiac MRI and kidney CT with their true masks; above straight growth on
        each, but for eroded marks on tumours of low contrast.
    """
    grown = {"paths": paths(scene)}
    roundness = thickness(grown["paths"] < scene.pixels, scene.spacing) / _radius(scene)
    if roundness >= _THIN:
        grown["consensus"] = consensus(scene)
    judged = {name: judge(scene, ranks) for name, ranks in grown.items()}
    best = max(judged, key=lambda name: judged[name])
    eroded = brushed(scene.marks) < _BRUSHED
    if roundness >= _THIN and (eroded or _mirrored(scene, grown[best]) >= _HINT):
        blended = blend(scene)
        fair = _mirrored(scene, blended) >= _MIRRORED and judge(scene, blended) >= _FAIRLY * judged[best]
        if eroded or fair:
            straight = euclidean(scene)
            clear = judge(scene, straight) > (_NEARLY_ERODED if eroded else _NEARLY) * judged[best]
            return ("euclidean", straight) if clear else ("blend", blended)
    if roundness >= _ROUND:
        grown["walker"] = walker(scene)
        judged["walker"] = judge(scene, grown["walker"])
        best = max(best, "walker", key=lambda name: judged[name])
    again = revised(scene, grown[best])
    return ("revised", again) if judge(scene, again) > judged[best] else (best, grown[best])


def brushed(marks: Bool[np.ndarray, "*window"]) -> float:
    """The share of the marks that a round brush covers which goes wherever it fits, in each piece the widest that does.

    Clicks, discs and lines of one width are covered whole. What erosion leaves of a structure has edges and tips that
    the brush does not reach. (Pixels count alike along all axes: brushes are drawn on the pixels of a screen.)

    Example:
        >>> line, tip = np.zeros((2, 9, 12), dtype=bool)
        >>> line[3:6, 1:11] = tip[4, 1:11] = tip[2:7, 2:7] = True
        >>> brushed(line), round(brushed(tip), 2)
        (1.0, 0.93)
    """
    covered, pieces = 0, label(marks, np.ones((3,) * marks.ndim))[0]
    for piece, box in enumerate(find_objects(pieces), start=1):
        inside = np.pad(pieces[box] == piece, 1)
        depth = distance_transform_edt(inside)
        # Within a pixel of the deepest: a line that runs aslant is not equally wide on the grid.
        centres = depth >= depth.max() - 1
        covered += int((inside & (distance_transform_edt(~centres) <= depth.max())).sum())
    return covered / int(marks.sum())


def mirrored(marks: Bool[np.ndarray, "*window"], mask: Bool[np.ndarray, "*window"], spacing: Sequence[float]) -> float:
    """How much marks look like what erosion leaves of a mask: their overlap (IoU) with its deepest pixels.

    Example:
        >>> mask, marks = np.zeros((2, 9, 9), dtype=bool)
        >>> mask[1:8, 1:8] = marks[3:6, 3:6] = True
        >>> mirrored(marks, mask, (1.0, 1.0)), mirrored(np.roll(marks, 3, axis=0), mask, (1.0, 1.0))
        (1.0, 0.0)
    """
    deepest = lowest(-depth_of(mask, spacing), np.zeros_like(mask), int(marks.sum()))
    return float((deepest & marks).sum() / (deepest | marks).sum())


def judge(scene: Scene, ranks: Int[np.ndarray, "*window"]) -> float:
    """How well the outline of these ranks divides the image; see :func:`tallymark.grow.contrast.separation`."""
    mask = ranks < scene.pixels
    depth = distance_transform_edt(mask, sampling=scene.spacing) / min(scene.spacing)
    height = distance_transform_edt(~mask, sampling=scene.spacing) / min(scene.spacing)
    return separation(scene.smooth, mask, depth, height)


def _mirrored(scene: Scene, ranks: Int[np.ndarray, "*window"]) -> float:
    return mirrored(scene.marks, ranks < scene.pixels, scene.spacing)


def _radius(scene: Scene) -> float:
    volume = scene.pixels * math.prod(scene.spacing)
    return math.sqrt(volume / math.pi) if scene.marks.ndim == 2 else math.cbrt(3 * volume / (4 * math.pi))
