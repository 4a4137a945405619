"""Which layers hold what required a gradient: found by numbers, whatever a converter does to weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tailor.runtime.conversion.trainable import converted
from tailor.runtime.format import Model, NeuralNetworkBuilder, array_feature, decode_weights, network_of

RNG = np.random.default_rng(3)
W, V, KERNEL, B = (RNG.normal(size=shape).astype(np.float32) for shape in ((3, 3), (3, 3), (2, 1, 3, 3), (3,)))

Values = Mapping[str, Any]


class Made:
    """A source whose converter is a function that adds layers, given the values of its weights."""

    def __init__(self, weights: Values, build: Callable[[NeuralNetworkBuilder, Values], object], others: Sequence[str] = ()) -> None:
        self.weights, self.others, self._build = weights, others, build
        self.shapes: Sequence[tuple[int, ...]] = [(1, 3)]
        self.runs = 0

    def convert(self, values: Values) -> Model:
        self.runs += 1
        builder = NeuralNetworkBuilder([array_feature("x", (3,))], [array_feature("y", (3,))])
        self._build(builder, {**self.weights, **values})
        return builder.spec


def dense(builder: NeuralNetworkBuilder, name: str, weights: Any, bias: Any = None) -> None:
    builder.add_inner_product(name, weights, bias, 3, 3, bias is not None, "x", f"out of {name}")


CASES: dict[str, tuple[Made, list[str], list[str], dict[str, Any], int]] = {
    # the source; the layers that learn; what stays fixed; weights of layers afterwards; how many conversions it took
    "plain": (Made({"w": W}, lambda b, v: dense(b, "l", v["w"])), ["l"], [], {"l": W}, 1),
    "turned": (Made({"w": W}, lambda b, v: dense(b, "l", v["w"].T)), ["l"], [], {"l": W.T}, 1),
    "of two, one": (
        Made({"w": W}, lambda b, v: (dense(b, "f", V), dense(b, "l", v["w"]))),
        ["l"], [], {"f": V, "l": W}, 1,
    ),
    "equal weights, one trainable": (
        Made({"w": W}, lambda b, v: (dense(b, "f", W), dense(b, "l", v["w"]))),
        ["l"], [], {"f": W, "l": W}, 1,
    ),
    "with bias": (Made({"w": W, "b": B}, lambda b, v: dense(b, "l", v["w"], v["b"])), ["l"], [], {"l": W}, 1),
    "zero bias is none": (Made({"w": W}, lambda b, v: dense(b, "l", v["w"], np.zeros(3))), ["l"], [], {"l": W}, 1),
    "bias that stays": (Made({"w": W}, lambda b, v: dense(b, "l", v["w"], B)), [], ["w"], {"l": W}, 1),
    "bias alone": (Made({"b": B}, lambda b, v: dense(b, "l", W, v["b"])), [], ["b"], {"l": W}, 1),
    "merged": (
        Made({"w": W, "v": V}, lambda b, v: (dense(b, "m", 2 * v["w"]), dense(b, "l", v["v"]))),
        ["l"], ["w"], {"m": 2 * W, "l": V}, 2,
    ),
    "shared": (Made({"w": W}, lambda b, v: (dense(b, "a", v["w"]), dense(b, "b", v["w"]))), [], ["w"], {"a": W, "b": W}, 1),
    "convolution": (
        Made({"k": KERNEL}, lambda b, v: b.add_convolution("l", 1, 2, 3, 3, 1, 1, "same", 1, v["k"], None, False, "x", "y")),
        ["l"], [], {"l": KERNEL}, 1,
    ),
    "an embedding": (
        Made({"w": W}, lambda b, v: b.add_embedding("l", v["w"], None, 3, 3, False, "x", "y")),
        [], ["w"], {"l": W}, 2,
    ),
    "others": (Made({}, lambda b, v: dense(b, "l", W), ["gamma"]), [], ["gamma"], {"l": W}, 1),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_layers_are_found_by_their_numbers_and_keep_their_weights(case: str) -> None:
    source, learning, fixed, weights, runs = CASES[case]
    source.runs = 0
    marked = converted(source)
    assert (list(marked.trainable), list(marked.fixed), source.runs) == (learning, fixed, runs)
    network = network_of(marked.model)
    assert network is not None
    held = {layer.name: getattr(layer, str(layer.WhichOneof("layer"))) for layer in network.layers}
    for name, array in weights.items():
        np.testing.assert_array_equal(decode_weights(held[name].weights, array.shape), array)
    if case == "with bias":
        np.testing.assert_array_equal(decode_weights(held["l"].bias, (3,)), B)
    assert case != "zero bias is none" or not held["l"].hasBias
