"""The gated recurrent unit."""

from __future__ import annotations

from dataclasses import dataclass
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
    laid_out,
    read_activations,
    recurrent_work,
    side_by_side,
    state,
    unfold,
)

GATES = ("updateGate", "resetGate", "outputGate")


def gru(
    *arrays: Array, activations: tuple[Activation, Activation], sequence_output: bool, has_bias: bool, reverse_input: bool
) -> tuple[Array, Array]:
    """``x`` ``[..., S, B, I, 1, 1]``, perhaps the state before ``[..., 1, B, H, 1, 1]`` -> answers ``[..., S or 1, B, H, 1, 1]``, state.

    Of the update, reset and output gate trail the input matrices ``[H, I]``, the recursion matrices ``[H, H]`` and perhaps
    the biases ``[H]``. The reset gate acts before the recursion matrix. Reversed, the first answer is that for the last input.
    Source: ``GRULayerParams`` in the format's ``NeuralNetwork.proto``.
    """
    (x, *given), weights = _parted(arrays, has_bias)
    run = _run(fold(x, reverse_input), state(given, 0, x, len(weights[0])), *_joined(weights), activations)
    return unfold(run.hs[1:] if sequence_output else run.hs[-1:], x.shape), unfold(run.hs[-1:], x.shape)


def gru_backward(
    g: tuple[Array | None, Array | None],
    y: tuple[Array, Array],
    *arrays: Array,
    needs: tuple[bool, ...],
    activations: tuple[Activation, Activation],
    sequence_output: bool,
    has_bias: bool,
    reverse_input: bool,
) -> tuple[Array | None, ...]:
    """The gradients of ``gru``, back through time."""
    (x, *given), weights = _parted(arrays, has_bias)
    rows, size = fold(x, reverse_input), len(weights[0])
    w, r, bias = _joined(weights)
    run = _run(rows, state(given, 0, x, size), w, r, bias, activations)
    come = arriving(g[0], g[1], run.hs[1:], sequence_output)
    back = np.empty_like(run.before)  # at what the activations were given
    carried = np.zeros_like(come[0])
    for t in reversed(range(len(come))):
        dh, h, before, after, at = come[t] + carried, run.hs[t], run.before[t], run.after[t], back[t]
        update, reset, output = (after[:, place * size : (place + 1) * size] for place in range(3))
        at[:, 2 * size :] = activate_back(activations[1], dh * (1.0 - update), output, before[:, 2 * size :])
        dc = at[:, 2 * size :] @ r[2 * size :]
        at[:, :size] = dh * (h - output)
        at[:, size : 2 * size] = dc * h
        at[:, : 2 * size] = activate_back(activations[0], at[:, : 2 * size], after[:, : 2 * size], before[:, : 2 * size])
        carried = dh * update + dc * reset + at[:, : 2 * size] @ r[: 2 * size]

    flat, inner = back.reshape(-1, 3 * size), run.hs[:-1]
    dx = (flat @ w).reshape(rows.shape) if needs[0] else None
    reset_inner = inner * run.after[:, :, size : 2 * size]
    parts = [flat[:, place * size : (place + 1) * size] for place in range(3)]
    wanted = iter(needs[1 + len(given) :])
    return (
        None if dx is None else unfold(dx[::-1] if reverse_input else dx, x.shape),
        *(carried.reshape(h.shape) if need else None for h, need in zip(given, needs[1:], strict=False)),
        *(part.T @ rows.reshape(-1, w.shape[1]) if next(wanted) else None for part in parts),
        *(part.T @ seen.reshape(-1, size) if next(wanted) else None for part, seen in zip(parts, (inner, inner, reset_inner), strict=True)),
        *(part.sum(axis=0) if next(wanted) else None for part in (parts if has_bias else ())),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """What the activations were given and gave, ``[S, M, 3H]``, and the answers with the state before them, ``[S + 1, M, H]``."""

    before: Array
    after: Array
    hs: Array


def _run(x: Array, h: Array, w: Array, r: Array, bias: Array | None, activations: tuple[Activation, Activation]) -> _Run:
    size = h.shape[1]
    before = (x.reshape(-1, w.shape[1]) @ w.T).reshape(*x.shape[:2], 3 * size)
    if bias is not None:
        before += bias
    after = np.empty_like(before)
    hs = np.empty((len(x) + 1, *h.shape), x.dtype, like=x)
    hs[0] = h
    early, late = r[: 2 * size].T, r[2 * size :].T
    for t, (a, gates) in enumerate(zip(before, after, strict=True)):
        h = hs[t]
        a[:, : 2 * size] += h @ early
        gates[:, : 2 * size] = a[:, : 2 * size]
        activate(activations[0], gates[:, : 2 * size])
        a[:, 2 * size :] += (h * gates[:, size : 2 * size]) @ late
        gates[:, 2 * size :] = a[:, 2 * size :]
        activate(activations[1], gates[:, 2 * size :])
        update, output = gates[:, :size], gates[:, 2 * size :]
        hs[t + 1] = (1.0 - update) * output + update * h
    return _Run(before, after, hs)


def _parted(arrays: tuple[Array, ...], has_bias: bool) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Inputs and weights."""
    weights = 9 if has_bias else 6
    return arrays[:-weights], arrays[-weights:]


def _joined(weights: tuple[Array, ...]) -> tuple[Array, Array, Array | None]:
    """The matrices ``[3H, I]`` and ``[3H, H]`` of all gates, and their biases ``[3H]``."""
    return side_by_side(weights[:3]), side_by_side(weights[3:6]), side_by_side(weights[6:]) if len(weights) > 6 else None


def _shape(*shapes: Shape, sequence_output: bool, has_bias: bool, **attributes: Any) -> tuple[Shape, ...]:
    weights = 9 if has_bias else 6
    return check_recurrent(shapes[:-weights], 1, shapes[-weights], 3, sequence_output)


def _work(*shapes: Shape, has_bias: bool, **attributes: Any) -> int:
    return recurrent_work(shapes[0], shapes[-9 if has_bias else -6], 3)


def _read(params: Any, decode: Decode) -> Reading:
    size, has_bias = int(params.outputVectorSize), bool(params.hasBiasVectors)
    kinds = {"WeightMatrix": (size, int(params.inputVectorSize)), "RecursionMatrix": (size, size)}
    weights: dict[str, Array] = {}
    for kind, shape in (kinds | ({"BiasVector": (size,)} if has_bias else {})).items():
        fields = [gate + kind for gate in GATES]
        weights.update(zip(fields, laid_out([decode(params, field, shape) for field in fields]), strict=True))
    attributes = {
        "activations": read_activations(params.activations, 2),
        "sequence_output": bool(params.sequenceOutput),
        "has_bias": has_bias,
        "reverse_input": bool(params.reverseInput),
    }
    return Reading(attributes, weights)


OPS = (Op("gru", gru, _shape, _read, gru_backward, from_the_end, _work, portable=True),)
