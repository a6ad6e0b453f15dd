"""Who sees which image of an archive: a network of close-ups where there is one, else a network of whole images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from tallymark.data.images import Image
from tallymark.data.resize import upsample_probability
from tallymark.data.study import Case, Study
from tallymark.engine.close_up_labels import FEWEST, close_up_config
from tallymark.engine.close_ups import CloseUps, close_ups
from tallymark.engine.config import RunConfig
from tallymark.engine.cross_fit import FoldRun, logits_of, plan, trained
from tallymark.engine.evidence import Evidence, Gatherer
from tallymark.engine.model_file import Model
from tallymark.engine.views import BEYOND

NOTHING = (0.0, 0.0)
"""The share of an image that is known to show nothing of a structure, least and most."""


@dataclass(frozen=True)
class Sight:
    """A network that has not learned from an image, and how it sees it.

    Args:
        run: of the fold that the image is in.
        model: of the run; None: nothing has to be seen, since all structures are known to be absent.
        closer: the close-ups that it sees; None: whole images.
    """

    run: FoldRun
    model: Model | None
    closer: CloseUps | None

    def evidence(self, gatherer: Gatherer, case: Case, image: Image) -> Evidence:
        """The evidence of an image, on it."""
        if self.model is None:
            nothing = np.full((1, len(gatherer.study.structures), *image.space), BEYOND, dtype=np.float32)
            return gatherer.gather(case, image, nothing)
        if self.closer is not None:
            own = self.closer.study.case(case.id)
            return self.closer.evidence(gatherer, case, image, logits_of(self.run, self.model, own, own.read()))
        views = logits_of(self.run, self.model, case, image)
        return gatherer.gather(case, image, np.stack([upsample_probability(view, image.space) for view in views]))


class Sights(NamedTuple):
    """Who sees which image.

    Attributes:
        best: of every image, by its id.
        whole: networks of whole images, by the id of every image; empty where none was needed.
    """

    best: Mapping[str, Sight]
    whole: Mapping[str, Sight]


def sights(
    study: Study,
    config: RunConfig,
    planned: Sequence[FoldRun],
    gatherer: Gatherer,
    kept: Path,
    say: Callable[[str], None],
    console: Console | None,
) -> Sights:
    """Train what is needed to see every image of a study by a network that has not learned from its group.

    Args:
        study: the study.
        config: of the runs, but for the fold.
        planned: the runs on whole images; trained if an image that may show something has no close-up.
        gatherer: knows marks, numbers and growth.
        kept: where close-ups are kept.
        say: tells the user what is done.
        console: where progress of a training is shown; None: nowhere.
    """
    folds, runs = len(planned), planned[0].folder.root.parent
    closer = close_ups(gatherer, study.cases, kept) if config.losses.grown.close_ups else None
    cases = ((run, case) for run in planned for case in run.cases)
    found = {case.id: Sight(run, None, None) for run, case in cases if set(gatherer.shares(case)) == {NOTHING}}
    if closer is not None and len(closer.boxes) >= FEWEST and len({c.group for c in closer.study.cases}) >= folds:
        near = close_up_config(config, len(closer.boxes), len(closer.boxes))
        say(f"close-ups of {len(closer.boxes)} of {len(study.cases)} images")
        found |= _trained(closer.study, plan(closer.study, near, folds, runs), closer, say, console)
    if all(case.id in found for case in study.cases):
        return Sights(found, {})
    whole = _trained(study, planned, None, say, console)
    return Sights(whole | found, whole)


def _trained(
    study: Study,
    planned: Sequence[FoldRun],
    closer: CloseUps | None,
    say: Callable[[str], None],
    console: Console | None,
) -> dict[str, Sight]:
    found: dict[str, Sight] = {}
    what = "network of whole images" if closer is None else "network of close-ups"
    for run in planned:
        there = run.folder.model_file.exists()
        done = f"its {what} is there" if there else f"training a {what} without it"
        say(f"fold {run.fold.number} of {len(planned)}: {done}")
        model = trained(study, run, console)
        found |= {case.id: Sight(run, model, closer) for case in run.cases}
    return found
