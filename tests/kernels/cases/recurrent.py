"""The simple recurrent layer and the GRU: against PyTorch, and against the format's formulas, a vector at a time."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tailor.kernels import Array

from .case import Case, Message, numbers

INPUT, SIZE = 3, 2
Function = Callable[[Array], Array]
Activation = tuple[str | float, ...]

SIGMOID, TANH, RELU, LINEAR = ("sigmoid",), ("tanh",), ("ReLU",), ("linear", 1.0, 0.0)
SCALED_TANH, HARD, STEEP = ("scaledTanh", 1.5, 0.5), ("sigmoidHard", 0.2, 0.5), ("linear", 25.0, 1.0)


def message_of(activation: Activation) -> Message:
    kind, *pair = activation
    inner = SimpleNamespace(alpha=pair[0], beta=pair[1]) if pair else SimpleNamespace()
    return Message(oneof=kind, **{str(kind): inner})


def function(activation: Activation) -> Function:
    """The activation of a vector cut to -50...50."""
    kind, *pair = activation
    a, b = [float(number) for number in pair] or [0.0, 0.0]
    formula: Function = {
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "tanh": lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
        "ReLU": lambda x: np.where(x > 0, x, 0),
        "linear": lambda x: a * x + b,
        "scaledTanh": lambda x: a * (1 - 2 / (np.exp(2 * b * x) + 1)),
        "sigmoidHard": lambda x: np.array([min(max(a * one + b, 0), 1) for one in x]),
    }[str(kind)]
    return lambda x: formula(np.array([min(max(one, -50), 50) for one in x]))


def sequence(steps: int = 3, batch: int = 2) -> Array:
    return numbers(steps, batch, INPUT, 1, 1)


def states(count: int, batch: int = 2, shape: tuple[int, ...] | None = None) -> tuple[Array, ...]:
    return tuple(numbers(*(shape or (1, batch, SIZE, 1, 1)), seed=50 + place) for place in range(count))


def by_vector(
    step: Callable[..., tuple[Array, ...]], x: Array, before: tuple[Array, ...], count: int, sequence_output: bool, reverse: bool = False
) -> tuple[Array, ...]:
    """``step(x, *state) -> state`` along each batch entry's sequence, its first state being the answer; zeros where no state is given."""
    steps, batch = x.shape[:2]
    answers, last = np.zeros((steps, batch, SIZE)), np.zeros((count, 1, batch, SIZE, 1, 1))
    for entry in range(batch):
        state = tuple(h.reshape(batch, SIZE)[entry] for h in before) or tuple(np.zeros(SIZE) for _ in range(count))
        for taken, t in enumerate(range(steps - 1, -1, -1) if reverse else range(steps)):
            state = step(x[t, entry, :, 0, 0], *state)
            answers[taken, entry] = state[0]
        last[:, 0, entry, :, 0, 0] = state
    return (answers if sequence_output else answers[-1:])[..., None, None], *last


def simple(
    note: str,
    activation: Activation = TANH,
    *,
    x: Array | None = None,
    given: tuple[Array, ...] = (),
    bias: bool = True,
    sequence_output: bool = True,
    reverse: bool = False,
    reference: Any = None,
    scale: float = 1.0,
) -> Case:
    weights = {"weightMatrix": scale * numbers(SIZE, INPUT, seed=1), "recursionMatrix": numbers(SIZE, SIZE, seed=2)}
    if bias:
        weights["biasVector"] = numbers(SIZE, seed=3)
    inputs = (sequence() if x is None else x, *given)

    def formulas(*arrays: Array) -> tuple[Array, ...]:
        x, *before = arrays[: len(inputs)]
        w, r, *b = arrays[len(inputs) :]
        f = function(activation)
        return by_vector(lambda x, h: (f(w @ x + r @ h + sum(b)),), x, tuple(before), 1, sequence_output, reverse)

    message = Message(
        inputVectorSize=INPUT,
        outputVectorSize=SIZE,
        activation=message_of(activation),
        sequenceOutput=sequence_output,
        hasBiasVector=bias,
        reverseInput=reverse,
        weightMatrix=None,
        recursionMatrix=None,
        biasVector=None,
    )
    attributes = {"activation": activation, "sequence_output": sequence_output, "has_bias": bias, "reverse_input": reverse}
    return Case("simpleRecurrent", inputs, reference or formulas, message, attributes, weights, note=note)


def torch_simple(x: Array, h: Array, w: Array, r: Array, b: Array) -> tuple[Array, ...]:
    torch = pytest.importorskip("torch", reason="needs PyTorch, an independent source of answers")
    return run_torch(torch, torch.nn.RNN(INPUT, SIZE), x, (h,), [(w, r, b, 0 * b)])


