"""The options of ``tailor update`` that hold a guard over it, and what its verdict looks like."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.table import Table

from tailor import MLModelDescription, MLUpdateContext, MLUpdateError, MLUpdateGuard, MLUpdateVerdict
from tailor.runtime.data import Wanted, open_data

from .terminal import add_rows, table


def guard_of(
    hold_out: float | None, reference: Path | None, margin: float | None, seed: int | None, description: MLModelDescription
) -> MLUpdateGuard | None:
    """The guard that the options ask for; ``None`` where they do not. ``seed`` is that of the update."""
    if hold_out is None and reference is None:
        if margin is not None:
            raise typer.BadParameter("expected --hold-out or --reference with it, got neither", param_hint="--margin")
        return None
    known = None if reference is None else open_data(reference, Wanted.for_update(description))
    try:
        return MLUpdateGuard(hold_out, known, margin=0.0 if margin is None else margin, seed=0 if seed is None else seed)
    except MLUpdateError as error:
        raise typer.BadParameter(str(error), param_hint="--hold-out, --margin") from None


def check_accepted(context: MLUpdateContext, name: str) -> None:
    """Raises ``MLUpdateError`` with the numbers where the guard refused the update."""
    if context.verdict is not None and not context.verdict.accepted:
        raise MLUpdateError(f"update of {name}: refused, nothing was written: {context.verdict.reason}")


def verdict_table(verdict: MLUpdateVerdict) -> Table:
    """What was scored, a row a set and metric; the metric that decided first."""
    shown = table("accepted", "judged by", "examples", "metric", "before", "after")
    for name, scores in verdict.sets.items():
        metrics = sorted(scores.before, key=lambda metric: metric != verdict.metric)
        add_rows(shown, [(name, scores.count, metric, f"{scores.before[metric]:.6g}", f"{scores.after[metric]:.6g}") for metric in metrics])
    return shown
