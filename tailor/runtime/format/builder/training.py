"""How a network under construction learns: the parameters of its optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import MLFormatError
from ..schema.parameters_pb2 import DoubleParameter, Int64Parameter


@dataclass(frozen=True, slots=True)
class RangeParam:
    """A number with the range in which it may be changed, both ends included."""

    value: float
    min: float = 0.0
    max: float = 1.0

    def __post_init__(self) -> None:
        if not self.min < self.max:
            raise MLFormatError(f"parameter range: expected a minimum below the maximum, got {self.min} to {self.max}")

    def write(self, message: DoubleParameter) -> None:
        """Puts value and range into ``message``."""
        message.defaultValue = self.value
        message.range.minValue, message.range.maxValue = self.min, self.max


@dataclass(frozen=True, slots=True)
class Batch:
    """A mini-batch size with the set of those that it may be changed to (default: none but itself)."""

    value: int
    allowed_set: tuple[int, ...] = ()

    def write(self, message: Int64Parameter) -> None:
        """Puts value and set into ``message``."""
        write_choice(message, self.value, self.allowed_set or (self.value,), "mini-batch size")


class SgdParams:
    """Stochastic gradient descent: learning rate (0 to 1), mini-batch size, momentum (0 to 1)."""

    def __init__(self, lr: float = 1e-2, batch: int = 10, momentum: float = 0.0) -> None:
        self.lr = RangeParam(lr)
        self.batch = Batch(batch)
        self.momentum = RangeParam(momentum)

    def set_lr(self, value: float, min: float, max: float) -> None:
        """Sets the learning rate and its range."""
        self.lr = RangeParam(value, min, max)

    def set_batch(self, value: int, allowed_set: Sequence[int]) -> None:
        """Sets the mini-batch size and those allowed."""
        self.batch = Batch(value, tuple(allowed_set))

    def set_momentum(self, value: float, min: float, max: float) -> None:
        """Sets the momentum and its range."""
        self.momentum = RangeParam(value, min, max)


class AdamParams:
    """Adam: learning rate, beta1, beta2, eps (each 0 to 1), mini-batch size."""

    def __init__(self, lr: float = 1e-2, batch: int = 10, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self.lr = RangeParam(lr)
        self.batch = Batch(batch)
        self.beta1 = RangeParam(beta1)
        self.beta2 = RangeParam(beta2)
        self.eps = RangeParam(eps)

    def set_lr(self, value: float, min: float, max: float) -> None:
        """Sets the learning rate and its range."""
        self.lr = RangeParam(value, min, max)

    def set_batch(self, value: int, allowed_set: Sequence[int]) -> None:
        """Sets the mini-batch size and those allowed."""
        self.batch = Batch(value, tuple(allowed_set))

    def set_beta1(self, value: float, min: float, max: float) -> None:
        """Sets beta1 and its range."""
        self.beta1 = RangeParam(value, min, max)

    def set_beta2(self, value: float, min: float, max: float) -> None:
        """Sets beta2 and its range."""
        self.beta2 = RangeParam(value, min, max)

    def set_eps(self, value: float, min: float, max: float) -> None:
        """Sets eps and its range."""
        self.eps = RangeParam(value, min, max)


def write_choice(message: Int64Parameter, value: int, allowed: Sequence[int], who: str) -> None:
    """Puts ``value`` and the set ``allowed`` into ``message``; raises ``MLFormatError``, naming ``who``, where it is not among them."""
    if len(set(allowed)) != len(allowed):
        raise MLFormatError(f"{who}: expected unique allowed values, got {list(allowed)}")
    if value not in allowed or min(allowed) < 1:
        raise MLFormatError(f"{who}: expected a value among positive allowed ones {list(allowed)}, got {value}")
    message.defaultValue = value
    del message.set.values[:]
    message.set.values.extend(allowed)
