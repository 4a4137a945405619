"""Where a graph that learns is cut: what the front holds, what crosses the border, and that both halves make what the whole makes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tailor.kernels import Array
from tailor.runtime.network import Graph, Node, cut, make_plan
from tailor.runtime.network.graph import Branch
from tests.network.tiny import SQUARE, graph, node

W = np.array([1.0, -2.0, 0.5], np.float32)


def drawing(given: Graph, name: str) -> Graph:
    """The graph with one node (that takes ``x`` as it is) among those that draw numbers."""
    op = replace(SQUARE, forward=lambda x, generator: x * x, draws=True)
    return replace(given, nodes=tuple(replace(one, op=op) if one.name == name else one for one in given.nodes))


def branch(name: str, output: str, condition: str, value: str, then: str, otherwise: str = "") -> Node:
    """``output`` made of ``value`` by one of two lines; a value ``output`` that neither makes is left unmade."""
    blocks = tuple(tuple(node(line) for line in text.split("; ") if line) for text in (then, otherwise))
    keys = tuple(key for block in blocks for one in block for key in one.parameters)
    control = Branch(condition, *blocks, takes=(condition, value), makes=(output,))
    return Node(name, "branch", None, (condition, value), (output,), parameters=keys, control=control)


def branching(*nodes: Node, last: str) -> Graph:
    """Branches by the total of x, then ``last``, which learns."""
    parameters = {**{f"{name}.weights": W for name in ("s", "t", "head")}, "one.weights": W[1:2]}
    return Graph(("x",), ("y",), (node("c = count:total(x)"), *nodes, node(last)), parameters)


CASES: dict[str, tuple[Graph, set[str], list[str], list[str]]] = {
    # graph, layers that learn, layers of the front, the border
    "a frozen body": (graph("a = s:scale(x)", "b = q:square(a)", "y = head:scale(b)", s=W, head=W), {"head"}, ["s", "q"], ["b"]),
    "all learns": (graph("a = s:scale(x)", "y = head:scale(a)", s=W, head=W), {"s", "head"}, [], ["x"]),
    "frozen behind what learns": (graph("a = s:scale(x)", "y = t:scale(a)", s=W, t=W), {"s"}, [], ["x"]),
    "a front without parameters": (graph("a = q:square(x)", "y = head:scale(a)", head=W), {"head"}, [], ["x"]),
    "a way around": (graph("a = s:scale(x)", "b = head:scale(a)", "y = plus:sum(b x)", s=W, head=W), {"head"}, ["s"], ["x", "a"]),
    "two values": (
        graph("a = s:scale(x)", "b = t:scale(a)", "c = head:scale(b)", "y = plus:sum(c a)", s=W, t=W, head=W),
        {"head"},
        ["s", "t"],
        ["a", "b"],
    ),
    "one of two outputs": (graph("a b = p:split(x)", "c = s:scale(b)", "y = head:scale(c)", s=W, head=W), {"head"}, ["p", "s"], ["c"]),
    "nothing learns on the way": (graph("a = s:scale(x)", "y = q:square(a)", s=W, head=W), {"head"}, ["s", "q"], ["y"]),
    "numbers drawn": (
        drawing(graph("a = s:scale(x)", "d = noise:square(a)", "e = t:scale(d)", "y = head:scale(e)", s=W, t=W, head=W), "noise"),
        {"head"},
        ["s"],
        ["a"],
    ),
    "numbers drawn first": (
        drawing(graph("d = noise:square(x)", "e = t:scale(d)", "y = head:scale(e)", t=W, head=W), "noise"),
        {"head"},
        [],
        ["x"],
    ),
    "a branch in front": (
        branching(branch("b", "m", "c", "x", "m = s:scale(x)", "m = q:square(x)"), last="y = head:scale(m)"),
        {"head"},
        ["count", "b"],
        ["m"],
    ),
    "a branch that learns": (
        branching(node("a = t:scale(x)"), branch("b", "m", "c", "a", "m = s:scale(a)", "m = q:square(a)"), last="y = head:scale(m)"),
        {"s", "head"},
        ["count", "t"],
        ["c", "a"],
    ),
    "a value that a frozen branch may leave to one that learns": (
        branching(
            node("a = t:scale(x)"),
            branch("b", "m", "c", "a", "m = q:square(a)"),
            branch("d", "n", "c", "m", "k = s:scale(m); n = all:total(k)", "n = q:square(c)"),
            last="y = one:scale(n)",
        ),
        {"s", "one"},
        ["count", "t"],
        ["c", "a"],
    ),
}


def run(whole: Graph, given: dict[str, Array]) -> dict[str, Array]:
    inputs = {name: given[name] for name in whole.inputs}
    return make_plan(whole, {name: x.shape for name, x in inputs.items()}).run(inputs, stacked=False)


@pytest.mark.parametrize("case", CASES)
def test_the_front_is_what_nothing_that_learns_comes_before(case: str) -> None:
    whole, learns, names, border = CASES[case]
    front, rest = cut(whole, whole.outputs, {f"{name}.weights" for name in learns})
    assert ([one.name for one in front.nodes] if front else []) == names
    assert sorted(rest.inputs) == sorted(border)
    assert rest.outputs == whole.outputs
    assert {f"{name}.weights" for name in learns} <= rest.parameters.keys()
    assert not any(f"{name}.weights" in rest.parameters for name in names if name not in learns)
    for x in np.array([[1.0, 2.0, -0.5], [1.0, 1.0, -2.0]], np.float32):  # of the second the total is 0: the other way at each branch
        made = {"x": x} | (run(front, {"x": x}) if front else {})
        np.testing.assert_array_equal(run(rest, made)["y"], run(whole, {"x": x})["y"])


def test_what_no_input_changes_stays_behind_the_border() -> None:
    constant = replace(node("k = fixed:scale(x)"), inputs=(), op=replace(SQUARE, forward=lambda w: w + 1, shape=lambda w: w))
    whole = Graph(("x",), ("y",), (node("a = s:scale(x)"), constant, node("b = head:scale(a)"), node("y = plus:sum(b k)")), {
        "s.weights": W, "fixed.weights": W, "head.weights": W,
    })  # fmt: skip
    front, rest = cut(whole, ["y"], {"head.weights"})
    assert front is not None
    assert front.outputs == ("a",)
    assert [one.name for one in rest.nodes] == ["fixed", "head", "plus"]
    assert set(rest.parameters) == {"head.weights", "fixed.weights"}


def test_what_the_loss_needs_besides_is_made_too() -> None:
    whole = graph("a = s:scale(x)", "b = head:scale(a)", "y = q:square(b)", s=W, head=W)
    front, rest = cut(whole, ["y", "b"], {"head.weights"})
    assert front is not None
    assert (front.outputs, rest.outputs) == (("a",), ("y", "b"))
