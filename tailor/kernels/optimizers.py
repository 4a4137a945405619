"""Optimizers in the manner of optax: ``init`` makes the state, ``step`` moves on. State is plain arrays by name.

``step`` works IN PLACE, on one element after the other: any way of sharing the elements out gives the same bits. It may
be given parts of the arrays, as long as parameters, gradients and slots are cut alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .jit import elsewhere, jit, plain
from .op import Array


class Optimizer(Protocol):
    """What training asks of an optimizer."""

    def init(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """The slots of these parameters before the first step, by name."""
        ...

    def step(self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], slots: Mapping[str, Array], count: int) -> None:
        """Moves those parameters that have a gradient, and their slots, in place; ``count`` steps have been begun, from 1."""
        ...


@dataclass(frozen=True, slots=True)
class SGD:
    """Gradient descent with momentum: v = momentum * v - learning_rate * g; w = w + v.

    ``weight_decay`` is that of a penalty weight_decay / 2 * |w|² in the loss: g + weight_decay * w takes the place of g.
    """

    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0

    def init(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """One velocity a parameter, zero: ``<parameter>/velocity``; none without momentum."""
        if self.momentum == 0.0:
            return {}
        return {f"{name}/velocity": np.zeros_like(w, order="C") for name, w in parameters.items()}

    def step(self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], slots: Mapping[str, Array], count: int) -> None:
        """Moves the parameters that have a gradient, in place."""
        for name, g in gradients.items():
            w = _flat(name, parameters[name], g)
            number = w.dtype.type
            slope = plain(g).reshape(-1)
            if self.weight_decay:
                slope = slope + number(self.weight_decay) * w
            if self.momentum == 0.0:
                _descend(w, slope, number(self.learning_rate))
            else:
                v = _flat(f"{name}/velocity", slots[f"{name}/velocity"], g)
                _roll(w, slope, v, number(self.learning_rate), number(self.momentum))


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    Both moments are corrected for their beginning at zero; epsilon is outside the square root. ``weight_decay`` is decoupled
    from the moments (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019): w is first made smaller by
    learning_rate * weight_decay * w.
    """

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def init(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """Two moments a parameter, zero: ``<parameter>/mean`` and ``<parameter>/square``."""
        return {f"{name}/{slot}": np.zeros_like(w, order="C") for name, w in parameters.items() for slot in ("mean", "square")}

    def step(self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], slots: Mapping[str, Array], count: int) -> None:
        """Moves the parameters that have a gradient, in place. Raises ``ValueError`` for a ``count`` below 1."""
        if count < 1:
            raise ValueError(f"count: expected the number of the step, from 1, got {count}")
        rate = self.learning_rate / (1.0 - self.beta1**count)
        correction = 1.0 / (1.0 - self.beta2**count) ** 0.5
        numbers = (rate, self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, correction, self.epsilon)
        for name, g in gradients.items():
            w = _flat(name, parameters[name], g)
            m, v = (_flat(f"{name}/{slot}", slots[f"{name}/{slot}"], g) for slot in ("mean", "square"))
            if self.weight_decay:
                w *= w.dtype.type(1.0 - self.learning_rate * self.weight_decay)
            _adapt(w, plain(g).reshape(-1), m, v, *map(w.dtype.type, numbers))


def _flat(name: str, array: Array, g: Array) -> Array:
    """``array`` as one row that shares its memory. Raises ``ValueError`` where it cannot be changed in place, or does not fit."""
    if array.shape != g.shape or array.dtype != g.dtype:
        expected, got = f"{g.dtype} {list(g.shape)}", f"{array.dtype} {list(array.shape)}"
        raise ValueError(f"{name}: expected {expected}, as its gradient is, got {got}")
    if not (array.flags.c_contiguous if elsewhere(array) else array.flags.carray):
        raise ValueError(f"{name}: expected a C-contiguous array that can be written, got one that is not")
    return array.reshape(-1)


def _descend_numpy(w: Array, g: Array, rate: float) -> None:
    w -= rate * g


@jit(twin=_descend_numpy)
def _descend(w: Array, g: Array, rate: float) -> None:
    for i in range(w.size):
        w[i] -= rate * g[i]


def _roll_numpy(w: Array, g: Array, v: Array, rate: float, momentum: float) -> None:
    v *= momentum
    v -= rate * g
    w += v


@jit(twin=_roll_numpy)
def _roll(w: Array, g: Array, v: Array, rate: float, momentum: float) -> None:
    for i in range(w.size):
        speed = momentum * v[i] - rate * g[i]
        v[i] = speed
        w[i] += speed


# Adam's numbers: rate, beta1, 1 - beta1, beta2, 1 - beta2, 1 / square root of the correction of the squares, epsilon.
def _adapt_numpy(
    w: Array, g: Array, m: Array, v: Array, rate: float, b1: float, c1: float, b2: float, c2: float, root: float, eps: float
) -> None:
    m *= b1
    m += c1 * g
    v *= b2
    v += c2 * (g * g)
    w -= rate * m / (np.sqrt(v) * root + eps)


@jit(twin=_adapt_numpy)
def _adapt(
    w: Array, g: Array, m: Array, v: Array, rate: float, b1: float, c1: float, b2: float, c2: float, root: float, eps: float
) -> None:
    for i in range(w.size):
        mean = b1 * m[i] + c1 * g[i]
        square = b2 * v[i] + c2 * (g[i] * g[i])
        m[i] = mean
        v[i] = square
        w[i] -= rate * mean / (np.sqrt(square) * root + eps)
