"""A run whose marks a promptable network grows: without masks, cached by the content of the weights."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tallymark.data.study import Study
from tallymark.engine.batches import CaseBatches
from tallymark.engine.config import GrownTerm
from tallymark.engine.growers import grower
from tallymark.engine.recipes import resolve
from tallymark.engine.train import train
from tallymark.errors import CheckpointError, ConfigError
from tallymark.models.promptable import PromptableNetwork
from tiny import TINY
from tiny_sam import save_tiny_sam


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sam(tmp_path_factory.mktemp("sam") / "tiny")


def settings(folder: Path) -> tuple[str, ...]:
    return (*TINY, "losses.grown.cost=candidates", f"losses.grown.weights={folder}")


def test_trains_on_what_the_network_grew_without_any_mask(study: Path, folder: Path, monkeypatch) -> None:
    def refuse(self, *arguments):
        raise AssertionError("a weak run opened the truth")

    monkeypatch.setattr(Study, "truth", property(refuse))
    run = train(study, recipe="grow", settings=(*settings(folder), "optim.epochs=1", "losses.grown.warmup=0"))
    assert pd.read_csv(run.folder.metrics_file)["train/total"].notna().all()


def test_grown_masks_keep_the_share_and_are_cached_by_the_content_of_the_weights(
    study: Path, folder: Path, tmp_path: Path, monkeypatch
) -> None:
    opened = Study.open(study)
    cases = opened.split("train")[:4]

    def grown(weights: Path) -> torch.Tensor:
        config = resolve("grow", "small", settings=settings(weights))
        batches = CaseBatches(opened, cases, config)
        batch = batches.__getitems__(range(len(batches)))
        assert torch.allclose(batch.grown.mean(dim=(2, 3)), batch.value, atol=2e-3)
        assert (batch.grown[batch.marks] > 0).float().mean() > 0.99
        return batch.grown

    first = grown(folder)
    entries = set((study / "cache").glob("grown-*"))
    other = grown(save_tiny_sam(tmp_path / "other", seed=1))
    assert not torch.equal(first, other)
    assert len(set((study / "cache").glob("grown-*"))) == len(entries) + 1
    # The same content under another name is not asked again.
    moved = shutil.copytree(folder, tmp_path / "moved")
    monkeypatch.setattr(PromptableNetwork, "look", lambda self, image: pytest.fail("grown again"))
    assert torch.equal(grown(moved), first)


def test_a_cost_of_growth_needs_no_network_and_keeps_its_name() -> None:
    way = grower(GrownTerm(cost="euclidean"))
    marks = np.zeros((3, 3), dtype=bool)
    marks[1, 1] = True
    nothing = np.zeros_like(marks)
    grown = way.grow({"cyst": marks}, {"cyst": 5}, np.zeros((3, 3)), (1.0, 1.0), excluded={"cyst": nothing})["cyst"]
    assert (way.key, grown.cost, int(grown.mask.sum())) == ("euclidean", "euclidean", 5)


@pytest.mark.parametrize(
    "term", [{"cost": "candidates"}, {"cost": "paths", "weights": "folder"}, {"weights": "folder"}]
)
def test_a_folder_without_its_cost_is_refused_and_the_other_way_round(term: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"key losses\.grown: .*expected both or neither; .*weights=FOLDER"):
        grower(GrownTerm(**term))


def test_a_wrong_folder_or_a_missing_library_ends_a_run_in_one_line(study: Path, folder: Path, monkeypatch) -> None:
    with pytest.raises(ConfigError, match="no SAM in this folder; found no such folder"):
        train(study, recipe="grow", settings=settings(study / "nowhere"))
    (study / "other").mkdir()
    (study / "other" / "config.json").write_text('{"model_type": "vit"}')
    (study / "other" / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="found model_type 'vit'"):
        train(study, recipe="grow", settings=settings(study / "other"))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match="not installed"):
        train(study, recipe="grow", settings=settings(folder))
    run = train(study, recipe="grow", settings=(*TINY, "optim.epochs=1", "losses.grown.warmup=1"))
    assert run.folder.metrics_file.is_file()
