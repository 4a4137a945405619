"""Snapshots of models: all of one, or what changed against its base; taken, and put back bit for bit.

The file format and its guarantees are ``tailor.persistence``'s (``FORMAT.md``); this is what they mean for models.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from tailor import persistence
from tailor.persistence import DeltaSnapshot, FullSnapshot, Metadata, Plain, RecordError, Snapshot, apply_changes, changes_between, narrowed

from .errors import MLFormatError, MLSnapshotError
from .format import load_model, read_contents, write_contents
from .model import MLModel
from .producer import producer
from .update import MLUpdateContext

# What the restored model's canonical bytes must hash to: kept with the metadata, checked after the changes are made.
RESULT = "model_hash"

# What the guard of an update decided, and by which numbers.
GUARD = "guard"

# What an update did that Core ML does not know of.
TRAINING = "training"

# How many examples an update learned from, an epoch's each time.
EXAMPLES = "examples"

P = ParamSpec("P")
T = TypeVar("T")


def take_snapshot(
    model: MLModel | MLUpdateContext, base: MLModel | str | os.PathLike[str] | None = None, *, half: bool = False
) -> Snapshot:
    """A snapshot of ``model``: what changed against ``base``, or all of it where no base is given.

    Of an update's context, the metrics, the parameters, what it trained and how, and the guard's verdict are kept too. Raises
    ``MLSnapshotError`` where the model differs from the base in more than weights, examples and labels: only a full snapshot
    can hold it then.

    ``half``: floats that changed are kept as float16, in half the bytes, and what is restored is the model so rounded, whose hash the
    snapshot has. Raises ``MLSnapshotError`` without a base, and for a number beyond 65,504.
    """
    return at_the_door(_take, model, base, half)


def restore_snapshot(snapshot: Snapshot | str | os.PathLike[str], base: MLModel | str | os.PathLike[str] | None = None) -> MLModel:
    """The model of a snapshot (or of a snapshot's file), equal bit for bit to the one it was taken of.

    A delta needs the ``base`` it was taken against. Raises ``MLSnapshotError`` where the base is missing or another, or
    where the snapshot does not fit it.
    """
    return at_the_door(_restore, snapshot, base)


def read_snapshot(path: str | os.PathLike[str]) -> Snapshot:
    """The snapshot in a file; raises ``MLSnapshotError`` where there is none, or it is damaged or unknown."""
    return at_the_door(persistence.read_snapshot, path)


def write_snapshot(path: str | os.PathLike[str], snapshot: Snapshot, *, compress: bool = False) -> None:
    """Writes a snapshot's file, whole or not at all; raises ``MLSnapshotError`` where that fails.

    ``compress``: what gets smaller by a sixteenth at least is compressed. The snapshot is the same, and so is its hash.
    """
    at_the_door(persistence.write_snapshot, path, snapshot, compress=compress)


def _take(model: MLModel | MLUpdateContext, base: MLModel | str | os.PathLike[str] | None, half: bool) -> Snapshot:
    metrics: dict[str, float | int] = {}
    parameters: dict[str, float | int | str | bool] = {}
    told: dict[str, Plain] = {}
    if isinstance(model, MLUpdateContext):
        metrics = {key.value: value for key, value in model.metrics.items()}
        parameters = {str(key): value for key, value in model.parameters.items()}
        if model.verdict is not None:
            told[GUARD] = model.verdict.as_dict()
        if model.examples_learned:
            told[EXAMPLES] = model.examples_learned
        if model.training:
            told[TRAINING] = dict(model.training)
        model = model.model
    metadata = Metadata(
        created_at=datetime.now(UTC),
        model=model.name,
        producer=producer(),
        parameters=parameters,
        metrics=metrics,
        extra={RESULT: model.content_hash, **told},
    )
    if base is None:
        if half:
            raise MLSnapshotError(f"{model.name}: expected a base, of which a snapshot in half precision can be a delta, got none")
        return FullSnapshot(metadata, model.to_bytes())
    base = _loaded(base)
    with _both_named(f"snapshot of {model.name} against {base.name}"):
        changes = changes_between(read_contents(base.spec), read_contents(model.spec))
    delta = DeltaSnapshot(metadata, base.content_hash, changes)
    if _applied(delta, base).content_hash != model.content_hash:
        raise MLSnapshotError(
            f"{model.name}: expected a model that differs from its base {base.name} in weights, examples and labels only, "
            "got one that differs in more; take a full snapshot of it"
        )
    if half:
        delta, _ = narrowed(delta)
        delta = replace(delta, metadata=replace(metadata, extra={**metadata.extra, RESULT: _applied(delta, base).content_hash}))
    return delta


def _restore(snapshot: Snapshot | str | os.PathLike[str], base: MLModel | str | os.PathLike[str] | None) -> MLModel:
    if not isinstance(snapshot, FullSnapshot | DeltaSnapshot):
        snapshot = persistence.read_snapshot(snapshot)
    if isinstance(snapshot, FullSnapshot):
        model = MLModel.from_spec(load_model(bytes(snapshot.whole)), snapshot.metadata.model or "model")
    elif base is None:
        raise MLSnapshotError(f"snapshot of {snapshot.metadata.model!r}: expected the base model that it is a delta of, got none")
    else:
        model = _applied(snapshot, _loaded(base))
    expected = snapshot.metadata.extra.get(RESULT, model.content_hash)
    if model.content_hash != expected:
        raise MLSnapshotError(f"snapshot of {snapshot.metadata.model!r}: expected a model with hash {expected}, got {model.content_hash}")
    return model


def _applied(delta: DeltaSnapshot, base: MLModel) -> MLModel:
    with _both_named(f"snapshot of {delta.metadata.model} on {base.name}"):
        contents = apply_changes(delta, base.content_hash, read_contents(base.spec))
        return base._changed(lambda spec: write_contents(spec, contents))


@contextmanager
def _both_named(who: str) -> Iterator[None]:
    """Says of which two models it is that their contents do not fit together."""
    try:
        yield
    except (RecordError, MLFormatError) as error:
        raise MLSnapshotError(f"{who}: {error}") from error


def _loaded(base: MLModel | str | os.PathLike[str]) -> MLModel:
    return base if isinstance(base, MLModel) else MLModel(base)


def at_the_door(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``work``, with the pillar's and the system's errors as ours."""
    try:
        return work(*args, **kwargs)
    except RecordError as error:
        raise MLSnapshotError(str(error)) from error
    except MLFormatError as error:
        raise MLSnapshotError(f"snapshot: {error}") from error
    except OSError as error:
        raise MLSnapshotError(f"snapshot {error.filename!r}: expected a file that can be read and written, got {error.strerror}") from error


