"""An update as a value: everything that it goes on from, taken between two mini-batches, and put back to the bit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tailor import persistence
from tailor.persistence import Checkpoint, Content, Metadata, Plain, RecordError

from ..errors import MLCheckpointError, MLModelError
from ..parameters import ADJUSTABLE_IN_PROGRESS, MLParameterKey, ParameterValue, parameter_descriptions
from ..producer import producer
from .context import MLMetricKey
from .position import Position

if TYPE_CHECKING:
    from ..model import MLModel
    from .training import Training

LEARNER, DIGESTS = "learner.", "examples.digests"
PROGRESS = ("cursor", "epoch", "examples", "first_loss", "loss_sum", "metrics", "multiplier", "parameters", "settings")


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint in a file; raises ``MLCheckpointError`` where there is none, or it is damaged or unknown."""
    if not isinstance(path, (str, os.PathLike)):
        raise MLCheckpointError(f"expected a checkpoint, or the path of its file, got {type(path).__name__}")
    try:
        return persistence.read_checkpoint(path)
    except RecordError as error:
        raise MLCheckpointError(f"checkpoint {error}") from error
    except OSError as error:
        raise MLCheckpointError(f"checkpoint {os.fspath(path)!r}: expected a file that can be read, got {error.strerror}") from error


def write_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Writes a checkpoint's file, whole or not at all; raises ``MLCheckpointError`` where that fails."""
    if not isinstance(checkpoint, Checkpoint):
        raise MLCheckpointError(f"checkpoint {os.fspath(path)!r}: expected a Checkpoint, got {type(checkpoint).__name__}")
    try:
        persistence.write_checkpoint(path, checkpoint)
    except RecordError as error:
        raise MLCheckpointError(f"checkpoint {os.fspath(path)!r}: {error}") from error
    except OSError as error:
        raise MLCheckpointError(f"checkpoint {os.fspath(path)!r}: expected a file that can be written, got {error.strerror}") from error


def take_checkpoint(training: Training, changes: Mapping[MLParameterKey, ParameterValue] | None = None) -> Checkpoint:
    """The training as it is between two mini-batches; ``changes`` of its parameters are in force from the next one on."""
    at = training.position
    progress: dict[str, Plain] = {
        "cursor": at.cursor,
        "epoch": at.epoch,
        "examples": training.examples.count,
        "first_loss": at.first_loss,
        "loss_sum": at.loss_sum,
        "metrics": {key.value: value for key, value in at.metrics.items()},
        "multiplier": at.multiplier,
        "parameters": {str(key): value for key, value in {**training.parameters, **(changes or {})}.items()},
        "settings": _settings(training),
    }
    values: dict[str, Content] = {LEARNER + name: value for name, value in training.learner.state().items()}
    if training.examples.fingerprints is not None:
        values[DIGESTS] = training.examples.fingerprints.digests.copy()
    return Checkpoint(
        Metadata(created_at=datetime.now(UTC), model=training.model.name, producer=producer()),
        training.model.content_hash,
        progress,
        values,
    )


def kept_parameters(
    checkpoint: Checkpoint, model: MLModel, given: Mapping[MLParameterKey, ParameterValue]
) -> dict[MLParameterKey, ParameterValue]:
    """The parameters that were in force, all of them; ``given`` are those of the configuration.

    Raises ``MLCheckpointError`` where the checkpoint is of another model, or another value is given for what cannot change in progress.
    """
    reading = _Reading(checkpoint)
    if checkpoint.base != model.content_hash:
        reading.refuse(f"the model with the hash {checkpoint.base}", f"{model.name} with the hash {model.content_hash}")
    parameters = reading.parameters(model)
    for key, value in given.items():
        if key.name not in ADJUSTABLE_IN_PROGRESS and value != parameters[key]:
            reading.refuse(f"the parameter {key} to be {parameters[key]}, as it was made with", str(value))
    return parameters


