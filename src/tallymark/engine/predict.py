"""Prediction: masks at the original size and geometry, the numbers they give, and pictures to look at."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tallymark.data.formats import VOLUMES, suffix_of
from tallymark.data.images import Image, normalise, read_image, write_mask
from tallymark.data.matching import stem_of
from tallymark.data.resize import upsample_probability
from tallymark.data.tables import write_table
from tallymark.datasets.naming import Pair, pair_files
from tallymark.datasets.pairs import read_groups
from tallymark.engine.model_file import Model, load_model
from tallymark.engine.objective import needs_spacing
from tallymark.engine.run_folder import RunFolder
from tallymark.engine.task import Task
from tallymark.engine.views import flipped_logits, network_input
from tallymark.errors import GeometryError
from tallymark.measure import Statistic
from tallymark.measure import evaluate as measure_statistics
from tallymark.measure.certainty import expected_overlap
from tallymark.measure.groups import pooled, weight
from tallymark.pictures import enlargement, overlay, save_png


@dataclass(frozen=True)
class Request:
    """One image to predict: its id, its file and, where a table knows better than the file, its pixel size in mm."""

    id: str
    image: Path
    spacing_mm: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image.

    Args:
        request: which image was asked for.
        image: as it was read.
        probability: of every structure at every pixel of the original image, in [0, 1].
        masks: the probability cut at the configuration's threshold, without overlap unless that is asked for.
        numbers: the study's statistics of the masks, in the units of its table; NaN where the pixel size is not known.
    """

    request: Request
    image: Image
    probability: Float[np.ndarray, "k *space"]
    masks: Mapping[str, Bool[np.ndarray, "*space"]]
    numbers: Mapping[str, float]


def predict(
    run: Path | str, images: Path | str, out: Path | str, *, groups: Path | str | None = None, batch_size: int = 16
) -> pd.DataFrame:
    """Predict every image of a folder (or one image) and write what comes out.

    Args:
        run: the run's folder, or a ``model.pt``.
        images: a folder, searched with its subfolders, or one image file.
        out: gets ``masks/`` (0 and 255, or 0 and 1 in volumes, in the format and geometry of the image; one file a
            structure), ``overlays/``, ``numbers.csv`` and ``certainty.csv``; ``group-numbers.csv`` as well where there
            are groups.
        groups: CSV with the columns id and group of every image; the images of a group have their numbers together too.
        batch_size: images at once; changes the speed, not the result.

    Returns:
        The rows of ``numbers.csv``: id, statistic, value, unit.

    Raises:
        CheckpointError: the model cannot be used.
        ReadError: an image cannot be read; names it.
        GeometryError: an image has another number of axes than the model expects.
        StudyError: an image has no group in the table.
        StorageError: a result cannot be written.
    """
    model = load_model(_model_file(Path(run)), device=best_device())
    images = Path(images)
    pairs = [Pair(stem_of(images), images, (), "")] if images.is_file() else pair_files(images, allow_missing=True)
    requests = [Request(pair.id, pair.image) for pair in pairs]
    of = None if groups is None else read_groups(Path(groups), pairs)
    return write_predictions(predictions(model, requests, batch_size=batch_size), model, Path(out), groups=of)


def predictions(model: Model, requests: Iterable[Request], *, batch_size: int = 16) -> Iterator[Prediction]:
    """Predict images one after the other; only a batch is in memory at a time."""
    device = next(model.network.parameters()).device
    for some in _batched(requests, batch_size):
        images = [_read(request, model) for request in some]
        inputs = [network_input(image, model) for image in images]
        probability = flip_averaged(model, torch.from_numpy(np.stack(inputs)).to(device))
        for request, image, prob in zip(some, images, probability, strict=True):
            full = upsample_probability(prob.cpu().numpy(), image.space)
            yield _prediction(request, image, full, model)


def flip_averaged(model: Model, image: Float[Tensor, "b c *space"]) -> Float[Tensor, "b k *space"]:
    """Probabilities, averaged over the views of :func:`tallymark.engine.views.flipped_logits`.

    Args:
        model: with a network in evaluation mode.
        image: in [0, 1], at the network's size, on the network's device.
    """
    return flipped_logits(model, image).sigmoid().mean(dim=0)


