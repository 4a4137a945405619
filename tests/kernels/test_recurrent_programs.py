"""Recurrent layers in compiled programs: what PyTorch says, whoever takes part and however the work is cut; the cases say the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailor.kernels import BINDS, Array, Assembly, can_run
from tailor.kernels.compiled.parts import parts
from tailor.kernels.compiled.records import Kind
from tests.kernels.cases.recurrent import SIGMOID, TANH
from tests.kernels.test_programs import Crew, answers

torch = pytest.importorskip("torch", reason="needs PyTorch, an independent source of answers")

pytestmark = pytest.mark.skipif(not can_run(), reason="needs Numba, which is absent or switched off")

STEPS, INPUT, EXAMPLES = 5, 9, 4
COMMON = {"sequence_output": True, "reverse_input": False, "has_bias": True}
LSTM = {"has_peepholes": False, "forget_bias": False, "coupled": False, "limit": 1e6}
LAYERS: dict[str, tuple[str, type[Any], str, dict[str, Any]]] = {  # the op, PyTorch's module, its gates in the order of the op, attributes
    "lstm": ("uniDirectionalLSTM", torch.nn.LSTM, "0132", {"activations": (SIGMOID, TANH, TANH), **COMMON, **LSTM}),
    "two ways": ("biDirectionalLSTM", torch.nn.LSTM, "0132", {"activations": (SIGMOID, TANH, TANH) * 2, **COMMON, **LSTM}),
    "gru": ("gru", torch.nn.GRU, "102", {"activations": (SIGMOID, TANH), **COMMON}),
    "simple": ("simpleRecurrent", torch.nn.RNN, "0", {"activation": TANH, **COMMON}),
}


def layer(kind: str, size: int) -> tuple[str, Any, list[Array], dict[str, Any]]:
    """The op, PyTorch's layer with random weights, the op's weights and attributes."""
    op, module, order, attributes = LAYERS[kind]
    torch.manual_seed(size)
    net = module(INPUT, size, bidirectional=kind == "two ways")
    with torch.no_grad():
        if kind == "gru":  # PyTorch resets after the recursion matrix, the format before it: the same where that is diagonal
            own = net.weight_hh_l0[2 * size :]
            own.copy_(torch.diag(torch.diag(own)))
            net.bias_hh_l0[2 * size :] = 0.0
    weights = []
    for way in net.all_weights:
        w, r, b, c = ([one.detach().numpy() for one in matrix.chunk(len(order))] for matrix in way)
        for rows in (w, r, [one + other for one, other in zip(b, c, strict=True)]):
            weights += [rows[int(place)] for place in order]
    return op, net, weights, attributes


def by_torch(net: Any, x: Array) -> list[Array]:
    """Answers and states in the op's order; ``x`` ``[examples, steps, batch, input, 1, 1]``."""
    found = []
    with torch.no_grad():
        for example in x[..., 0, 0]:
            y, last = net(torch.from_numpy(example))
            both = last if isinstance(last, tuple) else (last,)
            states = [state[way : way + 1] for way in range(1 + net.bidirectional) for state in both]
            found.append([np.asarray(one)[..., None, None] for one in (y, *states)])
    return [np.stack(column) for column in zip(*found, strict=True)]


def sequences(batch: int) -> Array:
    return np.random.default_rng(batch).standard_normal((EXAMPLES, STEPS, batch, INPUT, 1, 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "size", "batch"),
    [("lstm", 40, 1), ("lstm", 200, 1), ("lstm", 200, 5), ("two ways", 200, 1), ("two ways", 33, 3), ("gru", 200, 1), ("simple", 340, 1)],
)
def test_answers_and_bits(kind: str, size: int, batch: int) -> None:
    """One example alone: few rows, so threads share the units and meet at each step; several: they share the rows."""
    op, net, weights, attributes = layer(kind, size)
    x = sequences(batch)
    found = answers(op, [x], weights, attributes)
    for answer, right in zip(found, by_torch(net, x), strict=True):
        np.testing.assert_allclose(answer, right, rtol=1e-4, atol=1e-5)
    for threads, count in ((2, EXAMPLES), (1, 1), (2, 1), (3, 1), (5, 2)):
        for answer, whole in zip(answers(op, [x[:count]], weights, attributes, threads), found, strict=True):
            np.testing.assert_array_equal(answer, whole[:count])


