"""The progress of an update on stderr: a live bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich import progress as bars

from tailor import Checkpoint, MLMetricKey, MLParameterKey, MLUpdateContext, MLUpdateProgressEvent

from . import terminal

_Event = MLUpdateProgressEvent


class Progress:
    """Shows an update as its progress handler; a context manager around it.

    ``losses`` are the mean losses of the epochs so far, empty for a model that learns without a loss.
    """

    def __init__(self, examples: int, quiet: bool = False) -> None:
        self._examples = examples
        self._quiet = quiet
        self._console = terminal.progress()
        self._live = self._console.is_terminal and not quiet
        self._bar: bars.Progress | None = None
        self._row: bars.TaskID | None = None
        self._epochs = 1
        self._steps = 1
        self.losses: list[float] = []
        self.epochs = 0

    @property
    def events(self) -> MLUpdateProgressEvent:
        """The events to be told of: no more than is shown, since training waits for each."""
        return _Event.TRAINING_BEGIN | _Event.EPOCH_END | (_Event.MINI_BATCH_END if self._live else _Event(0))

    def __enter__(self) -> Progress:
        if self._live:
            columns = (
                bars.TextColumn("{task.description}"),
                bars.BarColumn(bar_width=None),
                bars.TextColumn("{task.fields[loss]}"),
                bars.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            )
            self._bar = bars.Progress(*columns, console=self._console, transient=False)
            self._bar.start()
            self._row = self._bar.add_task("loading", total=None, loss="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def resumed(self, checkpoint: Checkpoint, path: Path) -> None:
        """Says where an update goes on that was begun before; called before it does."""
        epoch, cursor = int(str(checkpoint.progress["epoch"])), checkpoint.progress["cursor"]
        self.epochs = epoch
        if not self._quiet:
            where = f"epoch {epoch + 1}, after {cursor} of its examples" if cursor else f"after {epoch} epoch{'s' * (epoch != 1)}"
            self._console.print(f"going on from {path}: {where}", markup=False, soft_wrap=True)

    def left(self, path: Path, otherwise: str = "") -> None:
        """Says that an update that was interrupted can go on; ``otherwise``, where it had not begun."""
        told = f"{path} says how far it was; go on with --resume" if path.exists() else otherwise
        if told and not self._quiet:
            self._console.print(told, markup=False, soft_wrap=True)

    def show(self, context: MLUpdateContext) -> None:
        """The progress handler."""
        if context.event is _Event.TRAINING_BEGIN:
            self._begin(context.parameters)
            return
        epoch = int(context.metrics[MLMetricKey.EPOCH_INDEX])
        loss = context.metrics.get(MLMetricKey.LOSS_VALUE)
        told = f"loss {loss:.4f}" if loss is not None else ""
        if context.event is _Event.EPOCH_END:
            self.epochs = epoch + 1
            if loss is not None:
                self.losses.append(float(loss))
        if self._bar is not None and self._row is not None:
            done = self.epochs * self._steps
            if context.event is _Event.MINI_BATCH_END:
                done = epoch * self._steps + int(context.metrics[MLMetricKey.MINI_BATCH_INDEX]) + 1
            self._bar.update(self._row, completed=done, description=self._named(epoch), loss=told)
        elif context.event is _Event.EPOCH_END and not self._quiet:
            self._console.print(f"{self._named(epoch)}  {told}".rstrip())

    def _begin(self, parameters: Mapping[MLParameterKey, object]) -> None:
        """How much work there is: known once the parameters in force are."""
        values = {key.name: value for key, value in parameters.items()}
        epochs, size = values.get(MLParameterKey.EPOCHS.name), values.get(MLParameterKey.MINI_BATCH_SIZE.name)
        if isinstance(epochs, int) and isinstance(size, int):
            self._epochs, self._steps = epochs, math.ceil(self._examples / size)
        if self._bar is not None and self._row is not None:
            total = self._epochs * self._steps if isinstance(size, int) else None
            self._bar.update(self._row, total=total, description=self._named(0))

    def _named(self, epoch: int) -> str:
        return f"epoch {epoch + 1}/{self._epochs}" if self._epochs > 1 else f"{self._examples} examples"
