"""The way back: the gradients that are needed, by the rules of calculus, and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tailor.kernels import Array
from tailor.runtime.errors import MLUpdateError
from tailor.runtime.network import make_plan
from tailor.runtime.network.backward import gradients, way_back
from tests.network.tiny import SQUARE, graph

W = np.array([1.0, -2.0, 3.0])
V = np.array([0.5, 0.25, -1.0])
X = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]])


def test_a_value_used_twice_gets_the_sum_of_its_gradients() -> None:
    made = graph(
        "a = w:scale(x)", "b = sq:square(a)", "p q = halves:split(a)", "c = s1:sum(b p)", "d = s2:sum(c q)", "y = v:scale(d)", w=W, v=V
    )
    plan = make_plan(made, {"x": (3,)})
    values = plan.run({"x": X}, stacked=True, keep=True)
    found = gradients(plan, way_back(made, "y", made.parameters.keys()), values, "y", np.ones_like(X), stacked=True)
    # y = v (a^2 + (a + 1) + 2 a) with a = w x, summed over everything
    a = W * X
    np.testing.assert_allclose(found["v.weights"], (a * a + 3 * a + 1).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["w.weights"], (V * (2 * a + 3) * X).sum(axis=0), rtol=1e-12)


def test_only_gradients_between_the_loss_and_what_learns_are_wanted() -> None:
    made = graph("a = frozen:sign(x)", "b = w:scale(a)", "c = v:scale(b)", "y = s:sum(c a)", w=W, v=V)
    steps = way_back(made, "y", {"w.weights"})
    assert [(step.node.name, step.needs) for step in steps] == [("s", (True, False)), ("v", (True, False)), ("w", (False, True))]
    plan = make_plan(made, {"x": (3,)})
    values = plan.run({"x": X}, stacked=True, keep=True)
    found = gradients(plan, steps, values, "y", np.ones_like(X), stacked=True)
    assert found.keys() == {"w.weights"}
    np.testing.assert_allclose(found["w.weights"], (V * np.sign(X)).sum(axis=0), rtol=1e-12)


def test_a_layer_without_a_gradient_on_the_way_is_named() -> None:
    made = graph("a = w:scale(x)", "b = hard:sign(a)", "y = v:scale(b)", w=W, v=V)
    assert [step.node.name for step in way_back(made, "y", {"v.weights"})] == ["v"]
    with pytest.raises(MLUpdateError, match="layer 'hard' of kind 'sign': expected a layer that gradients pass through"):
        way_back(made, "y", {"w.weights"})


def test_answers_given_twice_are_not_added_to_in_place() -> None:
    made = graph("a = w:scale(x)", "b = two:sum(a a)", "c = sq:square(a)", "y = s:sum(b c)", w=W)
    given: list[Array] = []

    def backward(g: Array, y: Array, x: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        given.append(2.0 * g * x)
        return (given[0],)

    nodes = tuple(replace(node, op=replace(SQUARE, backward=backward)) if node.name == "sq" else node for node in made.nodes)
    made = replace(made, nodes=nodes)
    plan = make_plan(made, {"x": (3,)})
    values = plan.run({"x": X}, stacked=True, keep=True)
    found = gradients(plan, way_back(made, "y", {"w.weights"}), values, "y", np.ones_like(X), stacked=True)
    np.testing.assert_allclose(found["w.weights"], ((2 + 2 * W * X) * X).sum(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(given[0], 2 * W * X)


def test_an_output_that_nobody_uses_has_no_gradient() -> None:
    made = graph("a = w:scale(x)", "p q = halves:split(a)", "y = sq:square(q)", w=W)
    plan = make_plan(made, {"x": (3,)})
    values = plan.run({"x": X}, stacked=True, keep=True)
    found = gradients(plan, way_back(made, "y", {"w.weights"}), values, "y", np.ones_like(X), stacked=True)
    np.testing.assert_allclose(found["w.weights"], (8 * W * X * X).sum(axis=0), rtol=1e-12)  # y = (2 w x)^2
