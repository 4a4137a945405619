"""``tailor check``: whether an update of a model can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio
import typer

from tailor import Check, MLModel, MLUpdateError, check_update
from tailor.runtime.data import Wanted, open_data

from .failures import ExitCode
from .terminal import add_rows, print_json, results, table


def check(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The updatable model.", show_default=False)],
    data: Annotated[
        Path, typer.Option("--data", help="Examples: images in folders named by label, .npz, .csv or .jsonl.", show_default=False)
    ],
    mini_batches: Annotated[int, typer.Option("--mini-batches", min=1, help="How many are trained, of a network.")] = 10,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Numbers of each parameter whose gradients are compared.")] = 8,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Chooses some of those numbers.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Check an update's numbers against other sources.

    These are differences of the loss, plain predictions, and PyTorch. A short
    update is run; nothing is written, and MODEL stays as it is. The exit code
    is 1 where a check failed.

    \b
    Example: tailor check Prices.mlmodel --data houses.csv
             tailor check Drawing.mlmodel --data drawings/ --json
    """
    loaded = MLModel(model)
    if not loaded.description.is_updatable:
        raise MLUpdateError(f"{loaded.name}: expected an updatable model, got a {loaded.model_type} that is not marked as updatable")
    source = open_data(data, Wanted.for_update(loaded.description))

    async def run() -> list[Check]:
        return await check_update(loaded, source, mini_batches=mini_batches, samples=samples, seed=seed)

    checks = anyio.run(run)
    failed = [one.name for one in checks if one.verdict == "failed"]
    if as_json:
        rows = [{"name": one.name, "verdict": one.verdict, "told": one.told, "numbers": one.numbers} for one in checks]
        print_json({"model": str(model), "examples": source.count, "passed": not failed, "checks": rows})
    else:
        shown = [(one.name, one.verdict, one.told) for one in checks]
        results().print(add_rows(table("", "check", "verdict", "compared"), shown))
    if failed:
        raise typer.Exit(ExitCode.FAILED)