def write_predictions(
    results: Iterable[Prediction],
    model: Model,
    out: Path,
    *,
    overlays: bool = True,
    groups: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Write masks, overlays and numbers as they come; the tables last, so that their presence means all is there.

    ``certainty.csv`` says how much overlap the model expects of each mask (:func:`expected_overlap`).
    """
    rows, sure = [], []
    of_images: dict[tuple[str, Statistic], list[tuple[float, float]]] = defaultdict(list)
    for result in results:
        for structure, mask in result.masks.items():
            write_mask(mask_file(out, result.request, structure, model.task), mask, result.image)
        if overlays:
            image = normalise(result.image, model.task.image_channels, model.task.window)
            picture = overlay(image, np.stack(list(result.masks.values())), enlarge=enlargement(result.image.space))
            save_png(picture, out / "overlays" / f"{result.request.id}.png")
        for statistic in model.task.statistics:
            value = result.numbers[statistic.name]
            rows.append({"id": result.request.id, "statistic": statistic.name, "value": value, "unit": statistic.unit})
            if groups is not None:
                part = (weight(statistic, result.masks), value)
                of_images[groups[result.request.id], statistic].append(part)
        for k, (structure, mask) in enumerate(result.masks.items()):
            overlap = expected_overlap(result.probability[k], mask)
            sure.append({"id": result.request.id, "structure": structure, "expected_overlap": round(overlap, 4)})
    write_table(out / "certainty.csv", pd.DataFrame(sure, columns=["id", "structure", "expected_overlap"]))
    frame = pd.DataFrame(rows, columns=["id", "statistic", "value", "unit"])
    if groups is not None:
        together = [
            (group, statistic.name, pooled(statistic, *zip(*parts, strict=True)), statistic.unit, len(parts))
            for (group, statistic), parts in of_images.items()
        ]
        table = pd.DataFrame(together, columns=["group", "statistic", "value", "unit", "images"])
        write_table(out / "group-numbers.csv", table)
    write_table(out / "numbers.csv", frame)
    return frame


def mask_file(out: Path, request: Request, structure: str, task: Task) -> Path:
    """Where a mask goes: ``masks/<id>`` alone, ``masks/<id>_<structure>`` where there are several structures.

    A picture's mask is a PNG, whatever the picture was; a volume's mask has the format of the volume.
    """
    stem = request.id if len(task.structures) == 1 else f"{request.id}_{structure}"
    suffix = suffix_of(request.image)
    return out / "masks" / (stem + (suffix if suffix in VOLUMES else ".png"))


def best_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _model_file(run: Path) -> Path:
    return run if run.is_file() else RunFolder(run).model_file


def _batched(requests: Iterable[Request], size: int) -> Iterator[list[Request]]:
    remaining = iter(requests)
    while some := list(itertools.islice(remaining, size)):
        yield some


def _read(request: Request, model: Model) -> Image:
    image = read_image(request.image)
    if len(image.space) != model.task.dimension:
        raise GeometryError(
            "the model cannot be used on this image",
            where=request.image,
            found=f"{len(image.space)} axes",
            expected=f"{model.task.dimension} axes",
        )
    return image


def numbers_of(
    request: Request, image: Image, masks: Mapping[str, Bool[np.ndarray, "*space"]], task: Task
) -> dict[str, float]:
    """The study's statistics of some masks of an image, in the units of its table; NaN where a pixel's size is needed
    and not known.
    """
    spacing = request.spacing_mm or image.spacing
    unknown = {} if spacing is not None else dict.fromkeys(needs_spacing(task.statistics), math.nan)
    measured = measure_statistics(
        [statistic for statistic in task.statistics if statistic.name not in unknown],
        masks,
        spacing_mm=spacing,
        image=normalise(image, task.image_channels, task.window),
    )
    return measured | unknown


def decoded(
    probability: Float[np.ndarray, "k *space"], threshold: float, exclusive: bool
) -> Bool[np.ndarray, "k *space"]:
    """The masks of probabilities.

    Args:
        probability: of each structure, by itself.
        threshold: a pixel is of a structure that is likelier than this.
        exclusive: it is of the likeliest of them alone, the first of those that are equally likely.

    Example:
        >>> both = np.array([[0.9, 0.6, 0.2], [0.7, 0.8, 0.1]])
        >>> decoded(both, 0.5, True).astype(int).tolist(), decoded(both, 0.5, False).astype(int).tolist()
        ([[1, 0, 0], [0, 1, 0]], [[1, 1, 0], [1, 1, 0]])
    """
    cut = probability > threshold
    if exclusive:
        cut &= probability.argmax(axis=0) == np.arange(len(cut)).reshape(-1, *(1,) * (cut.ndim - 1))
    return cut


def _prediction(request: Request, image: Image, probability: np.ndarray, model: Model) -> Prediction:
    settings = model.config.predict
    masks = dict(zip(model.task.structures, decoded(probability, settings.threshold, settings.exclusive), strict=True))
    numbers = numbers_of(request, image, masks, model.task)
    return Prediction(request, image, probability, masks, numbers)
