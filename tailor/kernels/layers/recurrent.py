"""What recurrent layers share: sequences and states as matrices, gates side by side, the activations of gates.

Inside, a sequence is ``[S, M, C]``: S steps of M rows, one row a batch entry of an example, so that examples cost nothing extra.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ..bounds import check_elements
from ..jit import elsewhere
from ..op import Array, Shape
from .activation import OPS as ACTIVATIONS
from .channels import check_rank

Activation: TypeAlias = tuple[str | float, ...]
"""The name of an activation and its numbers, for example ``("scaledTanh", 1.7159, 0.6667)``."""

LIMIT = 50.0
"""What an activation is given is cut to -50...50, as the comments of the recurrent layers say."""

# The numbers of those that have any, where a message leaves them 0. Converters do that, and Core ML takes these instead.
_USUAL = {"linear": (1.0, 0.0), "scaledTanh": (1.0, 1.0), "sigmoidHard": (0.2, 0.5)}
_KINDS = ("linear", "sigmoid", "tanh", "scaledTanh", "sigmoidHard", "ReLU")
_ROWS = {kind: next(row for row in ACTIVATIONS if row.name == f"activation.{kind}") for kind in _KINDS}


def read_activation(params: Any) -> Activation:
    """The activation in an ``ActivationParams`` message. Raises ``ValueError`` for one that recurrent layers do not take."""
    kind = params.WhichOneof("NonlinearityType")
    if kind not in _KINDS:
        raise ValueError(f"expected an activation among {', '.join(_KINDS)}, got {kind or 'none'}")
    if kind not in _USUAL:
        return (str(kind),)
    inner = getattr(params, kind)
    numbers = (float(inner.alpha), float(inner.beta))
    return (str(kind), *(numbers if any(numbers) else _USUAL[kind]))


def read_activations(messages: Sequence[Any], count: int) -> tuple[Activation, ...]:
    """``count`` activations, in the order of the format. Raises ``ValueError`` for another number of them."""
    if len(messages) != count:
        raise ValueError(f"expected {count} activations, got {len(messages)}")
    return tuple(read_activation(message) for message in messages)


def activate(activation: Activation, a: Array) -> None:
    """Cuts ``a`` to the limit and puts the activation of it in its place."""
    kind = activation[0]
    if kind == "sigmoid":  # by tanh, which NumPy computes several numbers at a time; at the limit it is within 1e-21 of 0 or 1
        a *= 0.5
        np.tanh(a, out=a)
        a += 1.0
        a *= 0.5
    elif kind == "tanh":
        np.tanh(a, out=a)
    else:
        cut(a, LIMIT)
        a[...] = _ROWS[str(kind)].forward(a, **_numbers(activation))


def activate_back(activation: Activation, g: Array, y: Array, a: Array) -> Array:
    """The gradient of ``activate``, where ``a`` was before it and ``y`` after it."""
    kind = str(activation[0])
    backward = _ROWS[kind].backward
    assert backward is not None
    flat = kind in ("sigmoid", "tanh")  # at the limit, so that what is beyond makes no difference
    (found,) = backward(g, y, a if flat else np.clip(a, -LIMIT, LIMIT), needs=(True,), **_numbers(activation))
    assert found is not None
    return found if flat else found * (np.abs(a) <= LIMIT)


def _numbers(activation: Activation) -> dict[str, Any]:
    return dict(zip(("alpha", "beta"), activation[1:], strict=False))


def cut(a: Array, limit: float) -> None:
    """``a`` cut to -limit...limit, in place."""
    np.minimum(a, limit, out=a)
    np.maximum(a, -limit, out=a)


def fold(x: Array, reverse: bool = False) -> Array:
    """``[..., S, B, C, 1, 1]`` -> ``[S, M, C]``, steps in the order in which they are taken."""
    steps, batch, channels = x.shape[-5:-2]
    rows = x.reshape(-1, steps, batch, channels).transpose(1, 0, 2, 3).reshape(steps, -1, channels)
    return np.ascontiguousarray(rows[::-1] if reverse else rows, like=x)


def unfold(y: Array, like: Shape) -> Array:
    """``[S, M, H]`` -> ``[..., S, B, H, 1, 1]`` with the leading axes and B of the input's shape ``like``."""
    steps, _, size = y.shape
    if len(like) == 5:
        return y.reshape(steps, like[-4], size, 1, 1)
    rows = y.reshape(steps, prod(like[:-5]), like[-4], size).transpose(1, 0, 2, 3)
    return np.ascontiguousarray(rows, like=y).reshape(*like[:-5], steps, like[-4], size, 1, 1)


