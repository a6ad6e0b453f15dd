"""The numbers that full masks give exactly: what every simulated variant starts from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from jaxtyping import Bool

from tallymark import measure
from tallymark.data.images import normalise
from tallymark.data.study import Case, NumberRow, Study
from tallymark.datasets.pairs import Track
from tallymark.errors import StudyError

EXACT = "exact"
"""The variant of the numbers that are measured on full masks."""

Masks = Mapping[str, Bool[np.ndarray, "*space"]]
"""The full masks of a case, by structure, as far as there are any."""

Result = TypeVar("Result")


def measure_exact(study: Study, *, track: Track = iter) -> int:
    """Measure the study's statistics on its full masks and store them as the variant ``exact``.

    Args:
        study: with full masks.
        track: wraps the cases while they are worked through, to show progress.

    Returns:
        How many numbers were written. A statistic of a structure that has no mask on an image, and a ratio of nothing
        to nothing, have none.

    Raises:
        StudyError: no full masks.
        GeometryError: a number in mm where the size of a pixel is not known.
        ReadError: an image or a mask cannot be read; nothing is written then.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import PIL.Image
        >>> from tallymark.datasets.pairs import import_pairs
        >>> mask = np.zeros((10, 10), dtype=np.uint8)
        >>> mask[2:7, 2:7] = 255
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("a.png", "a_mask.png"):
        ...         PIL.Image.fromarray(mask).save(Path(folder) / name)
        ...     _ = import_pairs(folder, None, Path(folder) / "study")
        ...     study = Study.open(Path(folder) / "study")
        ...     measure_exact(study), study.numbers("exact")["a", "lesion_fraction"].value
        (1, 0.25)
    """
    of_cases = for_masked(study, lambda case, masks: exact_numbers(study, case, masks), track)
    rows = [row for numbers in of_cases for row in numbers]
    study.add_numbers(rows, EXACT)
    return len(rows)


def for_masked(study: Study, work: Callable[[Case, Masks], Result], track: Track) -> list[Result]:
    """Work through all cases that have any full mask, in threads.

    Raises:
        StudyError: there are none.
    """
    truth = study.truth
    names = {case.id: [name for name in study.structures if truth.has(case.id, name)] for case in study.cases}
    masked = [case for case in study.cases if names[case.id]]
    if not masked:
        raise StudyError("no image has a full mask", where=study.folder, remedy="import the study with its masks")
    with ThreadPoolExecutor(max_workers=4) as pool:
        futures = [
            pool.submit(lambda case: work(case, {name: truth.mask(case, name) for name in names[case.id]}), case)
            for case in masked
        ]
        try:
            return [future.result() for future in track(futures)]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def exact_numbers(study: Study, case: Case, masks: Masks) -> list[NumberRow]:
    """The exact value, in the unit of the table, of every statistic whose structures all have masks."""
    known = [statistic for statistic in study.statistics if {*statistic.of, *statistic.over} <= masks.keys()]
    image = None
    if any(statistic.kind == "mean_intensity" for statistic in known):
        image = normalise(case.read(), study.settings.image.channels, study.settings.image.window)
    values = measure.evaluate(known, masks, spacing_mm=case.spacing, image=image)
    return [
        NumberRow(case.id, name, value=value, variant=EXACT)
        for name, value in values.items()
        if not math.isnan(value)  # a ratio of nothing to nothing is no number
    ]
