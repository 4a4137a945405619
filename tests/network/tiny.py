"""A few ops small enough to check by eye, and graphs made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array, Op, Reading, Shape
from tailor.kernels.op import from_the_end
from tailor.runtime.network import Graph, Node


def _read(params: Any, decode: Any) -> Reading:
    return Reading({}, {"weights": decode(params, "weights", (3,))})


def _same(*shapes: Shape, **_: Any) -> Shape:
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"expected inputs of one shape, got {shapes}")
    return shapes[0]


def _scale_shape(x: Shape, w: Shape) -> Shape:
    if x[-1:] != w:
        raise ValueError(f"expected a last axis of {w[0]}, got shape {x}")
    return x


def _scale_backward(g: Array, y: Array, x: Array, w: Array, *, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
    return (g * w if needs[0] else None, (g * x).reshape(-1, len(w)).sum(axis=0) if needs[1] else None)


def _split(x: Array) -> tuple[Array, Array]:
    return x + 1.0, x * 2.0


def _split_backward(g: tuple[Array | None, ...], y: tuple[Array, ...], x: Array, needs: tuple[bool, ...]) -> tuple[Array]:
    first, second = (np.zeros_like(x) if part is None else part for part in g)
    return (first + 2.0 * second,)


SCALE = Op("scale", lambda x, w: x * w, _scale_shape, _read, _scale_backward, from_the_end)
SUM = Op("sum", lambda a, b: a + b, _same, _read, lambda g, y, a, b, needs: (g, g), from_the_end)
SQUARE = Op("square", lambda x: x * x, _same, _read, lambda g, y, x, needs: (2.0 * g * x,), from_the_end)
SPLIT = Op("split", _split, lambda x: (x, x), _read, _split_backward, from_the_end)
SIGN = Op("sign", np.sign, _same, _read, None, from_the_end)
TOTAL = Op("total", lambda x: x.sum(keepdims=True), lambda x: (1,) * len(x), _read)  # examples go one by one
OPS = {op.name: op for op in (SCALE, SUM, SQUARE, SPLIT, SIGN, TOTAL)}


def node(line: str) -> Node:
    """``"y z = name:kind(a b)"``; a scale has a parameter ``<name>.weights``."""
    left, right = line.split(" = ")
    head, inputs = right.rstrip(")").split("(")
    name, kind = head.split(":")
    parameters = (f"{name}.weights",) if kind == "scale" else ()
    return Node(name, kind, OPS.get(kind), tuple(inputs.split()), tuple(left.split()), parameters=parameters)


def graph(*lines: str, inputs: str = "x", outputs: str = "y", **weights: Array) -> Graph:
    """A graph of such lines; ``weights`` by layer."""
    parameters = {f"{name}.weights": array for name, array in weights.items()}
    return Graph(tuple(inputs.split()), tuple(outputs.split()), tuple(map(node, lines)), parameters)
