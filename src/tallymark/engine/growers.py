"""How the marks of a study are grown: by a cost, or by what a promptable network proposes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Shaped

from tallymark.engine.config import GrownTerm
from tallymark.errors import ConfigError
from tallymark.grow import AreaLike, Growth, grow_candidates, grow_together
from tallymark.models.promptable import PromptableNetwork

_CANDIDATES = "candidates"


class _Grow(Protocol):
    def __call__(
        self,
        marks: Mapping[str, Bool[np.ndarray, "*space"]],
        areas: Mapping[str, AreaLike],
        image: Shaped[np.ndarray, "*image"],
        spacing: Sequence[float],
        *,
        excluded: Mapping[str, Bool[np.ndarray, "*space"]],
        wholes: Sequence[tuple[str, str]],
    ) -> dict[str, Growth]: ...


class Straight(NamedTuple):
    """Growth by distance alone, beside another; the parts of a whole are divided by looks in both.

    Attributes:
        grow: all structures of one image.
        share: in the labels, in [0, 1].
    """

    grow: _Grow
    share: float


class Grower(NamedTuple):
    """A way to grow marks.

    Attributes:
        key: what a cache of its growths depends on.
        grow: all structures of one image, as :func:`tallymark.grow.grow_together`.
        straight: growth by distance alone beside it, and its share in the labels; None: none.
    """

    key: str
    grow: _Grow
    straight: Straight | None = None


def grower(term: GrownTerm, accelerator: str = "cpu") -> Grower:
    """The way to grow that the settings of a run ask for.

    Args:
        term: the settings.
        accelerator: of the run; a promptable network computes on the GPU where the run may.

    Raises:
        ConfigError: a network without its folder of weights, or a folder that nothing reads or that holds none.
        CheckpointError: the folder holds another kind of network.

    Example:
        >>> grower(GrownTerm(cost="paths")).key
        'paths and straight by 0.5'
    """
    if (term.cost == _CANDIDATES) != (term.weights is not None):
        raise ConfigError(
            "the cost 'candidates' and a folder of weights go together",
            where="key losses.grown",
            found=f"cost = {term.cost}, weights = {term.weights or 'none'}",
            expected="both or neither",
            remedy="--set losses.grown.cost=candidates --set losses.grown.weights=FOLDER",
        )
    key = "" if term.trust else " of marks that may err"
    straight: Straight | None = None
    if term.straight > 0 and term.cost != "euclidean":
        key = f" and straight by {term.straight:g}{key}"
        straight = Straight(partial(grow_together, cost="euclidean", trust=term.trust), term.straight)
    if term.weights is None:
        return Grower(term.cost + key, partial(grow_together, cost=term.cost, trust=term.trust), straight)
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    network = PromptableNetwork(term.weights, "cuda" if on_gpu else "cpu")
    look = partial(_each_alone, network=network, trust=term.trust)
    return Grower(f"{_CANDIDATES} of {network.sha256}{key}", look, straight)


def _each_alone(
    marks: Mapping[str, Bool[np.ndarray, "*space"]],
    areas: Mapping[str, AreaLike],
    image: Shaped[np.ndarray, "*image"],
    spacing: Sequence[float],
    *,
    excluded: Mapping[str, Bool[np.ndarray, "*space"]],
    wholes: Sequence[tuple[str, str]],
    network: PromptableNetwork,
    trust: bool,
) -> dict[str, Growth]:
    """A network's candidates of each structure, the marks of the others as walls; they may overlap."""
    grown = {}
    for name, own in marks.items():
        others = [mask for other, mask in marks.items() if other != name]
        walls = np.logical_or.reduce([excluded[name], *others])
        grown[name] = grow_candidates(own, areas[name], image, network.look, spacing, excluded=walls, trust=trust)
    return grown
