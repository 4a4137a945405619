"""``tailor update``: train a model on examples and write the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from tailor import (
    MLModel,
    MLModelConfiguration,
    MLParameterKey,
    MLUpdateContext,
    MLUpdateError,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    take_snapshot,
    write_snapshot,
)

from .data import DataSource, Wanted, open_data
from .outputs import check_writable
from .progress import Progress
from .terminal import file_size, print_json, results


def update(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The updatable model.", show_default=False)],
    data: Annotated[
        Path, typer.Option("--data", help="Examples: images in folders named by label, .npz, .csv or .jsonl.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The model to write, replaced if it exists; may be MODEL.", show_default=False)
    ],
    epochs: Annotated[int | None, typer.Option("--epochs", help="How often to go through the examples.", show_default=False)] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A parameter, as 'tailor inspect' lists them: learningRate=0.01, model1.numberOfNeighbors=5. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    shuffle: Annotated[
        bool | None, typer.Option("--shuffle/--no-shuffle", help="Shuffle the examples in each epoch.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="For shuffling: the same seed, the same result.", show_default=False)] = None,
    snapshot: Annotated[
        Path | None, typer.Option("--snapshot", help="Also write what changed, as a snapshot against MODEL.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON, and no progress.")] = False,
) -> None:
    """Update a model with examples, and write the result.

    MODEL stays as it is (unless --output names it), and nothing is written if the update fails or is interrupted.

    \b
    Example: tailor update Drawing.mlmodel --data drawings/ --output Mine.mlmodel
             tailor update Prices.mlmodel --data houses.csv --output New.mlmodel
                           --epochs 5 --set learningRate=0.01 --no-shuffle
    """
    parameters = _parameters(settings or [], epochs, shuffle, seed)
    for path in (output, snapshot):
        if path is not None:
            check_writable(path)
    if snapshot is not None and snapshot.resolve() in (output.resolve(), model.resolve()):
        raise typer.BadParameter("expected a file of its own, got the one of a model", param_hint="--snapshot")
    if snapshot is not None and output.resolve() == model.resolve():
        raise typer.BadParameter(
            "expected --output to be another file than MODEL, which the snapshot needs to be restored", param_hint="--snapshot"
        )
    base = MLModel(model)
    if not base.description.is_updatable:
        raise MLUpdateError(f"{base.name}: expected an updatable model, got a {base.model_type} that is not marked as updatable")
    source = open_data(data, Wanted.for_update(base.description))
    progress = Progress(source.count, quiet=as_json)
    with progress:
        context = anyio.run(_train, base, source, MLModelConfiguration(parameters=parameters), progress)
        kept = take_snapshot(context, base=base) if snapshot is not None else None
        context.model.write(output)
        if snapshot is not None and kept is not None:
            write_snapshot(snapshot, kept)
    if as_json:
        print_json(_outcome(context, source, progress, output, snapshot))
        return
    console = results()
    console.print(f"{output}: updated with {source.count} examples, {file_size(context.model.size)}", markup=False)
    if snapshot is not None:
        console.print(f"{snapshot}: what changed, {file_size(snapshot.stat().st_size)}", markup=False)


async def _train(base: MLModel, source: DataSource, configuration: MLModelConfiguration, progress: Progress) -> MLUpdateContext:
    """Runs the update; an interruption cancels it at the next mini-batch and cleans up."""
    handlers = MLUpdateProgressHandlers(progress.events, progress.show)
    return await MLUpdateTask(base, source, configuration, progress_handlers=handlers)


def _parameters(settings: list[str], epochs: int | None, shuffle: bool | None, seed: int | None) -> dict[MLParameterKey, Any]:
    """Parameters by key from ``KEY=VALUE`` arguments and the options that stand for one."""
    parameters: dict[MLParameterKey, Any] = {}
    for argument in settings:
        name, equals, text = argument.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected KEY=VALUE, got {argument!r}", param_hint="--set")
        key = MLParameterKey.parse(name.strip())
        if key in parameters:
            raise typer.BadParameter(f"{name!r} was given twice", param_hint="--set")
        parameters[key] = _value(text.strip())
    shorthands = {MLParameterKey.EPOCHS: epochs, MLParameterKey.SHUFFLE: shuffle, MLParameterKey.SEED: seed}
    for key, value in shorthands.items():
        if value is None:
            continue
        if key in parameters:
            raise typer.BadParameter(f"{str(key)!r} was given twice", param_hint="--set")
        parameters[key] = value
    return parameters


def _value(text: str) -> Any:
    """A number, true or false as JSON writes them; anything else is text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float, bool)) else text


def _outcome(context: MLUpdateContext, source: DataSource, progress: Progress, output: Path, snapshot: Path | None) -> dict[str, Any]:
    return {
        "output": str(output),
        "size": context.model.size,
        "snapshot": str(snapshot) if snapshot is not None else None,
        "examples": source.count,
        "epochs": progress.epochs,
        "losses": progress.losses,
        "parameters": {str(key): value for key, value in context.parameters.items()},
    }
