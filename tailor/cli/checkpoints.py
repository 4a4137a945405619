"""``--checkpoint``, ``--checkpoint-every`` and ``--resume``: checked against each other and the files there are."""

from __future__ import annotations

from pathlib import Path

import typer

from tailor import MLCheckpoints

from .outputs import check_writable

SECONDS = 10.0
"""How often a checkpoint is written where nobody says how often."""


def checkpoints_of(
    path: Path | None, every: int | None, resume: bool, model: Path, output: Path, *others: Path | None
) -> MLCheckpoints | None:
    """When checkpoints are written, if at all; kept until the output is there, so that nothing is lost between the two.

    Raises ``typer.BadParameter`` for what does not go together, ``OSError`` for a file that cannot be written.
    """
    if path is None:
        if every is not None or resume:
            raise typer.BadParameter("expected --checkpoint with it, got none", param_hint="--resume" if resume else "--checkpoint-every")
        return None
    check_writable(path)
    if path.resolve() in [other.resolve() for other in (model, output, *others) if other is not None]:
        raise typer.BadParameter("expected a file of its own, got one of the others", param_hint="--checkpoint")
    if output.resolve() == model.resolve():
        raise typer.BadParameter(
            "expected --output to be another file than MODEL, which is needed to go on from a checkpoint", param_hint="--checkpoint"
        )
    if path.exists() and not resume:
        raise typer.BadParameter(
            f"expected --resume to go on from {str(path)!r}, or a file that is not there yet", param_hint="--checkpoint"
        )
    return MLCheckpoints(path, every_batches=every, every_seconds=SECONDS if every is None else None, keep=True)
