"""The way back: the gradients that are needed, by the rules of calculus, and no others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest

from tailor.kernels import Array
from tailor.runtime.errors import MLUpdateError
from tailor.runtime.network import Graph, make_plan
from tailor.runtime.network.backward import Ran, Tape, check_way_back, gradients
from tests.network.tiny import SQUARE, graph

W = np.array([1.0, -2.0, 3.0])
V = np.array([0.5, 0.25, -1.0])
X = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]])


def run(made: Graph, learns: Collection[str]) -> Tape:
    tape = Tape(learns)
    make_plan(made, {"x": (3,)}).run({"x": X}, stacked=True, tape=tape)
    return tape


def back(made: Graph, *learns: str) -> dict[str, Array]:
    """The gradients of the sum of y over all that there is."""
    check_way_back(made, "y", learns)
    return gradients(run(made, learns), {"y": np.ones_like(X)})


def test_a_value_used_twice_gets_the_sum_of_its_gradients() -> None:
    made = graph(
        "a = w:scale(x)", "b = sq:square(a)", "p q = halves:split(a)", "c = s1:sum(b p)", "d = s2:sum(c q)", "y = v:scale(d)", w=W, v=V
    )
    found = back(made, "v.weights", "w.weights")
    # y = v (a^2 + (a + 1) + 2 a) with a = w x, summed over everything
    a = W * X
    np.testing.assert_allclose(found["v.weights"], (a * a + 3 * a + 1).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["w.weights"], (V * (2 * a + 3) * X).sum(axis=0), rtol=1e-12)


def test_only_gradients_between_the_loss_and_what_learns_are_wanted() -> None:
    made = graph("a = frozen:sign(x)", "b = w:scale(a)", "c = v:scale(b)", "y = s:sum(c a)", w=W, v=V)
    steps = run(made, {"w.weights"}).steps
    assert [(step.node.name, step.needs) for step in steps if isinstance(step, Ran)] == [
        ("w", (False, True)),
        ("v", (True, False)),
        ("s", (True, False)),
    ]
    found = back(made, "w.weights")
    assert found.keys() == {"w.weights"}
    np.testing.assert_allclose(found["w.weights"], (V * np.sign(X)).sum(axis=0), rtol=1e-12)


def test_nothing_comes_back_through_a_layer_without_a_gradient() -> None:
    made = graph("a = w:scale(x)", "b = flat:sign(a)", "c = s:sum(a b)", "y = sq:square(c)", w=W)
    a = W * X  # y = (a + sign a)^2, and sign a is flat
    np.testing.assert_allclose(back(made, "w.weights")["w.weights"], (2 * (a + np.sign(a)) * X).sum(axis=0), rtol=1e-12)


def test_layers_that_let_no_gradient_through_are_named() -> None:
    made = graph("a = w:scale(x)", "b = hard:sign(a)", "c = rigid:sign(a)", "d = s:sum(b c)", "y = v:scale(d)", w=W, v=V)
    assert back(made, "v.weights").keys() == {"v.weights"}
    message = (
        "layer 'hard' of kind 'sign', layer 'rigid' of kind 'sign': expected a layer that gradients pass through, "
        "because 'w.weights' learns before it"
    )
    with pytest.raises(MLUpdateError, match=message):
        back(made, "v.weights", "w.weights")


def test_answers_given_twice_are_not_added_to_in_place() -> None:
    made = graph("a = w:scale(x)", "b = two:sum(a a)", "c = sq:square(a)", "y = s:sum(b c)", w=W)
    given: list[Array] = []

    def backward(g: Array, y: Array, x: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        given.append(2.0 * g * x)
        return (given[0],)

    nodes = tuple(replace(node, op=replace(SQUARE, backward=backward)) if node.name == "sq" else node for node in made.nodes)
    found = back(replace(made, nodes=nodes), "w.weights")
    np.testing.assert_allclose(found["w.weights"], ((2 + 2 * W * X) * X).sum(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(given[0], 2 * W * X)


def test_an_output_that_nobody_uses_has_no_gradient() -> None:
    made = graph("a = w:scale(x)", "p q = halves:split(a)", "y = sq:square(q)", w=W)
    np.testing.assert_allclose(back(made, "w.weights")["w.weights"], (8 * W * X * X).sum(axis=0), rtol=1e-12)  # y = (2 w x)^2
