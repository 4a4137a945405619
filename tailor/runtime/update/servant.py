"""What a worker process does for an update: it has a copy of the training, takes it further, and tells where that has led.

The training that counts is in the process that it works for, which it asks for what it lacks: the model, where the training is,
and the examples, which are read there, by whatever provides them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache
from pathlib import Path
from typing import Any

from tailor.kernels import Array
from tailor.persistence import Content
from tailor.scheduler import caller

from ..configuration import MLModelConfiguration
from ..format import load_model
from ..model import MLModel
from ..models import Column, Learner
from ..network import granted
from ..parameters import MLParameterKey, ParameterValue
from ..values import MLBatchProvider, MLExampleOrigin
from .context import MLUpdateProgressEvent
from .examples import Examples
from .kept import Kept
from .position import Position
from .stretch import Bounds, Stretch
from .training import Training

MOST_MODELS = 4
"""Models that a worker keeps for the updates to come; what is at work keeps its own."""


@dataclass(frozen=True, slots=True)
class Order:
    """A stretch to be computed, of a training whose owner calls its state ``at``, and ``then`` the one after it; to be over at ``until``.

    ``until`` is on the clock ``time.monotonic``, which all processes of a machine have in common.
    """

    at: int
    then: int
    parameters: Mapping[MLParameterKey, ParameterValue]
    wanted: MLUpdateProgressEvent
    bounds: Bounds
    until: float


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a training has come to, and all that it goes on from."""

    position: Position
    state: Mapping[str, Content]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an order; ``ended`` (``time.monotonic``) is when it was over."""

    stretch: Stretch
    reached: Reached
    ended: float


class Question(Enum):
    """What is asked of the training's owner, besides ``Rows`` and ``Origins``."""

    SETUP = auto()
    MODEL = auto()
    STANDING = auto()
    COUNT = auto()


@dataclass(frozen=True, slots=True)
class Setup:
    """What a copy of a training is made of.

    ``content_hash`` names the model, whose bytes are asked for where they are not known; ``given`` are the parameters of ``configuration``.
    """

    content_hash: str
    name: str
    folder: Path | None
    configuration: MLModelConfiguration
    given: Mapping[MLParameterKey, object]
    augments: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the training is, and the ``numbers`` of the examples that it learns from."""

    reached: Reached
    numbers: Array


@dataclass(frozen=True, slots=True)
class Rows:
    """Asks for examples: their training inputs ``names``, by default all."""

    numbers: Sequence[int]
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Origins:
    """Asks where examples came from."""

    numbers: Sequence[int]


def serve(order: Order) -> Outcome:
    """Computes a stretch. What the training raises is raised, after its owner was told where it was then."""
    kept = caller().kept
    is_new = "training" not in kept
    if is_new:
        kept["training"] = _made(order)
    training: Training = kept["training"]
    if kept.pop("at", None) != order.at:
        standing: Standing = caller().ask(Question.STANDING)
        training.numbers = standing.numbers
        training.put(standing.reached.position, standing.reached.state)
    training.change(order.parameters)
    with caller().listening(lambda cancels: training.cancel() if cancels else training.interrupt()):
        try:
            stretch = _stretched(training, order, is_new)
        except Exception:  # passed on below; what was learned before it goes home first
            caller().ask(_reached(training))
            raise
    ended = time.monotonic()
    kept["at"] = order.then
    return Outcome(stretch, _reached(training), ended)


def _stretched(training: Training, order: Order, is_new: bool) -> Stretch:
    """One stretch; none where too little is left of the time for it, which counts as used unless it went into making the copy."""
    left = order.until - time.monotonic()
    if left < order.bounds.step or left <= 0:
        return Stretch([], 0.0 if is_new else order.bounds.seconds - left)
    with granted(order.bounds.threads or 1):
        return training.stretch(order.wanted, replace(order.bounds, seconds=left))


def _made(order: Order) -> Training:
    """A copy of a training, which is still to be put where that is."""
    setup: Setup = caller().ask(Question.SETUP)
    configuration = replace(setup.configuration, parameters=setup.given or None)
    model = MLModel.from_spec(_spec(setup.content_hash), setup.name, configuration, folder=setup.folder)
    training = Training(model, _Elsewhere(setup.augments), order.parameters, examples=_Asked)
    training.begun = True
    return training


@lru_cache(MOST_MODELS)
def _spec(content_hash: str) -> Any:
    """The message of a model, by the hash of its content."""
    return load_model(caller().ask(Question.MODEL))


def _reached(training: Training) -> Reached:
    return Reached(training.position, training.learner.state())


class _Elsewhere:
    """Training data that another process reads."""

    def __init__(self, augments: bool) -> None:
        self.augments = augments

    @property
    def count(self) -> int:
        count: int = caller().ask(Question.COUNT)
        return count

    def features_at(self, index: int) -> Mapping[str, object]:
        return {name: column[0] for name, column in caller().ask(Rows([index])).items()}


class _Asked(Examples):
    """Examples of which whole mini-batches are asked for, as canonical values; their owner sees to their fingerprints.

    What there is to learn from them is kept whether anything is frozen or not: to ask again costs more than it does where they are read.
    """

    def __init__(self, model: MLModel, provider: MLBatchProvider, learner: Learner, epochs: int, cache_bytes: int) -> None:
        super().__init__(model, provider, learner, epochs, cache_bytes)
        self.fingerprints = None
        if self._kept is None and learner.iterative and epochs > 1 and not getattr(provider, "augments", False):
            self._kept = Kept(self.count, cache_bytes)

    def read(self, numbers: list[int], names: Sequence[str] = ()) -> dict[str, Column]:
        columns: dict[str, Column] = caller().ask(Rows(numbers, names))
        return columns

    def origins(self, numbers: list[int]) -> list[MLExampleOrigin | None]:
        origins: list[MLExampleOrigin | None] = caller().ask(Origins(numbers))
        return origins
