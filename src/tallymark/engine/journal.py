"""The run's own record: one row of metrics an epoch, which survives a stop and goes on after a resume."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
from rich.console import Console

from tallymark.data.atomic import write_text


class Journal(pl.Callback):
    """Writes ``metrics.csv`` after every epoch, and says how it goes where no progress bar is shown.

    The rows travel inside the checkpoint: a resumed run drops what came after its checkpoint and goes on from there,
    so that the file reads as if nothing had happened. (Lightning's CSV logger starts an empty file instead.)
    """

    def __init__(self, path: Path, console: Console | None) -> None:
        self._path = path
        self._console = console
        self._rows: list[dict[str, float]] = []
        self._began = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row; validation has run by now."""
        row = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        row = {"epoch": float(trainer.current_epoch), "step": float(trainer.global_step), **row}
        self._rows.append(row)
        if trainer.is_global_zero:
            frame = pd.DataFrame(self._rows).astype({"epoch": int, "step": int})
            write_text(self._path, frame.to_csv(index=False, lineterminator="\n"))
        self._say(row, trainer)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, for the checkpoint."""
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The rows up to the checkpoint that training resumes from."""
        self._rows = list(state_dict["rows"])

    def _say(self, row: dict[str, float], trainer: pl.Trainer) -> None:
        epochs = trainer.max_epochs or 0
        every = max(1, epochs // 10)
        done = trainer.current_epoch + 1
        if self._console is None or not trainer.is_global_zero or (done % every and done != 1):
            return
        parts = [f"epoch {done}/{epochs}", f"loss {row.get('train/total', float('nan')):.4f}"]
        if "select/number_error" in row:
            parts.append(f"held-out number error {row['select/number_error']:.4f}")
        parts.append(f"{time.monotonic() - self._began:.1f} s an epoch")
        self._console.print(", ".join(parts), style="dim", highlight=False)
