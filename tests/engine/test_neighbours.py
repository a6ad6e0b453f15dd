"""Scores after their neighbours were heard: on any grid, at the known sizes, and only where an image is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tallymark.data.study import Case
from tallymark.datasets.phantom import draw_phantom
from tallymark.engine.evidence import Evidence
from tallymark.engine.neighbours import neighbours_say
from tallymark.engine.outlines import outlines, scored


def blurred(seed: int, side: int = 96) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image, the true lesion, and scores of a network that has seen it coarsely and with errors."""
    phantom = draw_phantom(seed, side)
    truth = phantom.masks["lesion"]
    coarse = truth.reshape(side // 8, 8, side // 8, 8).mean(axis=(1, 3))
    coarse = coarse + 0.15 * np.random.default_rng(seed).standard_normal(coarse.shape)
    score = 8 * np.kron(coarse, np.ones((8, 8))) - 4
    return phantom.image[..., None] / 255.0, truth, score[None].astype(np.float32)


def evidence(score: np.ndarray, size: float, **changed: np.ndarray) -> Evidence:
    nothing = np.zeros(score.shape, dtype=bool)
    known = {"marks": nothing, "excluded": nothing[0]} | changed
    return Evidence(
        Case("a", Path("a.png")),
        logits=score[None],
        order=np.full(score.shape, np.nan, dtype=np.float32),
        least=np.array([size]),
        most=np.array([size]),
        shared=np.array([False]),
        **known,
    )


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


def test_outlines_follow_the_image_and_keep_the_number() -> None:
    before, after = [], []
    for seed in range(6):
        image, truth, score = blurred(seed)
        known = evidence(score, float(truth.sum()))
        alone, together = (
            outlines([scored(known, np.zeros(1), image=given)])[0][0] for given in (None, image.astype(np.float32))
        )
        assert alone.sum() == together.sum() == truth.sum()
        before.append(overlap(alone, truth))
        after.append(overlap(together, truth))
    assert np.mean(after) > np.mean(before) + 0.03
    assert np.median(np.subtract(after, before)) > 0


def test_a_larger_image_of_the_same_says_the_same() -> None:
    image, truth, score = blurred(1, 128)
    size = np.array([float(truth.sum())])
    once = neighbours_say(score, image, size, size)
    twice = neighbours_say(
        score.repeat(3, axis=1).repeat(3, axis=2), np.kron(image, np.ones((3, 3, 1))), 9 * size, 9 * size
    )
    there = once > -15
    assert np.abs(twice[:, 1::3, 1::3] - once)[there].mean() < 1.5
    assert np.corrcoef(twice[:, 1::3, 1::3][there], once[there])[0, 1] > 0.97


def test_what_is_marked_as_nothing_stays_nothing_and_marks_stay() -> None:
    image, truth, score = blurred(2)
    marks, excluded = np.zeros_like(score, dtype=bool), np.zeros(truth.shape, dtype=bool)
    inside, outside = np.argwhere(truth)[truth.sum() // 2], np.argwhere(~truth)[0]
    marks[(0, *outside)] = excluded[tuple(inside)] = True
    known = evidence(score, float(truth.sum()), marks=marks, excluded=excluded)
    mask = outlines([scored(known, np.zeros(1), image=image)])[0][0]
    assert mask[tuple(outside)]
    assert not mask[tuple(inside)]
    assert mask.sum() == truth.sum()


@pytest.mark.parametrize("size", [np.nan, 0.0])
def test_without_a_size_nobody_is_heard(size: float) -> None:
    image, _, score = blurred(3)
    assert (neighbours_say(score, image, np.array([size]), np.array([size])) == 0).all()


def test_volumes_are_ranked_one_by_one() -> None:
    score = np.random.default_rng(0).standard_normal((1, 4, 5, 6)).astype(np.float32)
    known = evidence(score, 20.0)
    image = np.random.default_rng(1).random((4, 5, 6, 1)).astype(np.float32)
    given, without = (scored(known, np.zeros(1), image=one).score for one in (image, None))
    assert np.array_equal(given, without)


def test_colours_are_seen() -> None:
    """Two colours of the same brightness are not alike."""
    truth = np.zeros((32, 32), dtype=bool)
    truth[8:24, 10:20] = True
    image = np.where(truth[..., None], (0.8, 0.2, 0.5), (0.2, 0.8, 0.5)).astype(np.float32)
    image += 0.02 * np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)
    score = np.zeros((1, 32, 32), dtype=np.float32) - 2
    score[0, 10:26, 10:20] = 2.0
    known = evidence(score, float(truth.sum()))
    alone, together = (outlines([scored(known, np.zeros(1), image=one)])[0][0] for one in (None, image))
    assert overlap(alone, truth) < 0.8
    assert overlap(together, truth) > overlap(alone, truth)