def apply_checkpoint(checkpoint: Checkpoint, training: Training) -> None:
    """Puts a training that has not begun, and was made with ``kept_parameters``, where ``checkpoint`` was taken.

    Raises ``MLCheckpointError`` that says in what the two differ.
    """
    reading = _Reading(checkpoint)
    count = reading.whole("examples", 1)
    if count != training.examples.count:
        reading.refuse(f"its training data of {count} examples", f"training data of {training.examples.count}")
    kept, settings = reading.map("settings"), _settings(training)
    for name in sorted(kept.keys() | settings.keys()):
        if kept.get(name) != settings.get(name):
            reading.refuse(f"{name} to be {kept.get(name, 'not set')}, as it was made with", str(settings.get(name, "not set")))
    position = reading.position(count, training.epochs)
    state = {name.removeprefix(LEARNER): value for name, value in checkpoint.values.items() if name.startswith(LEARNER)}
    digests = checkpoint.values.get(DIGESTS)
    if digests is not None and (not isinstance(digests, np.ndarray) or digests.dtype != np.uint64 or digests.shape != (count,)):
        reading.refuse(f"values.{DIGESTS} to be uint64 [{count}]", "another tensor or a list")
    for name in checkpoint.values:
        if name != DIGESTS and not name.startswith(LEARNER):
            reading.refuse(f"no value but {LEARNER}... and {DIGESTS}", repr(name))
    if digests is not None:
        training.examples.expect(digests)
    training.learner.restore(state)
    training.go_on_from(position)


def _settings(training: Training) -> dict[str, Plain]:
    """What else governs a training: what the configuration asks for beyond Core ML, and which examples the guard holds out."""
    chosen, guard = training.model.configuration, training.guard
    settings: dict[str, Any] = chosen.beyond_core_ml()
    if guard is not None and guard.hold_out is not None:
        settings |= {"hold_out": guard.hold_out, "hold_out_seed": guard.seed}
    return settings


class _Reading:
    """The progress of a checkpoint, field by field; what cannot be is refused."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._progress = checkpoint.progress
        self._who = f"checkpoint of {checkpoint.metadata.model!r}"
        if checkpoint.progress.keys() != set(PROGRESS):
            self.refuse(f"that of an update, with the progress {', '.join(PROGRESS)}", ", ".join(checkpoint.progress) or "none")

    def refuse(self, expected: str, got: str) -> NoReturn:
        raise MLCheckpointError(f"{self._who}: expected {expected}, got {got}")

    def whole(self, name: str, least: int, most: int | None = None) -> int:
        value = self._progress.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
            bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
            self.refuse(f"progress.{name} to be a whole number {bounds}", repr(value))
        return value

    def number(self, name: str) -> float:
        return self._number(f"progress.{name}", self._progress.get(name))

    def map(self, name: str) -> Mapping[str, Plain]:
        value = self._progress.get(name)
        if not isinstance(value, Mapping):
            self.refuse(f"progress.{name} to be a map", repr(value))
        return value

    def parameters(self, model: MLModel) -> dict[MLParameterKey, ParameterValue]:
        """All of the model's parameters."""
        described = parameter_descriptions(model._outline)
        found = self.map("parameters")
        if found.keys() != {str(key) for key in described}:
            self.refuse(f"the parameters {', '.join(map(str, described)) or 'none'}", ", ".join(found) or "none")
        try:
            return {key: description.check(found[str(key)]) for key, description in described.items()}
        except MLModelError as error:
            raise MLCheckpointError(f"{self._who}: {error}") from error

    def position(self, count: int, epochs: int) -> Position:
        known = {key.value: key for key in MLMetricKey}
        metrics = self.map("metrics")
        if not metrics.keys() <= known.keys():
            self.refuse(f"metrics among {', '.join(known)}", ", ".join(metrics))
        epoch = self.whole("epoch", 0, epochs)
        return Position(
            epoch,
            self.whole("cursor", 0, 0 if epoch == epochs else count - 1),
            self.number("loss_sum"),
            None if self._progress.get("first_loss") is None else self.number("first_loss"),
            {known[name]: self._number(f"progress.metrics.{name}", value) for name, value in metrics.items()},
            self.number("multiplier"),
        )

    def _number(self, name: str, value: object) -> float | int:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            self.refuse(f"{name} to be a number", repr(value))
        return value
