"""Rewritten graphs give the answers of those they were made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tailor.kernels import FUSED_CONVOLUTION, OPS, Array
from tailor.runtime.network import Graph, Node, fold_batchnorms, fuse, make_plan, mates

RNG = np.random.default_rng(3)
STATISTICS = {name: RNG.uniform(0.5, 2.0, 6).astype(np.float32) for name in ("gamma", "beta", "mean", "variance")}


def network(*, bias: bool = True, groups: int = 1, deconvolution: bool = False, given: bool = True, outputs: str = "y") -> Graph:
    """Convolution to 6 channels, batch normalisation, ReLU."""
    shape = (4, 6 // groups, 3, 3) if deconvolution else (6, 4 // groups, 3, 3)
    parameters: dict[str, Array] = {"conv.weights": RNG.normal(size=shape).astype(np.float32)}
    if bias:
        parameters["conv.bias"] = RNG.normal(size=6).astype(np.float32)
    fields = ("gamma", "beta", "mean", "variance")[: 4 if given else 2]
    attributes: dict[str, Any] = {"groups": groups, "deconvolution": deconvolution}
    conv = Node("conv", "convolution", OPS["convolution"], ("x",), ("c",), attributes, tuple(parameters))
    norm_attributes = {"epsilon": 1e-3, "statistics": "given" if given else "instance"}
    norm = Node("norm", "batchnorm", OPS["batchnorm"], ("c",), ("n",), norm_attributes, tuple(f"norm.{field}" for field in fields))
    relu = Node("relu", "activation.ReLU", OPS["activation.ReLU"], ("n",), ("y",))
    parameters |= {f"norm.{field}": STATISTICS[field] for field in fields}
    return Graph(("x",), tuple(outputs.split()), (conv, norm, relu), parameters)


def run(graph: Graph, x: Array) -> dict[str, Array]:
    return make_plan(graph, {"x": x.shape}).run({"x": x}, stacked=False)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_folded_batchnorm_gives_the_same_answers(bias: bool, groups: int) -> None:
    graph = network(bias=bias, groups=groups)
    folded = fold_batchnorms(graph)
    assert [node.name for node in folded.nodes] == ["conv", "relu"]
    assert sorted(folded.parameters) == ["conv.bias", "conv.weights"]
    assert all(array.dtype == np.float32 for array in folded.parameters.values())
    x = RNG.normal(size=(2, 4, 7, 6)).astype(np.float32)
    plain, rewritten = run(graph, x)["y"], run(folded, x)["y"]
    np.testing.assert_allclose(rewritten, plain, rtol=1e-6, atol=1e-6 * np.abs(plain).max())


LEFT_ALONE = {
    "statistics of the input": network(given=False),
    "a deconvolution, whose weights lie otherwise": network(deconvolution=True),
    "an answer of the convolution that is wanted too": network(outputs="y c"),
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_other_batchnorms_are_left_alone(case: str) -> None:
    assert fold_batchnorms(LEFT_ALONE[case]) is LEFT_ALONE[case]


def test_a_batchnorm_after_something_else_is_left_alone() -> None:
    graph = network()
    norm = Node("norm", "batchnorm", OPS["batchnorm"], ("x",), ("y",), graph.nodes[1].attributes, graph.nodes[1].parameters)
    alone = Graph(("x",), ("y",), (norm,), graph.parameters)
    assert fold_batchnorms(alone) is alone


def block(*, limits: str = "activation.ReLU", outputs: str = "y", swapped: bool = False, adds: bool = True) -> Graph:
    """Two convolutions of x, their sum, and limits: the end of a residual block."""
    attributes = {"stride": (1, 1), "padding": "same"}
    parameters = {key: RNG.normal(size=(8, 4, 3, 3)).astype(np.float32) for key in ("a.weights", "b.weights")}
    parameters["b.bias"] = RNG.normal(size=8).astype(np.float32)
    nodes = [Node("a", "convolution", OPS["convolution"], ("x",), ("a",), attributes, ("a.weights",))]
    nodes.append(Node("b", "convolution", OPS["convolution"], ("x",), ("b",), attributes, ("b.weights", "b.bias")))
    taken = ("b", "a") if swapped else ("a", "b")
    if adds:
        nodes.append(Node("sum", "add", OPS["add"], taken, ("s",), {"alpha": 0.0}))
    after = {"low": -1.0, "high": 2.0} if limits == "clip" else {}
    nodes.append(Node("limits", limits, OPS[limits], ("s" if adds else "b",), ("y",), after))
    return Graph(("x",), tuple(outputs.split()), tuple(nodes), parameters)


FUSED = {
    "convolution, addition, limits": (block(), ["a", "b"]),
    "the sum the other way round": (block(swapped=True), ["a", "b"]),
    "clip": (block(limits="clip"), ["a", "b"]),
    "no addition": (block(adds=False, outputs="y a"), ["a", "b"]),
    "what follows is not a limit": (block(limits="activation.tanh"), ["a", "b", "limits"]),
    "a sum that is wanted too": (block(outputs="y s"), ["a", "b", "limits"]),
    "a convolution that is wanted too": (block(outputs="y a"), ["a", "b"]),
    "convolutions that are wanted too": (block(outputs="y a b"), ["a", "b", "sum", "limits"]),
    "normalised": (fold_batchnorms(network()), ["conv"]),
}


@pytest.mark.parametrize("case", FUSED)
@pytest.mark.parametrize("stacked", [False, True])
def test_fused_nodes_give_the_same_answers(case: str, stacked: bool) -> None:
    graph, names = FUSED[case]
    fused = fuse(graph)
    assert sorted(node.name for node in fused.nodes) == sorted(names)
    assert any(node.op is FUSED_CONVOLUTION for node in fused.nodes)
    x = RNG.normal(size=(3, 4, 9, 8)).astype(np.float32)
    shape = {"x": x.shape[1:] if stacked else x.shape}
    plain = make_plan(graph, shape).run({"x": x}, stacked=stacked)
    rewritten = make_plan(fused, shape).run({"x": x}, stacked=stacked)
    assert plain.keys() == rewritten.keys()
    for name, value in plain.items():
        np.testing.assert_allclose(rewritten[name], value, rtol=1e-5, atol=1e-5)


def test_deconvolutions_and_weights_from_outside_are_not_fused() -> None:
    turned = fuse(network(deconvolution=True))
    given = Node("c", "convolution", OPS["convolution"], ("x", "w"), ("y",), {})
    outside = fuse(Graph(("x", "w"), ("y",), (given,), {}))
    assert all(node.op is not FUSED_CONVOLUTION for graph in (turned, outside) for node in graph.nodes)


def test_mates_change_no_bit() -> None:
    """Large enough to be cut; answers are kept while the next are computed, in memory that is used again."""
    weights = {f"{name}.weights": RNG.normal(size=(64, 64, 3, 3)).astype(np.float32) for name in "ab"}
    same = {"padding": "same"}
    nodes = (
        Node("a", "convolution", OPS["convolution"], ("x",), ("a",), same, ("a.weights",)),
        Node("r", "activation.ReLU", OPS["activation.ReLU"], ("a",), ("r",)),
        Node("b", "convolution", OPS["convolution"], ("r",), ("b",), same, ("b.weights",)),
        Node("s", "add", OPS["add"], ("b", "x"), ("s",), {"alpha": 0.0}),
        Node("p", "pooling", OPS["pooling"], ("s",), ("y",), {"kind": "max", "kernel": (2, 2), "stride": (1, 1)}),
    )
    graph = fuse(Graph(("x",), ("y",), nodes, weights))
    images = [RNG.normal(size=(64, 48, 48)).astype(np.float32) for _ in range(3)]
    plan = make_plan(graph, {"x": images[0].shape}, packed={})
    assert len(plan.calls) == 1
    alone = [plan.run({"x": x}, stacked=False)["y"] for x in images]
    with mates(2):
        shared = [plan.run({"x": x}, stacked=False)["y"] for x in images]
    for one, other in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(alone[0], alone[1])
