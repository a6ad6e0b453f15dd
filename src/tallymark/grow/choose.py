"""Choosing the cost of a growth without a full mask, by how well its outline divides the image."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int
from scipy.ndimage import distance_transform_edt

from tallymark.grow.contrast import separation
from tallymark.grow.costs import Ranks, euclidean, paths, walker
from tallymark.grow.dynamics import thickness
from tallymark.grow.scene import Scene

# Thinner than this share of a disc of its area, a structure is no blob, and a random walk leaks along it.
_THIN = 0.5
# Marks whose straight growth already ends at edges this clear, within this factor of the best, mirror the structure.
_CLEAR, _FACTOR = 0.6, 1.3
# In a volume of more pixels a random walk takes longer than it is worth.
_WALKABLE = 2**19


def choose(scene: Scene) -> tuple[str, Ranks]:
    """The cost for this image and its ranks.

    Straight growth where its outline already divides the image nearly as well as any; else the better of paths and
    walks; no walks where the structure is thin.

    Source: ours. Fixed on breast ultrasound, cardiac MRI, nuclei and kidney CT by their training images; on each it is
        within about a point of IoU of the best single cost.
    """
    grown = {"euclidean": euclidean(scene), "paths": paths(scene)}
    disc = _radius(scene)
    if thickness(grown["paths"] < scene.pixels, scene.spacing) >= _THIN * disc and scene.marks.size <= _WALKABLE:
        grown["walker"] = walker(scene)
    judged = {name: judge(scene, ranks) for name, ranks in grown.items()}
    straight = judged.pop("euclidean")
    best = max(judged, key=lambda name: judged[name])
    if straight > _CLEAR and judged[best] < _FACTOR * straight:
        best = "euclidean"
    return best, grown[best]


def judge(scene: Scene, ranks: Int[np.ndarray, "*window"]) -> float:
    """How well the outline of these ranks divides the image; see :func:`tallymark.grow.contrast.separation`."""
    mask = ranks < scene.pixels
    depth = distance_transform_edt(mask, sampling=scene.spacing) / min(scene.spacing)
    height = distance_transform_edt(~mask, sampling=scene.spacing) / min(scene.spacing)
    return separation(scene.smooth, mask, depth, height)


def _radius(scene: Scene) -> float:
    volume = scene.pixels * math.prod(scene.spacing)
    return math.sqrt(volume / math.pi) if scene.marks.ndim == 2 else math.cbrt(3 * volume / (4 * math.pi))
