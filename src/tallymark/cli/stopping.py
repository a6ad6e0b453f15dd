"""Stopped from the keyboard: one line says how the work goes on, and the exit code is 130."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

# What becomes of the work of a verb; where it depends, the verb says so in the interrupt that it raises.
_AFTERWARDS = {
    "train": "the same command goes on from here",
    "recover": "the same command goes on from here",
    "experiment": "the same command goes on from here",
    "predict": "the same command begins anew",
    "evaluate": "the same command begins anew",
    "demo": "the same command with --again begins anew",
    "mark": "what the page called saved is kept",
}


class Stoppable(TyperGroup):
    """The verbs; whichever is stopped, somebody at the terminal learns what to do next."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb of a command line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            afterwards = str(stop) or _AFTERWARDS.get(ctx.invoked_subcommand, "what was finished is kept")
            print(f"stopped; {afterwards}", file=sys.stderr)
            raise typer.Exit(130) from None
