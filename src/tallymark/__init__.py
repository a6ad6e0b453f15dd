"""tallymark: learn to segment from the numbers a clinic kept and a few marked pixels.

The command line and this module do the same things::

    import tallymark

    study = tallymark.Study.open("my-study")
    run = tallymark.train(study, recipe="paper", marks="e8", seed=0)
    tallymark.predict(run.folder.root, "new-images", "predicted")
    tallymark.evaluate(run.folder.root).scores
    tallymark.recover(study, marks="e8", out="recovered").cases

Losses and statistics are plain functions on tensors, in :mod:`tallymark.core`, for anybody's training loop.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallymark.data.study import Study
    from tallymark.engine.evaluate import evaluate
    from tallymark.engine.predict import predict
    from tallymark.engine.recover import recover
    from tallymark.engine.train import train

__all__ = ["Study", "evaluate", "predict", "recover", "train"]

# Loaded when first used, so that "import tallymark" and "tallymark --help" do not wait for torch.
_HOMES = {
    "Study": "tallymark.data.study",
    "evaluate": "tallymark.engine.evaluate",
    "predict": "tallymark.engine.predict",
    "recover": "tallymark.engine.recover",
    "train": "tallymark.engine.train",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tallymark' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
