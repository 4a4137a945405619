"""Networks with branches and loops, a layer a line."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailor.runtime import MLModel
from tailor.runtime.format import NeuralNetworkBuilder, array_feature


def put(network: Any, *lines: str) -> Any:
    """Adds layers to a network message; the last one.

    ``"y = add(x 2)"`` and ``"y = multiply(a b)"`` (a number is the alpha), ``"y = relu(x)"``, ``"y = copy(x)"``,
    ``"y = stack(a b)"`` (along the channels), ``"branch(x)"``, ``"loop(n)"``, ``"loopBreak()"``, ``"y = custom.Name(x)"``.
    A layer is called ``<kind>:<first output>``.
    """
    layer = None
    for line in lines:
        left, _, right = line.rpartition(" = ")
        kind, _, given = right.rstrip(")").partition("(")
        numbers = [word for word in given.split() if not word[0].isalpha()]
        inputs = [word for word in given.split() if word[0].isalpha()]
        layer = network.layers.add(name=f"{kind}:{left.split(' ')[0]}", input=inputs, output=left.split())
        if kind == "relu":
            layer.activation.ReLU.SetInParent()
        elif kind == "stack":
            layer.concat.SetInParent()
        elif kind.startswith("custom."):
            layer.custom.className = kind.partition(".")[2]
        else:
            getattr(layer, kind).SetInParent()
            if numbers:
                getattr(layer, kind).alpha = float(numbers[0])
    return layer


def network(*lines: str, inputs: str = "x", outputs: str = "y") -> Any:
    """The message of a model with inputs and outputs of any shape, taken as they are, and its network begun with ``lines``."""
    builder = NeuralNetworkBuilder(
        [array_feature(name) for name in inputs.split()],
        [array_feature(name) for name in outputs.split()],
        disable_rank5_shape_mapping=True,
    )
    put(builder.nn_spec, *lines)
    return builder.spec


def ask(spec: Any, **inputs: Any) -> Any:
    """What the model answers, as lists by output; of one output alone, its list."""
    made = MLModel.from_spec(spec).predict({name: np.asarray(value, dtype=np.float32) for name, value in inputs.items()})
    lists = {name: np.asarray(value).tolist() for name, value in made.items()}
    return lists if len(lists) > 1 else next(iter(lists.values()))
