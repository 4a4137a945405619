"""What an update does besides what Core ML knows of: clipping, decay, schedules, several mini-batches a step, several losses.

Everything is off by default, and plain data: a function of nothing but where the update is, so that one that goes on from a
checkpoint computes the same.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, TypeGuard

from .errors import MLParameterError

KINDS = ("constant", "step", "exponential", "cosine")
UNITS = ("epoch", "step")


@dataclass(frozen=True, slots=True)
class MLLearningRateSchedule:
    """What the learning rate is multiplied by as an update goes on, at the time t: epochs or optimizer steps begun before.

    ``kind``     ``"constant"``: 1. ``"step"``: ``factor ** (t // every)``. ``"exponential"``: ``factor ** t``. ``"cosine"``: from 1 to
                 ``lowest`` by half a cosine, which ends at t = ``length``; it stays there.
    ``unit``     what t counts: ``"epoch"`` or ``"step"``.
    ``length``   of the cosine, in units; by default as long as the update.
    ``warmup``   so many steps it takes to reach the rate, in equal parts: the first has 1 / warmup of it. With any kind.

    Raises ``MLParameterError`` naming the field that cannot be.
    """

    kind: str = "constant"
    unit: str = "epoch"
    factor: float = 0.1
    every: int = 1
    length: int | None = None
    lowest: float = 0.0
    warmup: int = 0

    def __post_init__(self) -> None:
        _check("kind", self.kind, self.kind in KINDS, f"one of {', '.join(KINDS)}")
        _check("unit", self.unit, self.unit in UNITS, f"one of {', '.join(UNITS)}")
        _number(self, "factor", "a number above 0, at most 1", lambda value: 0 < value <= 1)
        _number(self, "lowest", "a number from 0 to 1", lambda value: 0 <= value <= 1)
        _whole("every", self.every, 1)
        _whole("warmup", self.warmup, 0)
        if self.length is not None:
            _whole("length", self.length, 1)

    def multiplier(self, epoch: int, step: int, epochs: int, steps: int) -> float:
        """What the rate of the next step is multiplied by, ``step`` steps and ``epoch`` epochs (of ``epochs``, ``steps`` each) on."""
        time, whole = (epoch, epochs) if self.unit == "epoch" else (step, epochs * steps)
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        if self.kind == "step":
            return float(warm * self.factor ** (time // self.every))
        if self.kind == "exponential":
            return float(warm * self.factor**time)
        if self.kind == "cosine":
            length = self.length if self.length is not None else whole
            return warm * (self.lowest + (1.0 - self.lowest) * (1.0 + math.cos(math.pi * min(time, length) / length)) / 2.0)
        return warm


@dataclass(frozen=True, slots=True)
class MLTrainingOptions:
    """What an update by gradient descent does besides; by default nothing.

    ``clip_value``    each number of a gradient is cut to -clip_value...clip_value.
    ``clip_norm``     then all gradients together, where they are longer as one vector, are scaled to this length.
    ``weight_decay``  of everything that is trained: with SGD that of an L2 penalty (``gradient + weight_decay * w``), with Adam
                      decoupled (AdamW: first ``w - learning_rate * weight_decay * w``).
    ``schedule``      of the learning rate. The rate that the schedule begins with is the parameter; one given in progress takes
                      its place, and the schedule goes on from where it is.
    ``accumulate``    mini-batches to a step of the optimizer: one step by the mean gradient of all their examples. The last step
                      of an epoch takes those that are left.
    ``loss_weights``  a weight for each loss layer of a model that has several, or one: what is made small is their weighted sum.

    Raises ``MLParameterError`` naming the field that cannot be.
    """

    clip_value: float | None = None
    clip_norm: float | None = None
    weight_decay: float = 0.0
    schedule: MLLearningRateSchedule | None = None
    accumulate: int = 1
    loss_weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        for name in ("clip_value", "clip_norm"):
            if getattr(self, name) is not None:
                _number(self, name, "a number above 0, or None", lambda value: value > 0)
        _number(self, "weight_decay", "a number of at least 0", lambda value: value >= 0)
        fits = self.schedule is None or isinstance(self.schedule, MLLearningRateSchedule)
        _check("schedule", self.schedule, fits, "an MLLearningRateSchedule, or None")
        _whole("accumulate", self.accumulate, 1)
        if self.loss_weights is not None:
            _check(
                "loss_weights", self.loss_weights, _are_weights(self.loss_weights), "numbers above 0 by the names of loss layers, or None"
            )
            object.__setattr__(self, "loss_weights", MappingProxyType({name: float(weight) for name, weight in self.loss_weights.items()}))

    def used(self) -> dict[str, Any]:
        """What differs from the defaults, by field, as plain data."""
        return _differing(self)


def _differing(options: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(options):
        value = getattr(options, field.name)
        if isinstance(value, MLLearningRateSchedule):
            found[field.name] = {"kind": value.kind, **_differing(value)}
        elif value != field.default:
            found[field.name] = dict(value) if isinstance(value, Mapping) else value
    return found


def _are_weights(given: object) -> bool:
    return (
        isinstance(given, Mapping)
        and bool(given)
        and all(isinstance(name, str) and is_number(weight) and weight > 0 for name, weight in given.items())
    )


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number, and one that a float can hold: neither NaN nor infinite, nor a whole number beyond all floats."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _number(options: Any, name: str, expected: str, allowed: Any) -> None:
    value = getattr(options, name)
    _check(name, value, is_number(value) and allowed(value), expected)
    object.__setattr__(options, name, float(value))


def _whole(name: str, value: object, least: int) -> None:
    _check(name, value, isinstance(value, int) and not isinstance(value, bool) and value >= least, f"a whole number of at least {least}")


def _check(name: str, value: object, fits: bool, expected: str) -> None:
    if not fits:
        raise MLParameterError(f"{name}: expected {expected}, got {value!r}")


NO_OPTIONS = MLTrainingOptions()
"""What Core ML does."""
