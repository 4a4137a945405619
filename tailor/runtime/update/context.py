"""What an update tells of itself: events, metrics, and the context that carries them to handlers and streams."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum, IntFlag
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from ..parameters import MLParameterKey, ParameterValue

if TYPE_CHECKING:
    from ..model import MLModel
    from .task import MLUpdateTask


class MLUpdateProgressEvent(IntFlag):
    """What progress handlers and event streams can ask for; several are joined with ``|``."""

    TRAINING_BEGIN = 1
    EPOCH_END = 2
    MINI_BATCH_END = 4


class MLMetricKey(Enum):
    """The keys of a context's metrics."""

    LOSS_VALUE = "lossValue"
    EPOCH_INDEX = "epochIndex"
    MINI_BATCH_INDEX = "miniBatchIndex"


class MLUpdateContext:
    """An update at one moment: how far it is, and the model as it is then.

    ``metrics``: ``LOSS_VALUE`` is the mean over the mini-batch's examples at MINI_BATCH_END and over the epoch's at
    EPOCH_END; ``EPOCH_INDEX`` and ``MINI_BATCH_INDEX`` (within the epoch) count from 0. Empty at TRAINING_BEGIN; a model
    that learns without a loss (nearest neighbours) has no ``LOSS_VALUE``. ``parameters`` are those in force. ``event`` is
    ``MLUpdateProgressEvent(0)`` where the update has ended.
    """

    def __init__(
        self,
        task: MLUpdateTask,
        event: MLUpdateProgressEvent,
        metrics: Mapping[MLMetricKey, float | int],
        parameters: Mapping[MLParameterKey, ParameterValue],
        hold: Callable[[], Callable[[], MLModel]],
    ) -> None:
        self.task = task
        self.event = event
        self.metrics: Mapping[MLMetricKey, float | int] = MappingProxyType(dict(metrics))
        self.parameters: Mapping[MLParameterKey, ParameterValue] = MappingProxyType(dict(parameters))
        self._hold: Callable[[], Callable[[], MLModel]] | None = hold
        self._make: Callable[[], MLModel] | None = None
        self._model: MLModel | None = None

    @property
    def model(self) -> MLModel:
        """The model as it was at this moment: can predict and be written, in mid-training too."""
        if self._model is None:
            self._settle()
            assert self._make is not None
            self._model = self._make()
            self._make = None
        return self._model

    def _settle(self) -> None:
        """Keeps what ``model`` needs, before training goes on and changes it."""
        if self._hold is not None:
            self._make = self._hold()
            self._hold = None

    def __repr__(self) -> str:
        metrics = ", ".join(f"{key.value}={value}" for key, value in self.metrics.items())
        return f"<MLUpdateContext {self.event.name or 'ended'} {metrics}>"


Handler: TypeAlias = Callable[[MLUpdateContext], None | Awaitable[None]]


@dataclass(frozen=True, slots=True)
class MLUpdateProgressHandlers:
    """Functions, plain or async, that an update calls and waits for.

    ``progress_handler`` is called at each of ``for_events``; ``completion_handler`` once when the update has completed or
    failed (``context.task.error`` says which), and not when it was cancelled.
    """

    for_events: MLUpdateProgressEvent
    progress_handler: Handler | None = None
    completion_handler: Handler | None = None
