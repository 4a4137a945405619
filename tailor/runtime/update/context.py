"""What an update tells of itself: events, metrics, and the context that carries them to handlers and streams."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum, IntFlag
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import MLUpdateError
from ..parameters import MLParameterKey, ParameterValue
from .guard import MLUpdateVerdict

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
    ``MLUpdateProgressEvent(0)`` where the update has ended. ``verdict`` is what the guard decided: ``None`` before the end, and where
    there is no guard.
    """

    def __init__(
        self,
        task: MLUpdateTask,
        event: MLUpdateProgressEvent,
        metrics: Mapping[MLMetricKey, float | int],
        parameters: Mapping[MLParameterKey, ParameterValue],
        hold: Callable[[], Callable[[], MLModel]],
        base: MLModel,
        verdict: MLUpdateVerdict | None = None,
        learned: int = 0,
    ) -> None:
        self.task = task
        self.event = event
        self.metrics: Mapping[MLMetricKey, float | int] = MappingProxyType(dict(metrics))
        self.parameters: Mapping[MLParameterKey, ParameterValue] = MappingProxyType(dict(parameters))
        self.verdict = verdict
        self._learned = learned
        self._base = base
        self._hold: Callable[[], Callable[[], MLModel]] | None = hold
        self._make: Callable[[], MLModel] | None = None
        self._candidate: MLModel | None = None

    @property
    def training(self) -> Mapping[str, Any]:
        """What the update does that Core ML does not know of, as plain data: layers asked for and training options; mostly nothing."""
        return self._base.configuration.beyond_core_ml()

    @property
    def examples_learned(self) -> int:
        """How many examples ``model`` has learned from in this update, an epoch's each time; none where the guard refused it."""
        return 0 if self.verdict is not None and not self.verdict.accepted else self._learned

    @property
    def model(self) -> MLModel:
        """The model as it was at this moment: can predict and be written, in mid-training too.

        Where the guard refused the updated model, this is the one from before the update; ``candidate`` is the refused one.
        """
        return self._base if self.verdict is not None and not self.verdict.accepted else self.candidate

    @property
    def candidate(self) -> MLModel:
        """The model that was updated, whatever the guard says of it."""
        if self._candidate is None:
            self._settle()
            assert self._make is not None
            self._candidate = self._make()
            self._make = None
        return self._candidate

    def rollback(self) -> MLModel:
        """The model as it was before the update, also where the updated one was accepted."""
        return self._base

    def _settle(self) -> None:
        """Keeps what ``candidate`` needs, before training goes on and changes it."""
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

    def __post_init__(self) -> None:
        if not isinstance(self.for_events, MLUpdateProgressEvent):
            raise MLUpdateError(f"for_events: expected MLUpdateProgressEvent, one or several joined with |, got {self.for_events!r}")
        check_handler("progress_handler", self.progress_handler)
        check_handler("completion_handler", self.completion_handler)


def check_handler(name: str, given: object) -> None:
    """Raises ``MLUpdateError`` for what cannot be called."""
    if given is not None and not callable(given):
        raise MLUpdateError(f"{name}: expected a function, plain or async, got {type(given).__name__}")