def state(given: Sequence[Array], place: int, x: Array, size: int) -> Array:
    """The state at ``place`` among those ``given``, as ``[M, H]``: zeros where none are."""
    rows = prod(x.shape[:-5]) * x.shape[-4]
    return given[place].reshape(rows, size) if given else np.zeros((rows, size), x.dtype, like=x)


def arriving(answers: Array | None, last: Array | None, like: Array, sequence: bool) -> Array:
    """The gradients that come to each of the answers ``like`` ``[S, M, H]``, from the layer's answers and from its last state."""
    found = np.zeros_like(like)
    if answers is not None:
        found[0 if sequence else -1 :] = fold(answers)
    if last is not None:
        found[-1] += fold(last)[0]
    return found


def side_by_side(gates: Sequence[Array]) -> Array:
    """Matrices ``[H, C]`` or vectors ``[H]`` -> one of all, in order; without a copy where they lie so in one array (``laid_out``)."""
    first = gates[0]
    if elsewhere(first):
        return np.concatenate(gates)
    start = first.__array_interface__["data"][0]
    if first.base is not None and all(
        gate.base is first.base and gate.flags.c_contiguous and gate.__array_interface__["data"][0] == start + place * first.nbytes
        for place, gate in enumerate(gates)
    ):
        shape = (len(gates) * first.shape[0], *first.shape[1:])
        return np.lib.stride_tricks.as_strided(first, shape, first.strides, writeable=False)
    return np.concatenate(gates)


def laid_out(gates: Sequence[Array]) -> tuple[Array, ...]:
    """The same matrices or vectors, side by side in one array of their own."""
    return tuple(np.stack(gates))


def check_recurrent(inputs: tuple[Shape, ...], states: int, w: Shape, gates: int, sequence: bool, directions: int = 1) -> tuple[Shape, ...]:
    """The shapes of a recurrent layer's outputs: the answers, then each state of each direction.

    ``w`` ``[H, I]`` is an input matrix. Raises ``ValueError`` where the inputs are not ``[..., S, B, I, 1, 1]`` and, of all
    or none of the states, B * H numbers each in the last five axes.
    """
    x, *given = inputs
    states *= directions
    check_rank(x, 5)
    if len(given) not in (0, states):
        raise ValueError(f"expected 1 input, or {1 + states} with the states, got {len(inputs)}")
    if x[-3:] != (w[1], 1, 1) or x[-5] < 1:
        raise ValueError(f"expected an input [sequence of 1 or more, batch, {w[1]}, 1, 1], got shape {list(x)}")
    one = (*x[:-5], 1, x[-4], w[0], 1, 1)
    for shape in given:
        if len(shape) != len(x) or shape[:-5] != x[:-5] or prod(shape) != prod(one):
            raise ValueError(f"expected states of shape {list(one)}, got shape {list(shape)}")
    check_elements((*x[:-3], gates * w[0]))
    y = (*x[:-5], x[-5] if sequence else 1, x[-4], directions * w[0], 1, 1)
    return (y, *(one for _ in range(states)))


def recurrent_work(x: Shape, w: Shape, gates: int) -> int:
    """Multiply-adds of ``gates`` input and recursion matrices over a sequence ``x``."""
    return prod(x[:-3]) * gates * w[0] * (w[0] + w[1])