def run_torch(torch: Any, net: Any, x: Array, given: tuple[Array, ...], weights: list[tuple[Array, ...]]) -> tuple[Array, ...]:
    """The answers and last states of a recurrent module whose parameters are set to ``weights``."""
    net = net.double()
    with torch.no_grad():
        for parameter, array in zip(net.parameters(), [array for layer in weights for array in layer], strict=True):
            parameter.copy_(torch.tensor(array))
        before = tuple(torch.tensor(h[..., 0, 0].reshape(-1, x.shape[1], SIZE)) for h in given)
        y, last = net(torch.tensor(x[..., 0, 0]), before if len(before) > 1 else before[0])
    return tuple(np.asarray(one)[..., None, None] for one in (y, *(last if isinstance(last, tuple) else (last,))))


def gru(
    note: str,
    activations: tuple[Activation, Activation] = (SIGMOID, TANH),
    *,
    given: tuple[Array, ...] = (),
    bias: bool = True,
    sequence_output: bool = True,
    reverse: bool = False,
    reference: Any = None,
    diagonal: bool = False,
) -> Case:
    gates = ("updateGate", "resetGate", "outputGate")
    weights = {f"{gate}WeightMatrix": numbers(SIZE, INPUT, seed=place) for place, gate in enumerate(gates)}
    weights |= {f"{gate}RecursionMatrix": numbers(SIZE, SIZE, seed=10 + place) for place, gate in enumerate(gates)}
    if diagonal:
        weights["outputGateRecursionMatrix"] = np.diag(numbers(SIZE, seed=13))
    if bias:
        weights |= {f"{gate}BiasVector": numbers(SIZE, seed=20 + place) for place, gate in enumerate(gates)}
    inputs = (sequence(), *given)

    def formulas(*arrays: Array) -> tuple[Array, ...]:
        x, *before = arrays[: len(inputs)]
        wz, wr, wo, rz, rr, ro, *b = arrays[len(inputs) :]
        bz, br, bo = b or (0, 0, 0)
        f, g = map(function, activations)

        def step(x: Array, y: Array) -> tuple[Array, ...]:
            z = f(wz @ x + rz @ y + bz)
            r = f(wr @ x + rr @ y + br)
            o = g(wo @ x + ro @ (y * r) + bo)
            return ((1 - z) * o + z * y,)

        return by_vector(step, x, tuple(before), 1, sequence_output, reverse)

    message = Message(
        inputVectorSize=INPUT,
        outputVectorSize=SIZE,
        activations=[message_of(activation) for activation in activations],
        sequenceOutput=sequence_output,
        hasBiasVectors=bias,
        reverseInput=reverse,
        **dict.fromkeys(gate + kind for gate in gates for kind in ("WeightMatrix", "RecursionMatrix", "BiasVector")),
    )
    attributes = {"activations": activations, "sequence_output": sequence_output, "has_bias": bias, "reverse_input": reverse}
    return Case("gru", inputs, reference or formulas, message, attributes, weights, note=note)


def torch_gru(x: Array, h: Array, *weights: Array) -> tuple[Array, ...]:
    """PyTorch resets after the recursion matrix, Core ML before it: the same where the output gate's is diagonal."""
    torch = pytest.importorskip("torch", reason="needs PyTorch, an independent source of answers")
    wz, wr, wo, rz, rr, ro, bz, br, bo = weights
    joined = (np.concatenate((wr, wz, wo)), np.concatenate((rr, rz, ro)), np.concatenate((br, bz, bo)), np.zeros(3 * SIZE))
    return run_torch(torch, torch.nn.GRU(INPUT, SIZE), x, (h,), [joined])


CASES = (
    simple("PyTorch", given=states(1), reference=torch_simple),
    simple("no state, last only", SIGMOID, sequence_output=False),
    simple("reversed, no bias", LINEAR, given=states(1), reverse=True, bias=False),
    simple("reversed, last only", SCALED_TANH, given=states(1), reverse=True, sequence_output=False),
    simple("one step", RELU, x=sequence(1), given=states(1)),
    simple("cut to 50", STEEP, given=states(1), scale=3.0),
    simple("state with the batch in front", HARD, given=states(1, shape=(2, SIZE, 1, 1, 1))),
    gru("PyTorch", given=states(1), diagonal=True, reference=torch_gru),
    gru("no state, last only", sequence_output=False),
    gru("reversed, no bias", (HARD, RELU), given=states(1), reverse=True, bias=False),
    gru("exchanged", (TANH, SIGMOID), given=states(1)),
    gru("parametrised, last only", (SCALED_TANH, STEEP), given=states(1), sequence_output=False),
)