@pytest.mark.parametrize(
    ("kind", "size", "batch", "threads", "count", "wanted"),
    [
        ("lstm", 40, 1, 2, 1, (1, 1, 1)),  # a turn is too short to meet after it
        ("lstm", 200, 1, 1, 1, (1, 1, 1)),
        ("lstm", 200, 1, 2, 1, (2, 2, STEPS)),
        ("lstm", 200, 5, 2, 1, (2, 2, STEPS)),
        ("lstm", 200, 5, 2, 4, (2, 1, 1)),
        ("lstm", 200, 16, 2, 4, (4, 1, 1)),
        ("lstm", 700, 1, 64, 1, (8, 8, STEPS)),
        ("gru", 200, 1, 2, 1, (2, 2, 2 * STEPS)),
        ("two ways", 200, 1, 2, 1, (1, 1, 1)),  # a way each
        ("two ways", 200, 1, 4, 1, (2, 2, STEPS)),
    ],
)
def test_how_work_is_cut(kind: str, size: int, batch: int, threads: int, count: int, wanted: tuple[int, int, int]) -> None:
    """Parts, parts of the units, turns."""
    op, _, weights, attributes = layer(kind, size)
    to = Assembly({}, {}, {})
    made = BINDS[op].make(to, "y", [to.input((STEPS, batch, INPUT, 1, 1))], weights, attributes)
    assert isinstance(made, tuple)
    steps = [step for step in to.finish(made).steps if step.kind is Kind.RECURRENT]
    assert [parts(step, count, threads) for step in steps] == [wanted] * (1 + (kind == "two ways"))
    assert [step.wait for step in steps] == ([False, True] if kind == "two ways" else [True])


def test_a_mate_that_never_comes_is_not_waited_for() -> None:
    class Alone(Crew):
        def gather(self, work: Callable[[int], object]) -> None:
            work(self.threads)

    op, net, weights, attributes = layer("lstm", 200)
    x = sequences(1)[:1]
    to = Assembly({}, {}, {})
    made = BINDS[op].make(to, "y", [to.input(x.shape[1:])], weights, attributes)
    assert isinstance(made, tuple)
    np.testing.assert_allclose(to.finish(made).run([x], 1, Alone(2))[0], by_torch(net, x)[0], rtol=1e-4, atol=1e-5)


def test_nan_stays_in_its_row() -> None:
    op, _, weights, attributes = layer("lstm", 40)
    x = sequences(3)
    x[0, 2, 1] = np.nan
    y, last, memory = answers(op, [x], weights, attributes)
    assert np.isnan(y[0, 2:, 1]).all() and np.isnan(last[0, :, 1]).all() and np.isnan(memory[0, :, 1]).all()
    assert np.isnan(y).sum() == 3 * 40


def test_answers_are_made_in_their_place_in_a_longer_value() -> None:
    op, net, weights, attributes = layer("lstm", 20)
    x = sequences(2)
    to = Assembly({}, {"y": ("both", 3, (STEPS, 2, 23, 1, 1))}, {})
    made = BINDS[op].make(to, "y", [to.input(x.shape[1:])], weights, attributes)
    assert isinstance(made, tuple)
    assert made[0].strides[:3] == (46, 23, 1) and made[0].at == 3
    program = to.finish(made)
    np.testing.assert_allclose(program.run([x], EXAMPLES, Crew())[0], by_torch(net, x)[0], rtol=1e-4, atol=1e-5)
