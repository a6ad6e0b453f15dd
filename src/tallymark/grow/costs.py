"""The costs by which a mask can grow: each gives every pixel its place in the order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from tallymark.grow.contrast import likeness, steepness
from tallymark.grow.dynamics import evolve, sides, thickness
from tallymark.grow.paths import path_cost
from tallymark.grow.scene import Scene

Ranks = Int[np.ndarray, "*window"]

# How near a blend keeps to where it began, straight growth above all.
_HOLD = 0.8
_LOOKS_ROUNDS, _LOOKS_LIMIT = 4, 50.0


def euclidean(scene: Scene) -> Ranks:
    """By distance to the nearest mark: no image is needed, and eroded marks grow back to nearly what they were."""
    return scene.rank(scene.straight)


def paths(scene: Scene) -> Ranks:
    """By distance plus contrast along the cheapest way, then smoothed at the exact area (threshold dynamics)."""
    return _refined(scene, scene.along)


def walker(scene: Scene) -> Ranks:
    """By random walks, then smoothed at the exact area (threshold dynamics)."""
    return _refined(scene, scene.walked)


def consensus(scene: Scene) -> Ranks:
    """By the mean order of random walks and minimal paths, then smoothed at the exact area (threshold dynamics)."""
    return _refined(scene, (scene.along + scene.walked) / 2)


def revised(scene: Scene, ranks: Ranks | None = None) -> Ranks:
    """Minimal paths a second time, mixed with a first growth: a step is as dear as it looks unlike that.

    The surroundings of a click show little of a structure; what grew from it shows more.

    Args:
        scene: to grow in.
        ranks: of the first growth; None: the consensus of paths and walks.
    """
    ranks = consensus(scene) if ranks is None else ranks
    mask = ranks < scene.pixels
    ratio = sides(scene.features, mask, thickness(mask, scene.spacing), scene.spacing)
    if ratio is None:
        return ranks
    step = 2.0 / (1.0 + np.exp(ratio)) + 2.0 * steepness(scene.smooth, scene.spacing)
    along = scene.straight + path_cost(step, scene.marks, scene.walls, scene.spacing)
    return _refined(scene, (scene.order(scene.rank(along)) + scene.order(ranks)) / 2)


def blend(scene: Scene) -> Ranks:
    """By distance as much as by what the image shows: for marks that mirror the outline, as eroded masks do."""
    order = (2 * scene.order(scene.rank(scene.straight)) + scene.along + scene.walked) / 4
    return evolve(scene.features, order, scene.first, scene.pixels, scene.spacing, _HOLD)


def _refined(scene: Scene, order: Float[np.ndarray, "*window"]) -> Ranks:
    return evolve(scene.features, order, scene.first, scene.pixels, scene.spacing)


def appearance(scene: Scene) -> Ranks:
    """By looks alone, wherever in the image: for many like components of which some are marked, as nuclei are."""
    ranks = euclidean(scene)
    # One pixel has no spread to learn from.
    mask = scene.marks if scene.marks.sum() > 1 else ranks < scene.pixels
    # What looks alike comes by its distance.
    nearness = 1e-4 * scene.distance / (scene.distance.max() + 1e-9)
    for _ in range(_LOOKS_ROUNDS):
        ranks = scene.rank(nearness - looks(scene, mask))
        previous, mask = mask, ranks < scene.pixels
        if np.array_equal(mask, previous):
            break
    return ranks


def looks(scene: Scene, inside: Bool[np.ndarray, "*window"]) -> np.ndarray:
    """How much more each pixel looks like the inside than like the rest: a log-likelihood ratio."""
    # The coarsest scale sees the neighbourhood, not the pixel.
    features = scene.features[..., : 2 * scene.picture.shape[-1]]
    flat, here = features.reshape(-1, features.shape[-1]), inside.ravel()
    if min(here.sum(), (~here).sum()) < 2:
        return np.zeros(inside.shape)
    return likeness(flat, here, ~here, _LOOKS_LIMIT).reshape(inside.shape)


COSTS: dict[str, Callable[[Scene], Ranks]] = {
    "euclidean": euclidean,
    "paths": paths,
    "walker": walker,
    "consensus": consensus,
    "revised": revised,
    "blend": blend,
    "appearance": appearance,
}
# These look at the whole image; the others at what lies around the marks.
EVERYWHERE = {"appearance"}
