"""LSTMs one way and both ways: against PyTorch, and against the format's formulas, a vector at a time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tailor.kernels import Array

from .case import Case, Message, numbers
from .recurrent import (
    HARD,
    INPUT,
    LINEAR,
    RELU,
    SCALED_TANH,
    SIGMOID,
    SIZE,
    TANH,
    Activation,
    by_vector,
    function,
    message_of,
    run_torch,
    sequence,
    states,
)

GATES = ("inputGate", "forgetGate", "outputGate", "blockInput")
KINDS = {"WeightMatrix": (SIZE, INPUT), "RecursionMatrix": (SIZE, SIZE), "BiasVector": (SIZE,), "PeepholeVector": (SIZE,)}
USUAL = (SIGMOID, TANH, TANH)


class Layer(Message):
    """A layer's message: weights lie in ``weightParams``, of which the two-way layer has two."""

    def key(self, part: object, field: str) -> str:
        if isinstance(self.weightParams, list):
            return f"{field}[{[one is part for one in self.weightParams].index(True)}]"
        assert part is self.weightParams
        return field


def lstm(
    note: str,
    activations: tuple[Activation, ...] = USUAL,
    *,
    ways: int = 1,
    x: Array | None = None,
    given: bool = True,
    bias: bool = True,
    peepholes: bool = False,
    sequence_output: bool = True,
    reverse: bool = False,
    forget_bias: bool = False,
    coupled: bool = False,
    limit: float = 0.0,
    reference: Any = None,
) -> Case:
    fields = {
        gate + kind: shape
        for kind, shape in KINDS.items()
        for gate in GATES
        if (kind != "BiasVector" or bias) and (kind != "PeepholeVector" or (peepholes and gate != "blockInput"))
    }
    weights = {
        field + (f"[{way}]" if ways == 2 else ""): numbers(*shape, seed=100 * way + place)
        for way in range(ways)
        for place, (field, shape) in enumerate(fields.items())
    }
    x = sequence() if x is None else x
    inputs = (x, *(states(2 * ways, x.shape[1]) if given else ()))
    options = {"forget_bias": forget_bias, "coupled": coupled, "limit": limit or 50.0}

    def formulas(*arrays: Array) -> tuple[Array, ...]:
        found = []
        for way in range(ways):
            before = arrays[1 + 2 * way : 3 + 2 * way] if given else ()
            own = arrays[len(inputs) + way * len(fields) :][: len(fields)]
            named = {name: own[place] for place, name in enumerate(fields)}
            found.append(one_way(arrays[0], before, named, activations[3 * way :][:3], sequence_output, reverse or way == 1, **options))
        if ways == 1:
            return found[0]
        other = found[1][0][::-1] if sequence_output else found[1][0]
        return np.concatenate((found[0][0], other), axis=2), *found[0][1:], *found[1][1:]

    parts = [SimpleNamespace(**dict.fromkeys(gate + kind for gate in GATES for kind in KINDS)) for _ in range(ways)]
    messages = [message_of(activation) for activation in activations]
    lists = {"activations": messages} if ways == 1 else {"activationsForwardLSTM": messages[:3], "activationsBackwardLSTM": messages[3:]}
    message = Layer(
        inputVectorSize=INPUT,
        outputVectorSize=SIZE,
        **lists,
        params=SimpleNamespace(
            sequenceOutput=sequence_output,
            hasBiasVectors=bias,
            forgetBias=forget_bias,
            hasPeepholeVectors=peepholes,
            coupledInputAndForgetGate=coupled,
            cellClipThreshold=limit,
        ),
        weightParams=parts if ways == 2 else parts[0],
        **({"reverseInput": reverse} if ways == 1 else {}),
    )
    attributes = {
        "activations": activations,
        "sequence_output": sequence_output,
        "has_bias": bias,
        "has_peepholes": peepholes,
        **options,
        **({"reverse_input": reverse} if ways == 1 else {}),
    }
    kind = "biDirectionalLSTM" if ways == 2 else "uniDirectionalLSTM"
    return Case(kind, inputs, reference or formulas, message, attributes, weights, note=note)


