"""Recurrent layers as steps: one product of all inputs with the gates' input matrices, then a step that goes through time for each way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ...layers.recurrent import Activation
from ...op import Array, Attributes, Shape
from ..assembly import Assembly
from ..bind import Bind
from ..records import LANES, Cell, Squash
from ..views import View

SQUASHES = {
    "sigmoid": Squash.SIGMOID,
    "tanh": Squash.TANH,
    "scaledTanh": Squash.SCALED_TANH,
    "linear": Squash.LINEAR,
    "sigmoidHard": Squash.HARD,
    "ReLU": Squash.RELU,
}

MOST = 1 << 27
"""Numbers in the gates of all steps of an example, at most."""


@dataclass(frozen=True, slots=True)
class _Way:
    """The weights of one direction, a gate each (``bias`` and ``peepholes`` perhaps none), and its activations."""

    w: Sequence[Array]
    r: Sequence[Array]
    bias: Sequence[Array]
    peepholes: Sequence[Array]
    activations: Sequence[Activation]


def _whole(*gates: Array) -> Array:
    """``[H, ...]`` of each gate -> ``[gates, blocks, LANES, ...]``, with zeros after the last unit."""
    size, inner = len(gates[0]), gates[0].shape[1:]
    blocks = -(-size // LANES)
    padded = np.zeros((len(gates), blocks * LANES, *inner), np.float32)
    padded[:, :size] = gates
    return padded.reshape(len(gates), blocks, LANES, *inner)


def _panels(*gates: Array) -> Array:
    """``[H, K]`` of each gate -> ``[gates, blocks, K, LANES]``."""
    return _whole(*gates).swapaxes(2, 3)


def _forgetful(*biases: Array) -> Array:
    """``_whole``, with one more for each second of four gates."""
    return _whole(*(bias + 1.0 if place % 4 == 1 else bias for place, bias in enumerate(biases)))


def _bound(to: Assembly, name: str, cell: Cell, inputs: Sequence[View], ways: Sequence[_Way], attributes: Attributes) -> tuple[View, ...]:
    """The answers, and of each way the last state, of an LSTM also the last memory."""
    x, *given = inputs
    steps, batch, depth = x.shape[:3]
    size, gates = len(ways[0].w[0]), len(ways[0].w)
    blocks = -(-size // LANES)
    wide = LANES * blocks * gates
    before = to.new((steps, batch, wide * len(ways), 1, 1))
    x = x if x.strides[2] == 1 or depth == 1 else to.in_order(x)
    to.product(
        before,
        x,
        to.packed(("gates",), _panels, *(matrix for way in ways for matrix in way.w)),
        taps=[0],
        depth=depth,
        channels=wide * len(ways),
        pixels=(steps, batch),
        steps={"x": (0, x.strides[0], x.strides[1]), "y": (0, before.strides[0], before.strides[1])},
        images=(1, x.image, before.image),
        bias=_bias(to, ways, bool(attributes.get("forget_bias"))),
    )
    sequence = attributes["sequence_output"]
    shape = (steps, batch, size * len(ways), 1, 1)
    y = to.place(name, shape, False) if sequence else to.new(shape)
    one = (1, batch, size, 1, 1)
    states = []
    for number, way in enumerate(ways):
        backwards = number == 1 or attributes.get("reverse_input", False)
        seen = replace(before, at=number * wide)
        answers = replace(y, shape=(steps, *one[1:]), at=y.at + number * size)
        if number == 1 and sequence:  # what is said first is said of the last step
            answers = _reversed(answers)
        operands = {
            "a": _reversed(seen) if backwards else seen,
            "w": to.packed(("gates",), _panels, *way.r),
            "m": to.new((1, batch, LANES * blocks, 1, 1)),
        }
        states.append(replace(answers, shape=one, at=answers.at + (steps - 1) * answers.strides[0]))
        if cell is Cell.LSTM:
            operands["h"], operands["c"] = (_state(to, given, 2 * number + place, one) for place in range(2))
            states.append(replace(operands["m"], shape=one))
        else:
            operands["h"] = _state(to, given, number, one)
        if way.peepholes:
            operands["p"] = to.packed(("units", False), _whole, *way.peepholes)
        kinds = [(SQUASHES[str(kind)], *pair, 0.0, 0.0)[:3] for kind, *pair in way.activations]
        to.recurrent(
            cell,
            answers,
            operands,
            wait=number == len(ways) - 1,
            steps=steps,
            batch=batch,
            size=size,
            gates=gates,
            ways=len(ways),
            coupled=int(attributes.get("coupled", False)),
            peepholes=int(bool(way.peepholes)),
            **{name: (*row, 0, 0)[:3] for name, row in zip(("kinds", "alphas", "betas"), zip(*kinds, strict=True), strict=True)},
            limit=attributes.get("limit", 0.0),
        )
    return (y if sequence else replace(y, shape=(1, *shape[1:]), at=y.at + (steps - 1) * y.strides[0]), *states)


def _bias(to: Assembly, ways: Sequence[_Way], forget: bool) -> View | None:
    make = _forgetful if forget else _whole
    biases = [bias for way in ways for bias in way.bias]
    if biases:
        return to.packed(("units", forget), make, *biases)
    return to.constant(make(*(np.zeros(len(matrix)) for way in ways for matrix in way.w))) if forget else None


def _reversed(view: View) -> View:
    """From the last step in time to the first."""
    return replace(view, at=view.at + (view.shape[0] - 1) * view.strides[0], strides=(-view.strides[0], *view.strides[1:]))


def _state(to: Assembly, given: Sequence[View], place: int, shape: Shape) -> View:
    """A state to begin with, units in one piece: zeros where none is given."""
    if not given:
        return to.constant(np.zeros(shape[2]).reshape(1, 1, -1, 1, 1)).spread(shape)
    found = to.recast(given[place], shape)
    return found if found.strides[2] == 1 or shape[2] == 1 else to.in_order(found)


def _fits(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    """Not sequences whose gates at all steps (at most eight, of two LSTMs) would fill the memory: the op has some steps at a time."""
    return prod(inputs[0]) > 0 and prod(weights[0]) > 0 and 8 * prod(inputs[0][:2]) * weights[0][0] <= MOST


def _lstm(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> tuple[View, ...]:
    biases, peepholes = 4 * attributes["has_bias"], 3 * attributes["has_peepholes"]
    count = 8 + biases + peepholes
    ways: list[_Way] = []
    for begin in range(0, len(weights), count):
        own = weights[begin : begin + count]
        activations = attributes["activations"][3 * len(ways) :][:3]
        ways.append(_Way(own[:4], own[4:8], own[8 : 8 + biases], own[8 + biases :], activations))
    return _bound(to, name, Cell.LSTM, inputs, ways, attributes)


def _gru(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> tuple[View, ...]:
    way = _Way(weights[:3], weights[3:6], weights[6:], (), attributes["activations"])
    return _bound(to, name, Cell.GRU, inputs, [way], attributes)


def _simple(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> tuple[View, ...]:
    way = _Way(weights[:1], weights[1:2], weights[2:], (), [attributes["activation"]])
    return _bound(to, name, Cell.SIMPLE, inputs, [way], attributes)


BINDS = (
    Bind("uniDirectionalLSTM", _fits, _lstm),
    Bind("biDirectionalLSTM", _fits, _lstm),
    Bind("gru", _fits, _gru),
    Bind("simpleRecurrent", _fits, _simple),
)
