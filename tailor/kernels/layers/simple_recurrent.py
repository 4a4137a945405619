"""The simple recurrent layer: one activation of the input and the last answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from .recurrent import (
    Activation,
    activate,
    activate_back,
    arriving,
    check_recurrent,
    fold,
    read_activation,
    recurrent_work,
    state,
    unfold,
)


def simple_recurrent(
    *arrays: Array, activation: Activation, sequence_output: bool, has_bias: bool, reverse_input: bool
) -> tuple[Array, Array]:
    """``x`` ``[..., S, B, I, 1, 1]``, perhaps the state before ``[..., 1, B, H, 1, 1]`` -> answers ``[..., S or 1, B, H, 1, 1]``, state.

    ``w`` ``[H, I]``, ``r`` ``[H, H]`` and perhaps ``bias`` ``[H]`` trail. Reversed, the first answer is that for the last input.
    Source: ``SimpleRecurrentLayerParams`` in the format's ``NeuralNetwork.proto``.
    """
    (x, *given), (w, r, *bias) = _parted(arrays, has_bias)
    _, hs = _run(fold(x, reverse_input), state(given, 0, x, len(w)), w, r, bias, activation)
    return unfold(hs[1:] if sequence_output else hs[-1:], x.shape), unfold(hs[-1:], x.shape)


def simple_recurrent_backward(
    g: tuple[Array | None, Array | None],
    y: tuple[Array, Array],
    *arrays: Array,
    needs: tuple[bool, ...],
    activation: Activation,
    sequence_output: bool,
    has_bias: bool,
    reverse_input: bool,
) -> tuple[Array | None, ...]:
    """The gradients of ``simple_recurrent``, back through time."""
    (x, *given), (w, r, *bias) = _parted(arrays, has_bias)
    rows = fold(x, reverse_input)
    before, hs = _run(rows, state(given, 0, x, len(w)), w, r, bias, activation)
    back = arriving(g[0], g[1], hs[1:], sequence_output)  # at each answer, then at what its activation was given
    carried = np.zeros_like(hs[0])
    for t in reversed(range(len(back))):
        back[t] = activate_back(activation, back[t] + carried, hs[t + 1], before[t])
        carried = back[t] @ r
    flat = back.reshape(-1, len(w))
    dx = (flat @ w).reshape(rows.shape) if needs[0] else None
    return (
        None if dx is None else unfold(dx[::-1] if reverse_input else dx, x.shape),
        *(carried.reshape(h.shape) if need else None for h, need in zip(given, needs[1:], strict=False)),
        flat.T @ rows.reshape(-1, w.shape[1]) if needs[len(given) + 1] else None,
        flat.T @ hs[:-1].reshape(-1, len(w)) if needs[len(given) + 2] else None,
        *(flat.sum(axis=0) if need else None for _, need in zip(bias, needs[len(given) + 3 :], strict=True)),
    )


def _parted(arrays: tuple[Array, ...], has_bias: bool) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Inputs and weights."""
    weights = 3 if has_bias else 2
    return arrays[:-weights], arrays[-weights:]


def _run(x: Array, h: Array, w: Array, r: Array, bias: Sequence[Array], activation: Activation) -> tuple[Array, Array]:
    """What the activation was given ``[S, M, H]``, and the answers with the state before the first ``[S + 1, M, H]``."""
    before = (x.reshape(-1, w.shape[1]) @ w.T).reshape(*x.shape[:2], len(w))
    for vector in bias:
        before += vector
    hs = np.empty((len(x) + 1, *h.shape), x.dtype, like=x)
    hs[0] = h
    for t, a in enumerate(before):
        a += hs[t] @ r.T
        hs[t + 1] = a
        activate(activation, hs[t + 1])
    return before, hs


def _shape(*shapes: Shape, activation: Activation, sequence_output: bool, has_bias: bool, reverse_input: bool) -> tuple[Shape, ...]:
    weights = 3 if has_bias else 2
    return check_recurrent(shapes[:-weights], 1, shapes[-weights], 1, sequence_output)


def _work(*shapes: Shape, has_bias: bool, **attributes: Any) -> int:
    return recurrent_work(shapes[0], shapes[-3 if has_bias else -2], 1)


def _read(params: Any, decode: Decode) -> Reading:
    size, has_bias = int(params.outputVectorSize), bool(params.hasBiasVector)
    weights = {
        "weightMatrix": decode(params, "weightMatrix", (size, int(params.inputVectorSize))),
        "recursionMatrix": decode(params, "recursionMatrix", (size, size)),
    }
    if has_bias:
        weights["biasVector"] = decode(params, "biasVector", (size,))
    attributes = {
        "activation": read_activation(params.activation),
        "sequence_output": bool(params.sequenceOutput),
        "has_bias": has_bias,
        "reverse_input": bool(params.reverseInput),
    }
    return Reading(attributes, weights)


OPS = (Op("simpleRecurrent", simple_recurrent, _shape, _read, simple_recurrent_backward, from_the_end, _work, portable=True),)
