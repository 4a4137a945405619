"""Rewritten graphs give the answers of those they were made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tailor.kernels import OPS, Array
from tailor.runtime.network import Graph, Node, fold_batchnorms, make_plan

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
