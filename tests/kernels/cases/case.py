"""One case of an op: what goes in, and what an independent source says comes out. The laws in test_laws.py do the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tailor.kernels import Array


class Message(SimpleNamespace):
    """A layer message made by hand: its fields, and which member of its only oneof is set."""

    oneof: str | None = None

    def WhichOneof(self, name: str) -> str | None:
        return self.oneof

    def HasField(self, name: str) -> bool:
        return hasattr(self, name)

    def key(self, part: object, field: str) -> str:
        """The key of the weight ``field`` of ``part``, which is this message or, where it overrides this, one inside it."""
        assert part is self
        return field


@dataclass(frozen=True)
class Drawn:
    """What is known of random numbers: their shape, and how likely such numbers are if they have the right distribution."""

    shape: tuple[int, ...]
    p_value: Callable[[Array], float]
    varies: bool = True


@dataclass(frozen=True)
class Case:
    """``reference(*inputs, *weights.values())``, or the answer itself; a tuple for several outputs, ``Drawn`` where ``Op.draws``.

    ``smooth``   the places of the arrays that central differences can be taken of; all, where it is ``None``.
    ``message``  what ``read`` is given; it must come to ``attributes`` and to weights of these names and shapes.
    """

    op: str
    inputs: tuple[Array, ...]
    reference: Callable[..., Any] | Array | tuple[Array, ...] | Drawn
    message: Message
    attributes: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)
    smooth: tuple[int, ...] | None = None
    note: str = ""

    @property
    def arrays(self) -> tuple[Array, ...]:
        return (*self.inputs, *self.weights.values())

    def expected(self) -> Any:
        answer = self.reference(*self.arrays) if callable(self.reference) else self.reference
        return answer if isinstance(answer, (tuple, Drawn)) else np.asarray(answer)

    def __str__(self) -> str:
        return f"{self.op}-{self.note}" if self.note else self.op


def numbers(*shape: int, seed: int = 0) -> Array:
    """Normal numbers, the same for the same shape and seed; none is closer than 0.01 to 0, where some functions have a kink."""
    values = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return values + np.where(values < 0, -0.01, 0.01)


def by_torch(function: Callable[..., Any]) -> Callable[..., Array]:
    """``function(torch, functional, *tensors)`` on arrays; skips the test where PyTorch is absent."""

    def reference(*arrays: Array) -> Array:
        torch = pytest.importorskip("torch", reason="needs PyTorch, an independent source of answers")
        answer = function(torch, torch.nn.functional, *(torch.from_numpy(np.array(array)) for array in arrays))
        return np.asarray(answer.detach().numpy())

    return reference


def valid(top: int = 0, bottom: int = 0, left: int = 0, right: int = 0) -> dict[str, Any]:
    """The padding fields of a message with valid padding."""
    edges = [SimpleNamespace(startEdgeSize=a, endEdgeSize=b) for a, b in ((top, bottom), (left, right))]
    return {"oneof": "valid", "valid": SimpleNamespace(paddingAmounts=SimpleNamespace(borderAmounts=edges))}


def same(mode: int = 0) -> dict[str, Any]:
    """The padding fields of a message with same padding."""
    return {"oneof": "same", "same": SimpleNamespace(asymmetryMode=mode)}
