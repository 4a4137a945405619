"""The error family: every failure that tailor raises on purpose is an ``MLModelError``.

Codes are those of Core ML's ``MLModelError.Code``. A message says who, what was expected and what came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Self


class MLModelErrorCode(IntEnum):
    """Core ML's error codes."""

    GENERIC = 0
    FEATURE_TYPE = 1
    IO = 3
    CUSTOM_LAYER = 4
    CUSTOM_MODEL = 5
    UPDATE = 6


class MLModelError(RuntimeError):
    """The root of the family; ``code`` is Core ML's number for the kind of failure.

    ``example``: which of the examples given it is about, counted from 0, where it is about one; the message begins with it.
    """

    code: MLModelErrorCode = MLModelErrorCode.GENERIC
    example: int | None = None

    def __str__(self) -> str:
        told = super().__str__()
        return told if self.example is None else f"example {self.example}: {told}"

    def of_example(self, number: int) -> Self:
        """This error, about the example ``number``."""
        self.example = number
        return self


@contextmanager
def numbered(numbers: Sequence[int | None]) -> Iterator[None]:
    """What fails inside knows an example by its place; the error that leaves has ``numbers[place]`` instead, which may be none."""
    try:
        yield
    except MLModelError as error:
        if error.example is not None:
            error.example = numbers[error.example]
        raise


class MLFormatError(MLModelError):
    """A file or byte string is not a Core ML model that can be read, or cannot be written."""

    code = MLModelErrorCode.IO


class MLSnapshotError(MLModelError):
    """A snapshot cannot be read, written, or does not belong to the model it is restored onto."""

    code = MLModelErrorCode.IO


class MLStoreError(MLModelError):
    """A store of models, or the place it is kept in, could not do what was asked; what it has is as it was."""

    code = MLModelErrorCode.IO


class MLStoreConflictError(MLStoreError):
    """Somebody else has committed meanwhile; nothing was changed. Look again, and merge or do it anew."""


class MLCheckpointError(MLModelError):
    """A checkpoint cannot be read, written, or is one of another model, other training data or other parameters."""

    code = MLModelErrorCode.IO


class MLFeatureError(MLModelError):
    """A feature is missing, or has the wrong type, shape or value; the message names it."""

    code = MLModelErrorCode.FEATURE_TYPE


class MLUnsupportedError(MLModelError):
    """The model is valid, but a part of it cannot be run by this version of tailor; the message names the part."""


class MLCustomLayerError(MLModelError):
    """A custom layer has no class registered for it, or its class failed; names class, layer and parameters."""

    code = MLModelErrorCode.CUSTOM_LAYER


class MLCustomModelError(MLModelError):
    """A custom model has no class registered for it, or the class registered for one, or provided for a private part, failed."""

    code = MLModelErrorCode.CUSTOM_MODEL


class MLBusyError(MLModelError):
    """As many predictions wait for their answers as may; this one was not taken on."""


class MLNotFoundError(MLModelError):
    """What was asked for by its name or identifier is not there."""


class MLStoreMissingError(MLStoreError, MLNotFoundError):
    """A store has no model, version, tag or example that is called so; what it has is as it was."""


class MLConflictError(MLModelError):
    """What was asked for cannot be beside what is there already; nothing was changed."""


class MLLimitError(MLModelError):
    """What was asked for would be more than a limit allows; names limit and bound. Nothing was changed."""


class MLPredictionCancelledError(MLModelError):
    """A prediction was stopped, by whoever asked for it, before it was complete."""


class MLUpdateError(MLModelError):
    """A model cannot be updated, or an update failed."""

    code = MLModelErrorCode.UPDATE


class MLParameterError(MLUpdateError):
    """A parameter is unknown, out of its range or set, or cannot be changed now; names key, value and constraint."""


class MLTaskStateError(MLUpdateError):
    """A task was asked for what its state does not allow; the task is unchanged."""


class MLTaskCancelledError(MLUpdateError):
    """The task was cancelled before it completed."""
