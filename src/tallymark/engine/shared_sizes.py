"""Sizes that no number of an image tells by itself: its part of what is kept of its group, or of a ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float

from tallymark.core.ratio import project_ratio
from tallymark.data.images import image_space
from tallymark.data.study import Number, Study
from tallymark.engine.evidence import Evidence, numbers_as_batch
from tallymark.engine.groups import read_groups, shared_by_scores, shares_of_groups
from tallymark.engine.known_ratio import free_ratios
from tallymark.engine.known_size import known_fractions
from tallymark.engine.labels import Ranking, against_others
from tallymark.engine.task import study_task


class SharedSizes:
    """Shares out what was kept of several images together, and divides what was kept as a ratio, by the networks.

    Args:
        study: the study.
        numbers: of its images, by case id and statistic; those that follow exactly from numbers of groups are added.
        of_groups: numbers of groups, by group and statistic.
    """

    def __init__(
        self, study: Study, numbers: dict[tuple[str, str], Number], of_groups: Mapping[tuple[str, str], Number]
    ) -> None:
        self._task = study_task(study)
        self._position = {case.id: position for position, case in enumerate(study.cases)}
        pixels = [float(math.prod(image_space(case.image))) for case in study.cases]
        self._groups = read_groups(study, study.cases, numbers, of_groups, pixels)
        self._numbers = numbers
        if self._groups is not None:
            edges = [math.nan if case.spacing is None else math.prod(case.spacing) for case in study.cases]
            extent = torch.tensor([n * edge for n, edge in zip(pixels, edges, strict=True)], dtype=torch.float32)
            self._shares = shares_of_groups(self._task, self._groups, extent)

    def of(self, group: Sequence[Evidence]) -> list[Float[np.ndarray, " k"]]:
        """What the networks say of the sizes that no number of an image tells.

        Of a group's number each image has what lies above one threshold for all of them, marks in any case: together
        exactly the number. Of a ratio's structures the networks' own sizes are changed where they are least sure, until
        the ratio holds.

        Args:
            group: all images of a group.

        Returns:
            For each image the share of it that each structure covers; NaN where its own numbers tell, or nothing does.
        """
        rankings = [_ranking(evidence) for evidence in group]
        fixed = torch.full((len(group), len(self._task.structures)), torch.nan)
        found = torch.full_like(fixed, torch.nan)
        for place, (evidence, ranked) in enumerate(zip(group, rankings, strict=True)):
            batch = numbers_as_batch(evidence.case, evidence.excluded.shape, self._numbers, self._task)
            sizes = known_fractions(self._task, batch)
            fixed[place] = sizes.middle()[0]
            for ratio in free_ratios(self._task, batch, sizes):
                score, forced, barred = (None if part is None else part[None] for part in ranked)
                assert score is not None
                masks = project_ratio(
                    score,
                    ratio.of,
                    ratio.over,
                    torch.full_like(ratio.low, torch.nan),
                    ratio.low,
                    ratio.high,
                    forced=forced,
                    barred=barred,
                )
                found[place, ratio.named] = masks[0, ratio.named].flatten(1).mean(dim=1).to(found)
        if self._groups is not None:
            positions = [self._position[evidence.case.id] for evidence in group]
            number = int(self._groups.of[positions[0]])
            if number >= 0:
                shares = self._shares.share[:, number], self._shares.weight[positions]
                apart = shared_by_scores(rankings, *shares, fixed)
                found = torch.where(apart.isnan(), found, apart)
        return [np.asarray(row, dtype=np.float64) for row in torch.where(fixed.isnan(), found, torch.nan).numpy()]


def _ranking(evidence: Evidence) -> Ranking:
    """By the networks alone: the order of growth is that of a size, which is looked for here."""
    logit = against_others(torch.from_numpy(evidence.logit.astype(np.float32))[None])[0]
    others = evidence.marks.any(axis=0) & ~evidence.marks
    return Ranking(logit, torch.from_numpy(evidence.marks), torch.from_numpy(others | evidence.excluded))
