"""``--budget``: an update that ends in time, done or not."""

from __future__ import annotations

import math
from pathlib import Path

import typer

from tailor import read_checkpoint

from .progress import Progress
from .terminal import print_json

UNFINISHED = 75
"""The exit code where there is more to do: EX_TEMPFAIL of BSD's sysexits, "try again later"."""


def check_budget(seconds: float | None, checkpoint: Path | None) -> None:
    """Raises ``typer.BadParameter`` for a budget that makes no sense, and for one without a file to go on from."""
    if seconds is None:
        return
    if not 0 < seconds < math.inf:
        raise typer.BadParameter(f"expected a number of seconds above 0, got {seconds:g}", param_hint="--budget")
    if checkpoint is None:
        raise typer.BadParameter("expected --checkpoint with it, got none", param_hint="--budget")


def unfinished(checkpoint: Path | None, progress: Progress, *, as_json: bool) -> typer.Exit:
    """Says how far an update came within its budget; what ends the command then."""
    assert checkpoint is not None, "a budget needs a checkpoint"
    progress.left(checkpoint, otherwise="the budget ended before anything was learned")
    if as_json:
        done = read_checkpoint(checkpoint).progress if checkpoint.exists() else {"epoch": 0, "cursor": 0}
        print_json({"output": None, "checkpoint": str(checkpoint), "epoch": done["epoch"], "examples": done["cursor"]})
    return typer.Exit(UNFINISHED)
