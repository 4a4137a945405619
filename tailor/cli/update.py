"""``tailor update``: train a model on examples and write the result."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from tailor import (
    Budget,
    MLCheckpoints,
    MLModel,
    MLModelConfiguration,
    MLParameterKey,
    MLScheduling,
    MLTaskState,
    MLUpdateContext,
    MLUpdateError,
    MLUpdateGuard,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    Runtime,
    read_checkpoint,
    take_snapshot,
    write_snapshot,
)
from tailor.runtime.data import DataSource, Wanted, open_data

from .budget import check_budget, unfinished
from .checkpoints import checkpoints_of
from .guard import check_accepted, guard_of, verdict_table
from .interruption import terminated_as_interrupted
from .outputs import check_writable
from .progress import Progress
from .settings import read_settings
from .terminal import file_size, print_json, results
from .training_options import trainable, training_options


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
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="A file that says how far it is, to go on from; removed at the end.", show_default=False),
    ] = None,
    checkpoint_every: Annotated[
        int | None,
        typer.Option("--checkpoint-every", min=1, help="Write it after so many mini-batches, not every 10 s.", show_default=False),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            metavar="SECONDS",
            help="End in so many seconds, done or not: then --checkpoint says how far it is, and the exit code is 75.",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--trainable",
            metavar="NAME",
            help="Train this layer (or LAYER.FIELD) instead of those that the model marks; 'all' that can be. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="KEY=VALUE",
            help="Beyond Core ML: clip_norm=1, weight_decay=0.01, accumulate=4, schedule=cosine, schedule.warmup=100. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(
            "--hold-out", metavar="SHARE", help="Judge by this share of the examples instead of learning from it.", show_default=False
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="Judge by these examples, too: what must not be forgotten.", show_default=False),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option("--margin", help="By how much accuracy may fall, or a loss rise, as a part of it.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the file of --checkpoint, if it is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON, and no progress.")] = False,
) -> None:
    """Update a model with examples, and write the result.

    MODEL stays as it is (unless --output names it). Where the update fails or is interrupted, nothing is written but
    the file of --checkpoint; the same command with --resume goes on from it, and ends with the same bits.
    With --hold-out or --reference an update that makes the model worse fails.

    \b
    Example: tailor update Drawing.mlmodel --data drawings/ --output Mine.mlmodel
             tailor update Prices.mlmodel --data houses.csv --output New.mlmodel
                           --epochs 5 --set learningRate=0.01 --no-shuffle
             tailor update Big.mlmodel --data big.npz --output New.mlmodel
                           --checkpoint big.tailor --resume --budget 600
    """
    begun = time.monotonic()
    parameters = _parameters(settings or [], epochs, shuffle, seed)
    configuration = MLModelConfiguration(parameters=parameters, trainable=trainable(layers), training=training_options(options))
    for path in (output, snapshot):
        if path is not None:
            check_writable(path)
    if snapshot is not None and snapshot.resolve() in (output.resolve(), model.resolve()):
        raise typer.BadParameter("expected a file of its own, got the one of a model", param_hint="--snapshot")
    if snapshot is not None and output.resolve() == model.resolve():
        raise typer.BadParameter(
            "expected --output to be another file than MODEL, which the snapshot needs to be restored", param_hint="--snapshot"
        )
    checkpoints = checkpoints_of(checkpoint, checkpoint_every, resume, model, output, data, snapshot)
    check_budget(budget, checkpoint)
    goes_on = resume and checkpoint is not None and checkpoint.exists()
    base = MLModel(model)
    if not base.description.is_updatable:
        raise MLUpdateError(f"{base.name}: expected an updatable model, got a {base.model_type} that is not marked as updatable")
    source = open_data(data, Wanted.for_update(base.description))
    guard = guard_of(hold_out, reference, margin, seed, base.description)
    progress = Progress(source.count, quiet=as_json)
    left = None if budget is None else budget - (time.monotonic() - begun)
    with progress, terminated_as_interrupted():
        try:
            context = anyio.run(_train, base, source, configuration, progress, checkpoints, goes_on, guard, left)
        except KeyboardInterrupt:
            if checkpoint is not None:
                progress.left(checkpoint)
            raise
        if context is None:
            raise unfinished(checkpoint, progress, as_json=as_json)
        check_accepted(context, base.name)
        kept = take_snapshot(context, base=base) if snapshot is not None else None
        context.model.write(output)
        if snapshot is not None and kept is not None:
            write_snapshot(snapshot, kept)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
    if as_json:
        print_json({**_outcome(context, source, progress, output, snapshot), "resumed": goes_on})
        return
    console = results()
    learned = source.count if context.verdict is None else context.verdict.trained
    console.print(f"{output}: updated with {learned} examples, {file_size(context.model.size)}", markup=False)
    if context.verdict is not None:
        console.print(verdict_table(context.verdict))
    if snapshot is not None:
        console.print(f"{snapshot}: what changed, {file_size(snapshot.stat().st_size)}", markup=False)


async def _train(
    base: MLModel,
    source: DataSource,
    configuration: MLModelConfiguration,
    progress: Progress,
    checkpoints: MLCheckpoints | None,
    goes_on: bool,
    guard: MLUpdateGuard | None,
    budget: float | None,
) -> MLUpdateContext | None:
    """Runs the update; ``None`` where it has not ended within its budget. An interruption cancels it at the next mini-batch."""
    deadline = math.inf if budget is None else anyio.current_time() + budget
    async with Runtime() as runtime:
        options: dict[str, Any] = {
            "progress_handlers": MLUpdateProgressHandlers(progress.events, progress.show),
            "checkpoints": checkpoints,
            "guard": guard,
            "runtime": runtime,
            "scheduling": MLScheduling(budget=Budget(deadline=deadline)),
        }
        if checkpoints is None or not goes_on:
            task = MLUpdateTask(base, source, configuration, **options)
        else:
            checkpoint = read_checkpoint(checkpoints.path)
            task = MLUpdateTask.restore(checkpoint, base, source, configuration, **options)
            progress.resumed(checkpoint, Path(checkpoints.path))
        task.resume()
        return None if await task.paused() is MLTaskState.SUSPENDED else await task


def _parameters(settings: list[str], epochs: int | None, shuffle: bool | None, seed: int | None) -> dict[MLParameterKey, Any]:
    """Parameters by key from ``KEY=VALUE`` arguments and the options that stand for one."""
    parameters = read_settings(settings)
    shorthands = {MLParameterKey.EPOCHS: epochs, MLParameterKey.SHUFFLE: shuffle, MLParameterKey.SEED: seed}
    for key, value in shorthands.items():
        if value is None:
            continue
        if key in parameters:
            raise typer.BadParameter(f"{str(key)!r} was given twice", param_hint="--set")
        parameters[key] = value
    return parameters


def _outcome(context: MLUpdateContext, source: DataSource, progress: Progress, output: Path, snapshot: Path | None) -> dict[str, Any]:
    return {
        "output": str(output),
        "size": context.model.size,
        "snapshot": str(snapshot) if snapshot is not None else None,
        "examples": source.count,
        "epochs": progress.epochs,
        "losses": progress.losses,
        "parameters": {str(key): value for key, value in context.parameters.items()},
        "training": context.training,
        "guard": context.verdict.as_dict() if context.verdict is not None else None,
    }
