"""Near pixels that look alike belong together: scores after they have heard their neighbours, at the known sizes."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from tallymark.core.reduce import full_precision, require_same_shape
from tallymark.core.window import Pairs, bilateral
from tallymark.errors import ConfigError

_ROUNDS = 6
# Steps by which the sizes are met: from the scores themselves, and after every round.
_FIRST, _AGAIN = 12, 4
_FARTHEST_STEP = 3.0
# Scores beyond are as sure as can be, and no neighbour talks them out of it.
_SUREST = 15.0
_NEVER = -1e4


def heard(
    score: Float[Tensor, "b k *space"],
    image: Float[Tensor, "b c *space"],
    least: Float[Tensor, "b k"],
    most: Float[Tensor, "b k"],
    *,
    strength: float = 16.0,
    position: float = 3.0,
    intensity: float = 0.3,
) -> Float[Tensor, "b k *space"]:
    """What the neighbours of every pixel say for each structure, in logits to be added to its score.

    A pixel is of one structure or of none (a softmax, in which none scores 0), and every other pixel i of its window
    speaks for what that is, with the weight exp(-d^2 / (2 position^2) - e^2 / (2 s^2)): d the distance in pixels, e the
    difference of the intensities, and s the ``intensity`` times the standard deviation of the intensities inside of
    the structures, as the scores have them. After every round all scores of a structure are moved alike, so that the
    probabilities add up to its size; the moves are not part of what is given back.

    Args:
        score: logits, or anything that ranks pixels and is above 0 where a structure is believed to be; finite.
        image: intensities in any unit; the squared differences of the channels add up.
        least: pixels of each structure, at least; NaN where nothing is known.
        most: pixels of each structure, at most; NaN where nothing is known.
        strength: logits that a pixel gets if all of its window looks alike and is of one structure; >= 0.
        position: standard deviation in pixels, > 0; the window ends after one and a half of it.
        intensity: in standard deviations of the intensities inside, > 0.

    Returns:
        Without a gradient, between -strength and strength.

    Raises:
        ConfigError: a strength or a deviation out of range.
        GeometryError: shapes that do not fit.

    Source: mean-field inference in a conditional random field of pixels with a bilateral kernel (Krähenbühl & Koltun
        2011, arXiv 1210.5644). Ours: a window in place of all pixels, the known sizes, and a kernel that takes its unit
        of intensity from the structures themselves.

    Example:
        >>> image = torch.tensor([[[0.9, 0.8, 0.9, 0.1, 0.2, 0.1]]])
        >>> score, two = torch.tensor([[[3.0, 2.0, -0.5, 0.0, -2.0, -3.0]]]), torch.tensor([[3.0]])
        >>> (score + heard(score, image, two, two, intensity=2.0)).argsort(descending=True)[0, 0, :3].tolist()
        [0, 1, 2]
    """
    if not (strength >= 0 and position > 0 and intensity > 0):
        raise ConfigError(
            "the neighbourhood is out of range",
            found=f"strength {strength}, position {position}, intensity {intensity}",
            expected="a strength of at least 0 and deviations > 0",
        )
    require_same_shape(score[:, :1], image[:, :1], "score and image")
    with torch.no_grad():
        own = full_precision(score).clamp(-_SUREST, _SUREST)
        sizes = least.to(own), most.to(own)
        absent = (sizes[1] == 0).reshape(*sizes[1].shape, *(1,) * (score.ndim - 2))
        own = torch.where(absent, _NEVER, own)
        belief, moved = _balanced(own, _start(own, *sizes), *sizes, _FIRST)
        shade = image.to(own) / _unlike(image.to(own), belief, intensity)
        kernel = list(bilateral(shade, math.ceil(1.5 * position), position))
        total = 2 * sum(pairs.alike for pairs in kernel)
        said = torch.zeros_like(own)
        for _ in range(_ROUNDS):
            said = strength / max(total, 1e-12) * _said(belief, kernel)
            belief, moved = _balanced(own + said, moved, *sizes, _AGAIN)
        return said.to(score.dtype)


def _start(own: Tensor, least: Tensor, most: Tensor) -> Tensor:
    """Minus the score at which a mask of the known size ends; 0 where it has such a size, or none is known."""
    ranked = own.flatten(2).sort(dim=2, descending=True).values
    wanted = (ranked > 0).sum(dim=2).to(least)
    count = torch.minimum(torch.maximum(wanted, least), most)
    last = count.nan_to_num(1).long().clamp(1, ranked.shape[2]) - 1
    return torch.where(count.isnan() | (count == wanted), 0.0, -ranked.gather(2, last[..., None])[..., 0])


def _balanced(own: Tensor, moved: Tensor, least: Tensor, most: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Probabilities of none and of each structure, moved until they add up to the known sizes."""
    each = (*moved.shape, *(1,) * (own.ndim - 2))
    for step in range(steps + 1):
        logits = own + moved.reshape(each)
        belief = torch.cat([torch.zeros_like(own[:, :1]), logits], dim=1).softmax(dim=1)
        if step < steps:
            size = belief[:, 1:].flatten(2).sum(dim=2)
            # NaN, where nothing is known, asks for nothing.
            wanted = torch.minimum(torch.maximum(size, least), most).clamp(min=1e-6)
            move = (wanted / size.clamp(min=1e-6)).log().clamp(-_FARTHEST_STEP, _FARTHEST_STEP)
            moved = moved + torch.where(wanted.isnan(), 0.0, move)
    return belief, moved


def _unlike(image: Tensor, belief: Tensor, intensity: float) -> Tensor:
    """By how much pixels must differ to be unlike: a share of the deviation of the intensities inside."""
    inside = belief[:, 1:].flatten(2)
    grey = image.flatten(2)
    mass = inside.sum(dim=2).clamp(min=1e-6)
    mean = torch.einsum("bkn,bcn->bkc", inside, grey) / mass[..., None]
    square = torch.einsum("bkn,bcn->bkc", inside, grey.square()) / mass[..., None]
    variance = (square - mean.square()).clamp(min=0).sum(dim=2)
    spread = (intensity**2 * (variance * mass).sum(dim=1) / mass.sum(dim=1)).clamp(min=1e-8)
    return spread.sqrt().reshape(-1, *(1,) * (image.ndim - 1))


def _said(belief: Tensor, kernel: list[Pairs]) -> Tensor:
    """For each structure, how much more the neighbours are of it than of none."""
    more = belief[:, 1:] - belief[:, :1]
    said = torch.zeros_like(more)
    for here, there, weight, _ in kernel:
        said[here] += weight * more[there]
        said[there] += weight * more[here]
    return said
