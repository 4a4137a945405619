"""Graphs: what they refuse, the order they run in, and layers turned into nodes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tailor.kernels import Array, Shape
from tailor.runtime.errors import MLFormatError, MLUnsupportedError
from tailor.runtime.network import lower, make_plan
from tests.network.tiny import OPS, graph

BROKEN = {
    "cycle": (["a = first:sum(x b)", "b = second:square(a)", "y = third:square(b)"], "layer 'first' (sum): .* got 'b', .* a cycle"),
    "itself": (["y = own:sum(x y)"], "layer 'own' (sum): .* got 'y', .* a cycle"),
    "nobody makes it": (["y = lost:sum(x ghost)"], "layer 'lost' (sum): expected its input 'ghost' .* got neither"),
    "made twice": (["y = one:square(x)", "y = two:square(x)"], "layer 'two' (square): .* got 'y', which layer 'one' (square) makes"),
    "overwrites an input": (["x = bad:square(x)", "y = b:square(x)"], "layer 'bad' (square): .* got 'x', which is an input"),
    "no output": (["z = only:square(x)"], "output 'y': expected it to be made by a layer"),
    "no parameter": (["y = bare:scale(x)"], "layer 'bare' (scale): expected a parameter 'bare.weights'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_graph_that_cannot_run_names_the_layer(case: str) -> None:
    lines, message = BROKEN[case]
    with pytest.raises(MLFormatError, match=message.replace("(", r"\(").replace(")", r"\)")):
        graph(*lines)


def test_nodes_are_put_in_an_order_that_can_run() -> None:
    made = graph("y = last:sum(a b)", "b = middle:square(a)", "a = first:square(x)", "z = other:square(x)")
    assert [node.name for node in made.nodes] == ["first", "middle", "last", "other"]
    assert [node.name for node in made.needed(["b"])] == ["first", "middle"]


def test_a_part_of_a_graph_keeps_only_what_it_needs() -> None:
    whole = graph("a = one:scale(x)", "b = two:scale(u)", "y = three:sum(a b)", inputs="x u", one=np.ones(3), two=np.ones(3))
    part = whole.towards("a")
    assert (part.inputs, part.outputs, list(part.parameters)) == (("x",), ("a",), ["one.weights"])
    assert [node.name for node in whole.users("a")] == ["three"]
    assert whole.maker("a") is part.nodes[0]
    assert whole.maker("x") is None


def layer(name: str, kind: str, inputs: str, outputs: str, **params: Any) -> Any:
    fields = SimpleNamespace(**params)
    return SimpleNamespace(name=name, kind=kind, inputs=inputs.split(), outputs=outputs.split(), params=fields, blocks={})


def decode(message: Any, field: str, shape: Shape, who: str) -> Array:
    values = np.asarray(getattr(message, field), dtype=np.float32)
    if values.shape != shape:
        raise MLFormatError(f"{who}: expected {shape}, got {values.shape}")
    return values


def test_layers_become_nodes_with_their_weights_by_layer_and_field() -> None:
    layers = [
        layer("s", "scale", "x", "a", weights=[1, 2, 3]),
        layer("s", "scale", "a", "b", weights=[4, 5, 6]),
        layer("", "lstm", "b", "y"),
    ]
    made = lower(layers, ["x"], ["y"], decode, OPS)
    assert [node.parameters for node in made.nodes] == [("s.weights",), ("s#1.weights",), ()]
    assert made.parameters["s#1.weights"].tolist() == [4, 5, 6]
    assert made.nodes[2].op is None


def test_weights_that_do_not_fit_name_layer_and_field() -> None:
    with pytest.raises(MLFormatError, match=r"layer 's' \(scale\) weights: expected \(3,\), got \(2,\)"):
        lower([layer("s", "scale", "x", "y", weights=[1, 2])], ["x"], ["y"], decode, OPS)


def test_a_custom_layer_is_of_its_classs_kind() -> None:
    made = lower([layer("mine", "custom", "x", "y", className="Swish", parameters={}, weights=[])], ["x"], ["y"], decode, OPS)
    assert made.nodes[0].kind == "custom.Swish"


def test_a_kind_inside_a_block_that_cannot_be_run_is_named() -> None:
    outer = layer("turns", "loop", "x", "", conditionVar="", maxLoopIterations=0)
    outer.blocks["bodyNetwork"] = [layer("same", "copy", "x", "a"), layer("memory", "lstm", "a", "y")]
    made = lower([outer], ["x"], ["y"], decode, OPS)
    with pytest.raises(MLUnsupportedError, match="layer 'memory' of kind 'lstm' is not supported yet"):
        make_plan(made, {"x": (1,)})


def test_weights_inside_blocks_belong_to_the_graph() -> None:
    outer = layer("turns", "loop", "n", "", conditionVar="", maxLoopIterations=0)
    outer.blocks["bodyNetwork"] = [layer("s", "scale", "x", "a", weights=[1, 2, 3]), layer("back", "copy", "a", "x")]
    made = lower([outer, layer("s", "scale", "x", "y", weights=[1, 1, 1])], ["x", "n"], ["y"], decode, OPS)
    assert made.towards("y").parameters.keys() == {"s.weights", "s#3.weights"}
    values = {"x": np.array([1.0, 1, 1]), "n": np.array([2.0])}
    assert make_plan(made, {"x": (3,), "n": (1,)}).run(values, stacked=False)["y"].tolist() == [1, 4, 9]
