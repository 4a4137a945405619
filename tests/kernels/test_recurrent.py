"""Recurrent layers beyond the laws: what is refused, numbers that messages leave out, weights used as they lie."""

from __future__ import annotations

import re
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from tailor.kernels import OPS, Array
from tailor.kernels.layers import lstm_gates
from tailor.kernels.layers.recurrent import laid_out, read_activation, read_activations, side_by_side
from tests.kernels.cases import CASES
from tests.kernels.cases.case import Case, Message, numbers

RECURRENT = [case for case in CASES if case.op in ("simpleRecurrent", "gru", "uniDirectionalLSTM", "biDirectionalLSTM")]
X = (3, 2, 3, 1, 1)
STATE = (1, 2, 2, 1, 1)


def first(op: str, note: str) -> Case:
    return next(case for case in RECURRENT if case.op == op and case.note == note)


@pytest.mark.parametrize(
    ("op", "inputs", "problem"),
    [
        ("simpleRecurrent", [(2, 3, 1, 1)], "at least 5 axes, got shape [2, 3, 1, 1]"),
        ("simpleRecurrent", [(3, 2, 4, 1, 1)], "[sequence of 1 or more, batch, 3, 1, 1], got shape [3, 2, 4, 1, 1]"),
        ("gru", [(3, 2, 3, 2, 1)], "batch, 3, 1, 1], got shape [3, 2, 3, 2, 1]"),
        ("gru", [(0, 2, 3, 1, 1)], "sequence of 1 or more"),
        ("gru", [X, (1, 2, 3, 1, 1)], "states of shape [1, 2, 2, 1, 1], got shape [1, 2, 3, 1, 1]"),
        ("gru", [X, STATE, STATE], "1 input, or 2 with the states, got 3"),
        ("uniDirectionalLSTM", [X, STATE], "1 input, or 3 with the states, got 2"),
        ("uniDirectionalLSTM", [(4, *X), STATE, STATE], "states of shape [4, 1, 2, 2, 1, 1], got shape [1, 2, 2, 1, 1]"),
        ("uniDirectionalLSTM", [(1 << 29, 1, 3, 1, 1)], "at most 1073741824 elements"),
        ("biDirectionalLSTM", [X, STATE, STATE], "1 input, or 5 with the states, got 3"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(op: str, inputs: list[tuple[int, ...]], problem: str) -> None:
    case = first(op, "PyTorch")
    weights = (array.shape for array in case.weights.values())
    with pytest.raises(ValueError, match=re.escape(problem)):
        OPS[op].shape(*inputs, *weights, **case.attributes)


@pytest.mark.parametrize(
    ("kind", "pair", "activation"),
    [
        ("linear", (0.0, 0.0), ("linear", 1.0, 0.0)),
        ("linear", (0.0, 2.0), ("linear", 0.0, 2.0)),
        ("scaledTanh", (0.0, 0.0), ("scaledTanh", 1.0, 1.0)),
        ("scaledTanh", (1.5, 0.5), ("scaledTanh", 1.5, 0.5)),
        ("sigmoidHard", (0.0, 0.0), ("sigmoidHard", 0.2, 0.5)),
    ],
)
def test_numbers_that_a_message_leaves_out_are_the_usual_ones(kind: str, pair: tuple[float, float], activation: Any) -> None:
    inner = SimpleNamespace(alpha=pair[0], beta=pair[1])
    assert read_activation(Message(oneof=kind, **{kind: inner})) == activation


def test_a_layer_that_says_too_little_or_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="an activation among linear, .* ReLU, got ELU"):
        read_activation(Message(oneof="ELU"))
    with pytest.raises(ValueError, match="got none"):
        read_activation(Message())
    with pytest.raises(ValueError, match="expected 3 activations, got 2"):
        read_activations([Message(oneof="tanh")] * 2, 3)
    message = Message(**vars(first("biDirectionalLSTM", "PyTorch").message) | {"weightParams": []})
    with pytest.raises(ValueError, match="weightParams: expected 2, one for each way, got 0"):
        OPS["biDirectionalLSTM"].read(message, lambda *asked: np.zeros(asked[2]))


@pytest.mark.parametrize("case", RECURRENT, ids=str)
def test_weights_as_they_are_read_give_the_same_answers(case: Case) -> None:
    """Reading lays gates side by side, which the steps then use without a copy; other layers' weights are joined first."""
    read = OPS[case.op].read(case.message, lambda message, field, shape: case.weights[case.message.key(message, field)]).weights
    answers = (OPS[case.op].forward(*case.inputs, *weights.values(), **case.attributes) for weights in (read, case.weights))
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other)


def test_gates_that_lie_side_by_side_are_not_copied() -> None:
    apart = [numbers(2, 3, seed=seed) for seed in range(4)]
    joined = np.concatenate(apart)
    together = laid_out(apart)
    for gates, shares in ((apart, False), (together, True), (together[1:3], True), (together[::-1], False), (together[::2], False)):
        found = side_by_side(gates)
        np.testing.assert_array_equal(found, np.concatenate(gates))
        assert any(np.shares_memory(found, gate) for gate in gates) is shares
    together[2][...] = 0.0  # as an optimizer does
    joined[4:6] = 0.0
    np.testing.assert_array_equal(side_by_side(together), joined)


def changed(case: Case, **attributes: Any) -> list[Array]:
    return [np.asarray(y) for y in OPS[case.op].forward(*case.arrays, **{**case.attributes, **attributes})]


@pytest.mark.parametrize("case", [case for case in RECURRENT if case.attributes.get("limit", 50.0) < 50.0], ids=str)
def test_cases_that_cut_the_cell_do_cut_it(case: Case) -> None:
    assert not np.allclose(changed(case)[0], changed(case, limit=50.0)[0])


def test_a_long_sequence_is_the_same_in_blocks() -> None:
    """Projections are made a block of steps at a time; each step's answer is that of a layer that takes one step at a time."""
    case = first("uniDirectionalLSTM", "PyTorch")
    x, h, c = numbers(40_000, 1, 3, 1, 1), np.zeros((1, 1, 2, 1, 1)), np.zeros((1, 1, 2, 1, 1))
    weights = tuple(case.weights.values())
    row = OPS[case.op]
    whole = row.forward(x, h, c, *weights, **case.attributes)
    cuts = (0, 1, 20_000, 32_768, 40_000)
    answers = []
    for start, stop in pairwise(cuts):
        answer, h, c = row.forward(x[start:stop], h, c, *weights, **case.attributes)
        answers.append(answer)
    np.testing.assert_allclose(whole[0], np.concatenate(answers), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(whole[2], c, rtol=1e-12, atol=1e-12)


def test_the_step_in_one_pass_is_close_to_the_formulas() -> None:
    edges = np.array([-np.inf, -100.0, -9.02, -1e-4, -0.0, 0.0, 1e-4, 9.02, 100.0, np.inf], np.float32)
    for rows, size in ((1, 40), (3, 37), (16, 64)):
        a, recurrent = (8.0 * numbers(rows, 4 * size, seed=seed).astype("f4") for seed in (1, 2))
        a[0, 2 * size : 2 * size + len(edges)] = a[0, 3 * size : 3 * size + len(edges)] = edges
        c = numbers(rows, size).astype("f4")
        gates, memory, answer = a.copy(), np.empty_like(c), np.empty_like(c)
        lstm_gates.usual_step(gates, recurrent, c, 0.75, memory, answer)
        i, f, o, z = np.split((a + recurrent).astype("f8"), 4, axis=1)
        right = np.clip(expit(f) * c + expit(i) * np.tanh(z), -0.75, 0.75)
        np.testing.assert_allclose(memory, right, rtol=0, atol=2e-6)
        np.testing.assert_allclose(answer, expit(o) * np.tanh(right), rtol=0, atol=2e-6)
        assert np.abs(gates).max() <= 1.0


def test_a_step_with_nan_stays_nan() -> None:
    a, zero, memory, answer = np.full((1, 4), np.nan, np.float32), np.zeros((1, 4), np.float32), *np.zeros((2, 1, 1), np.float32)
    lstm_gates.usual_step(a, zero, zero[:, :1].copy(), 50.0, memory, answer)
    assert np.isnan(a).all() and np.isnan(memory).all() and np.isnan(answer).all()
