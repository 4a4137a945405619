"""Long short-term memory, one way and both ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from .lstm_steps import Back, Cell, Tape, run, run_back, run_keeping
from .recurrent import (
    LIMIT,
    Activation,
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

GATES = ("inputGate", "forgetGate", "outputGate", "blockInput")
PEEPHOLES = GATES[:3]


def lstm(*arrays: Array, sequence_output: bool, reverse_input: bool = False, **options: Any) -> tuple[Array, ...]:
    """``x`` ``[..., S, B, I, 1, 1]``, perhaps answer and memory before ``[..., 1, B, H, 1, 1]`` -> answers, last answer, last memory.

    Of the gates input, forget, output and block input trail the input matrices ``[H, I]``, the recursion matrices ``[H, H]``,
    with ``has_bias`` the biases and, but for the last gate, with ``has_peepholes`` the peepholes ``[H]``.
    Answers are ``[..., S or 1, B, H, 1, 1]``; reversed, the first is that for the last input.
    Source: ``LSTMParams`` and ``UniDirectionalLSTMLayerParams`` in the format's ``NeuralNetwork.proto``.
    """
    (x, *given), weights = _parted(arrays, 1, **options)
    cell = _cell(weights, **options)
    answers, memory = run(cell, fold(x, reverse_input), *(state(given, place, x, cell.size) for place in range(2)))
    last = unfold(answers[-1:], x.shape)
    return unfold(answers, x.shape) if sequence_output else last, last, unfold(memory[None], x.shape)


def lstm_backward(
    g: tuple[Array | None, ...],
    y: tuple[Array, ...],
    *arrays: Array,
    needs: tuple[bool, ...],
    sequence_output: bool,
    reverse_input: bool = False,
    **options: Any,
) -> tuple[Array | None, ...]:
    """The gradients of ``lstm``, back through time."""
    (x, *given), weights = _parted(arrays, 1, **options)
    cell = _cell(weights, **options)
    rows = fold(x, reverse_input)
    tape = run_keeping(cell, rows, *(state(given, place, x, cell.size) for place in range(2)))
    back = run_back(cell, tape, arriving(g[0], g[1], tape.hs[1:], sequence_output), None if g[2] is None else fold(g[2])[0])
    found = (back.h, back.c)
    return (
        unfold(_inputs(cell, back, reverse_input), x.shape) if needs[0] else None,
        *(d.reshape(s.shape) if need else None for d, s, need in zip(found, given, needs[1:], strict=False)),
        *_weights(cell, tape, back, rows, needs[1 + len(given) :]),
    )


def two_way_lstm(*arrays: Array, sequence_output: bool, activations: tuple[Activation, ...], **options: Any) -> tuple[Array, ...]:
    """As ``lstm``, with a second one from right to left: ``x``, perhaps both states -> answers of both, both last states.

    Answers are ``[..., S or 1, B, 2H, 1, 1]``: beside what the first says at a step stands what the second says at the same
    step; without ``sequence_output``, what each says last. The weights and activations of the second follow those of the first.
    Source: ``BiDirectionalLSTMLayerParams`` in the format's ``NeuralNetwork.proto``.
    """
    (x, *given), weights = _parted(arrays, 2, **options)
    found, states = [], []
    for way in range(2):
        cell = _cell(_half(weights, way), activations=_half(activations, way), **options)
        before = [state(given, 2 * way + place, x, cell.size) for place in range(2)]
        answers, memory = run(cell, fold(x, reverse=way == 1), *before)
        states += [unfold(answers[-1:], x.shape), unfold(memory[None], x.shape)]
        found.append(answers[:: -1 if way else 1] if sequence_output else answers[-1:])
    return unfold(np.concatenate(found, axis=2), x.shape), *states


def two_way_lstm_backward(
    g: tuple[Array | None, ...],
    y: tuple[Array, ...],
    *arrays: Array,
    needs: tuple[bool, ...],
    sequence_output: bool,
    activations: tuple[Activation, ...],
    **options: Any,
) -> tuple[Array | None, ...]:
    """The gradients of ``two_way_lstm``, back through time."""
    (x, *given), weights = _parted(arrays, 2, **options)
    dx: Array | None = None
    states: list[Array | None] = []
    found: list[Array | None] = []
    for way in range(2):
        cell = _cell(_half(weights, way), activations=_half(activations, way), **options)
        rows = fold(x, reverse=way == 1)
        tape = run_keeping(cell, rows, *(state(given, 2 * way + place, x, cell.size) for place in range(2)))
        half = None if g[0] is None else g[0][..., way * cell.size : (way + 1) * cell.size, :, :]
        if half is not None and way == 1:
            half = np.flip(half, -5)  # this one took the steps from the last to the first
        last = g[2 + 2 * way]
        come = arriving(half, g[1 + 2 * way], tape.hs[1:], sequence_output)
        back = run_back(cell, tape, come, None if last is None else fold(last)[0])
        if needs[0]:
            part = _inputs(cell, back, way == 1)
            dx = part if dx is None else dx + part
        wanted = needs[1 + 2 * way : 3 + 2 * way]
        states += [d.reshape(s.shape) if need else None for d, s, need in zip((back.h, back.c), given[2 * way :], wanted, strict=False)]
        found += _weights(cell, tape, back, rows, _half(needs[1 + len(given) :], way))
    return (None if dx is None else unfold(dx, x.shape), *states, *found)


def _count(has_bias: bool, has_peepholes: bool) -> int:
    """How many weights an LSTM has."""
    return 8 + 4 * has_bias + 3 * has_peepholes


def _parted(arrays: tuple[Any, ...], ways: int, *, has_bias: bool, has_peepholes: bool, **options: Any) -> tuple[Any, Any]:
    """Inputs and weights."""
    weights = ways * _count(has_bias, has_peepholes)
    return arrays[:-weights], arrays[-weights:]


def _half(both: tuple[Any, ...], way: int) -> tuple[Any, ...]:
    size = len(both) // 2
    return both[way * size : (way + 1) * size]


def _cell(
    weights: tuple[Array, ...],
    *,
    activations: tuple[Activation, ...],
    has_bias: bool,
    has_peepholes: bool,
    forget_bias: bool,
    coupled: bool,
    limit: float,
) -> Cell:
    bias = side_by_side(weights[8:12]) if has_bias else None
    if forget_bias:
        size = len(weights[0])
        bias = np.zeros(4 * size, weights[0].dtype, like=weights[0]) if bias is None else bias.copy()
        bias[size : 2 * size] += 1.0
    peepholes = side_by_side(weights[-3:]) if has_peepholes else None
    return Cell(side_by_side(weights[:4]), side_by_side(weights[4:8]), bias, peepholes, activations, coupled, limit)


def _inputs(cell: Cell, back: Back, reverse: bool) -> Array:
    """The gradient of the inputs, ``[S, M, I]``."""
    found: Array = (back.before.reshape(-1, 4 * cell.size) @ cell.w).reshape(*back.before.shape[:2], -1)
    return found[::-1] if reverse else found


def _weights(cell: Cell, tape: Tape, back: Back, x: Array, needs: Sequence[bool]) -> Iterator[Array | None]:
    """The gradients of the weights, in the order in which they trail."""
    size, wanted = cell.size, iter(needs)
    parts = [back.before[:, :, place * size : (place + 1) * size].reshape(-1, size) for place in range(4)]
    memories = (tape.cs[:-1], tape.cs[:-1], tape.cs[1:])
    for seen in (x, tape.hs[:-1]):
        flat = seen.reshape(-1, seen.shape[2])
        yield from (part.T @ flat if next(wanted) else None for part in parts)
    if len(needs) in (_count(True, False), _count(True, True)):
        yield from (part.sum(axis=0) if next(wanted) else None for part in parts)
    if cell.peepholes is not None:
        seen_by = (memory.reshape(-1, size) for memory in memories)
        yield from ((part * c).sum(axis=0) if next(wanted) else None for part, c in zip(parts, seen_by, strict=False))


def _shape(*shapes: Shape, ways: int, sequence_output: bool, reverse_input: bool = False, **options: Any) -> tuple[Shape, ...]:
    inputs, weights = _parted(shapes, ways, **options)
    return check_recurrent(inputs, 2, weights[0], 4, sequence_output, ways)


def _work(*shapes: Shape, ways: int, sequence_output: bool, reverse_input: bool = False, **options: Any) -> int:
    inputs, weights = _parted(shapes, ways, **options)
    return ways * recurrent_work(inputs[0], weights[0], 4)


def _read(params: Any, decode: Decode) -> Reading:
    messages = (params.weightParams,)
    return _reading(params, decode, read_activations(params.activations, 3), {"reverse_input": bool(params.reverseInput)}, messages, "")


def _read_two_way(params: Any, decode: Decode) -> Reading:
    if len(params.weightParams) != 2:
        raise ValueError(f"weightParams: expected 2, one for each way, got {len(params.weightParams)}")
    activations = read_activations(params.activationsForwardLSTM, 3) + read_activations(params.activationsBackwardLSTM, 3)
    return _reading(params, decode, activations, {}, params.weightParams, "[{}]")


def _reading(
    layer: Any, decode: Decode, activations: tuple[Activation, ...], more: dict[str, bool], messages: Sequence[Any], suffix: str
) -> Reading:
    """What both layers have. ``suffix`` follows the name of a weight, with the place of its message among ``messages``."""
    params, size = layer.params, int(layer.outputVectorSize)
    has_bias, has_peepholes = bool(params.hasBiasVectors), bool(params.hasPeepholeVectors)
    kinds: list[tuple[str, tuple[str, ...], Shape]] = [
        ("WeightMatrix", GATES, (size, int(layer.inputVectorSize))),
        ("RecursionMatrix", GATES, (size, size)),
    ]
    if has_bias:
        kinds.append(("BiasVector", GATES, (size,)))
    if has_peepholes:
        kinds.append(("PeepholeVector", PEEPHOLES, (size,)))
    weights: dict[str, Array] = {}
    for place, message in enumerate(messages):
        for kind, gates, shape in kinds:
            fields = [gate + kind for gate in gates]
            found = laid_out([decode(message, field, shape) for field in fields])
            weights.update(zip((field + suffix.format(place) for field in fields), found, strict=True))
    attributes = {
        "activations": activations,
        "sequence_output": bool(params.sequenceOutput),
        "has_bias": has_bias,
        "has_peepholes": has_peepholes,
        "forget_bias": bool(params.forgetBias),
        "coupled": bool(params.coupledInputAndForgetGate),
        "limit": float(params.cellClipThreshold) or LIMIT,
    }
    return Reading(attributes | more, weights)


OPS = (
    Op("uniDirectionalLSTM", lstm, partial(_shape, ways=1), _read, lstm_backward, from_the_end, partial(_work, ways=1), portable=True),
    Op(
        "biDirectionalLSTM",
        two_way_lstm,
        partial(_shape, ways=2),
        _read_two_way,
        two_way_lstm_backward,
        from_the_end,
        partial(_work, ways=2),
        portable=True,
    ),
)