def one_way(
    x: Array,
    before: tuple[Array, ...],
    weights: dict[str, Array],
    activations: tuple[Activation, ...],
    sequence_output: bool,
    reverse: bool,
    *,
    forget_bias: bool,
    coupled: bool,
    limit: float,
) -> tuple[Array, ...]:
    """The format's formulas."""
    (wi, wf, wo, wz), (ri, rf, ro, rz) = ([weights[gate + kind] for gate in GATES] for kind in ("WeightMatrix", "RecursionMatrix"))
    bi, bf, bo, bz = (weights.get(f"{gate}BiasVector", np.zeros(SIZE)) for gate in GATES)
    pi, pf, po = (weights.get(f"{gate}PeepholeVector", np.zeros(SIZE)) for gate in GATES[:3])
    f, g, h = map(function, activations)

    def step(x: Array, y: Array, c: Array) -> tuple[Array, ...]:
        i = f(wi @ x + ri @ y + pi * c + bi)
        forget = f(wf @ x + rf @ y + pf * c + bf + (1 if forget_bias else 0))
        z = g(wz @ x + rz @ y + bz)
        c = c * (1 - i) + i * z if coupled else c * forget + i * z
        c = np.array([min(max(one, -limit), limit) for one in c])
        o = f(wo @ x + ro @ y + po * c + bo)
        return h(c) * o, c

    return by_vector(step, x, before, 2, sequence_output, reverse)


def torch_lstm(*arrays: Array) -> tuple[Array, ...]:
    """PyTorch's gates are input, forget, block input, output."""
    torch = pytest.importorskip("torch", reason="needs PyTorch, an independent source of answers")
    x, h, c, *weights = arrays
    return run_torch(torch, torch.nn.LSTM(INPUT, SIZE), x, (h, c), [torch_weights(weights)])


def torch_two_way(*arrays: Array) -> tuple[Array, ...]:
    torch = pytest.importorskip("torch", reason="needs PyTorch, an independent source of answers")
    x, h, c, h_back, c_back, *weights = arrays
    net = torch.nn.LSTM(INPUT, SIZE, bidirectional=True)
    given = (np.concatenate((h, h_back)), np.concatenate((c, c_back)))
    y, hs, cs = run_torch(torch, net, x, given, [torch_weights(weights[:12]), torch_weights(weights[12:])])
    return y, hs[:1], cs[:1], hs[1:], cs[1:]


def torch_weights(weights: list[Array]) -> tuple[Array, ...]:
    w, r, b = (np.concatenate([weights[4 * kind + gate] for gate in (0, 1, 3, 2)]) for kind in range(3))
    return w, r, b, np.zeros_like(b)


CASES = (
    lstm("PyTorch", reference=torch_lstm),
    lstm("no state, no bias, last only", given=False, bias=False, sequence_output=False),
    lstm("reversed", reverse=True),
    lstm("reversed, last only", reverse=True, sequence_output=False),
    lstm("one step, one of a batch", x=sequence(1, 1)),
    lstm("forget bias", forget_bias=True),
    lstm("forget bias, no bias", forget_bias=True, bias=False, given=False),
    lstm("peepholes", peepholes=True),
    lstm("peepholes, no bias, reversed", peepholes=True, bias=False, reverse=True),
    lstm("coupled", coupled=True),
    lstm("coupled, peepholes", coupled=True, peepholes=True, forget_bias=True),
    lstm("cut cell", limit=0.2),
    lstm("cut cell, peepholes", (SIGMOID, LINEAR, TANH), limit=0.25, peepholes=True),
    lstm("other activations", (HARD, SCALED_TANH, RELU)),
    lstm("parametrised", (("linear", 0.5, 0.25), ("linear", 40.0, 0.0), SCALED_TANH), peepholes=True),
    lstm("PyTorch", 2 * USUAL, ways=2, reference=torch_two_way),
    lstm("last only", 2 * USUAL, ways=2, sequence_output=False),
    lstm("no state", 2 * USUAL, ways=2, given=False, bias=False),
    lstm("every option", (*USUAL, HARD, SCALED_TANH, LINEAR), ways=2, peepholes=True, coupled=True, forget_bias=True, limit=0.75),
)
