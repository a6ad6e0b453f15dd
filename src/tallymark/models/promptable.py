"""SAM and MedSAM from a local folder: an image, points and a box in, the logits of several candidate masks out.

The library ``transformers`` (extra ``sam``) is loaded when the first image is looked at, and nothing is ever fetched.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tallymark.errors import CheckpointError, ConfigError, GeometryError, ReadError

Candidates = Callable[
    [Float[np.ndarray, "n 2"], Bool[np.ndarray, " n"], Float[np.ndarray, " 4"] | None],
    Float[np.ndarray, "m row column"],
]

_CONFIG = "config.json"
# How the images of this folder were prepared in training; a folder may have one of these, or neither.
_PREPARATION = ("preprocessor_config.json", "processor_config.json")
# In the order in which the library looks for them.
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


class PromptableNetwork:
    """A SAM that answers prompts, in NumPy arrays.

    Images are prepared as the folder's ``preprocessor_config.json`` says, or where it has none as SAM's were: longest
    side to 1024, ImageNet's mean and deviation, zeros below and to the right. Grey images are three equal colours. The
    values are taken as they are, in [0, 1].

    Args:
        folder: as ``SamModel.save_pretrained`` of transformers writes it: ``config.json`` and the weights, which are
            read as tensors alone (safetensors, or ``torch.load(weights_only=True)``).
        device: where it is computed.

    Raises:
        ConfigError: no such folder, or it lacks a file.
        ReadError: a file of it may not be read.
        CheckpointError: it holds another kind of network.

    Source: Kirillov et al. 2023, arXiv 2304.02643 (SAM); Ma et al. 2024, doi 10.1038/s41467-024-44824-z (MedSAM), the
        same network trained further on medical images, with boxes and one mask a box. So both the one mask and the
        three are candidates.
    """

    def __init__(self, folder: str | Path, device: str = "cpu") -> None:
        self.folder, self.device = Path(folder), device
        self._files = _files(self.folder)
        self._seen: tuple[str, Tensor, Any] | None = None

    @cached_property
    def sha256(self) -> str:
        """Of all that its answers depend on: settings, preparation and weights, whatever the folder is called."""
        digest = hashlib.sha256()
        for file in self._files:
            with file.open("rb") as stream:
                digest.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
        return digest.hexdigest()

    def look(self, image: Float[np.ndarray, "row column c"]) -> Candidates:
        """Take in an image, which is the slow part, and answer any number of prompts about it.

        Args:
            image: in [0, 1], of 1 or 3 channels.

        Returns:
            A function of points (row and column of pixels), which of them lie inside the structure, and the box of
            pixels (top, left, bottom, right; the last row and column included) or None. It gives the logits of four
            candidates at the size of the image: SAM's one mask, then its three.

        Raises:
            ConfigError: transformers is not installed.
            GeometryError: other channels.
            CheckpointError: the weights are damaged or do not fit.
        """
        embedding, prepared = self._embedded(image)

        def ask(
            points: Float[np.ndarray, "n 2"], inside: Bool[np.ndarray, " n"], box: Float[np.ndarray, " 4"] | None
        ) -> Float[np.ndarray, "m row column"]:
            resized = [int(length) for length in prepared["reshaped_input_sizes"][0]]
            prompt: dict[str, Tensor] = {}
            if len(points):
                prompt["input_points"] = self._coordinates(points, image.shape, resized)[None, None]
                prompt["input_labels"] = torch.from_numpy(inside.astype(np.int64)).to(self.device)[None, None]
            if box is not None:
                prompt["input_boxes"] = self._coordinates(box.reshape(2, 2), image.shape, resized).reshape(1, 1, 4)
            if not prompt:
                raise ConfigError("a prompt asks nothing", found="no point and no box", expected="one of them")
            with torch.inference_mode():
                masks = [
                    self._model(image_embeddings=embedding, multimask_output=several, **prompt).pred_masks[:, 0]
                    for several in (False, True)
                ]
                (logits,) = self._preparation.post_process_masks(
                    [torch.cat(masks, dim=1)], [list(image.shape[:2])], [resized], binarize=False
                )
            return np.asarray(logits[0].float().cpu().numpy())

        return ask

    def _embedded(self, image: Float[np.ndarray, "row column c"]) -> tuple[Tensor, Any]:
        """The image as the network sees it; the last one is kept, for several structures are asked of one image."""
        if image.ndim != 3 or image.shape[-1] not in (1, 3):
            raise GeometryError(
                "SAM sees grey and colour images only", found=f"shape {image.shape}", expected="1 or 3 channels"
            )
        pixels = np.ascontiguousarray(image, dtype=np.float32)
        name = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
        if self._seen is None or self._seen[0] != name:
            prepared = self.prepared(pixels)
            with torch.inference_mode():
                embedding = self._model.get_image_embeddings(prepared["pixel_values"].to(self.device))
            self._seen = name, embedding, prepared
        return self._seen[1:]

    def prepared(self, image: Float[np.ndarray, "row column c"]) -> Any:
        """What the network is given: ``pixel_values``, and ``reshaped_input_sizes``, the part that is not padding."""
        colours = torch.from_numpy(np.moveaxis(image, -1, 0).astype(np.float32)).expand(3, -1, -1)
        return self._preparation(colours, do_rescale=False, input_data_format="channels_first", return_tensors="pt")

    def _coordinates(
        self, points: Float[np.ndarray, "n 2"], image: tuple[int, ...], resized: list[int]
    ) -> Float[Tensor, "n 2"]:
        """Row and column in the image to column and row in what the network is given."""
        scale = np.array([resized[0] / image[0], resized[1] / image[1]])
        return torch.from_numpy((points * scale)[:, ::-1].astype(np.float32)).to(self.device)

    @cached_property
    def _model(self) -> Any:
        """The network with its weights."""
        library = _library()
        try:
            with _silent(library):
                model, report = library.SamModel.from_pretrained(
                    self.folder, local_files_only=True, weights_only=True, output_loading_info=True, dtype=torch.float32
                )
        except Exception as error:  # whatever the damaged bytes lead it to
            raise self._damaged(str(error).partition("\n")[0] or type(error).__name__) from error
        wrong = {name: list(report[name]) for name in ("missing_keys", "mismatched_keys") if report[name]}
        if wrong:
            found = "; ".join(f"{len(keys)} {name.replace('_', ' ')}, {keys[0]}" for name, keys in wrong.items())
            raise self._damaged(found)
        return model.eval().to(self.device)

    @cached_property
    def _preparation(self) -> Any:
        library = _library()
        processor = library.SamImageProcessor
        side = int(self._model.config.vision_config.image_size)
        # The network takes one size only, whatever else the folder says.
        size: dict[str, Any] = {"size": {"longest_edge": side}, "pad_size": {"height": side, "width": side}}
        if any((self.folder / name).is_file() for name in _PREPARATION):
            try:
                return processor.from_pretrained(self.folder, local_files_only=True, **size)
            except Exception as error:
                raise self._damaged(str(error).partition("\n")[0] or type(error).__name__) from error
        return processor(**size)

    def _damaged(self, found: str) -> CheckpointError:
        return CheckpointError(
            "the folder does not hold a whole SAM",
            where=self.folder,
            found=found,
            expected="what SamModel.save_pretrained of transformers writes",
            remedy="copy the folder again",
        )


def _files(folder: Path) -> list[Path]:
    """What the folder's network is read from, checked as far as a glance can."""
    weights = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    config = folder / _CONFIG
    if not config.is_file() or weights is None:
        there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else None
        raise ConfigError(
            "no SAM in this folder",
            where=folder,
            found="no such folder" if there is None else ", ".join(there[:8]) or "an empty folder",
            expected=f"{_CONFIG} and {_WEIGHTS[0]} or {_WEIGHTS[2]}",
            remedy="put the weights of SAM or MedSAM there, in the layout of transformers; nothing is downloaded here",
        )
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        parts = json.loads(weights.read_text(encoding="utf-8"))["weight_map"] if weights.suffix == ".json" else {}
    except OSError as error:
        raise ReadError("cannot be read", where=error.filename, found=error.strerror) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError("a settings file of SAM is damaged", where=folder, found=error) from error
    kind = settings.get("model_type") if isinstance(settings, dict) else None
    if kind != "sam":
        raise CheckpointError(
            "the folder holds another kind of network",
            where=config,
            found=f"model_type {kind!r}",
            expected="'sam', which SAM and MedSAM are",
            remedy="give the folder of a SAM or MedSAM",
        )
    shards = [folder / name for name in sorted(set(parts.values()))]
    prepared = [folder / name for name in _PREPARATION if (folder / name).is_file()]
    for shard in shards:
        if not shard.is_file():
            raise ConfigError("a part of the weights is missing", where=shard, remedy="copy the folder again")
    return [config, *prepared, weights, *shards]


def _library() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ConfigError(
            "SAM needs the library transformers, which is not installed",
            where="extra sam",
            found=error,
            expected="transformers 5",
            remedy="pip install 'tallymark[sam]'",
        ) from error
    return transformers


@contextmanager
def _silent(library: Any) -> Iterator[None]:
    """What the library would say about loading is an error of ours, or of no interest."""
    log = library.utils.logging
    level, bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bar:
            log.enable_progress_bar()
