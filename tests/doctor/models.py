"""Small models for the tests of the doctor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tailor.building import KNearestNeighborsClassifierBuilder, NeuralNetworkBuilder, SgdParams, array_feature, make_pipeline
from tailor.kernels import Array

RNG = np.random.default_rng(6)
KERNEL, FIRST, SECOND = (RNG.normal(size=shape).astype(np.float32) for shape in ((2, 1, 2, 2), (4, 8), (3, 4)))
BIASES = {size: RNG.normal(size=size).astype(np.float32) for size in (2, 3, 4)}
X = RNG.normal(size=(5, 1, 1, 3, 3)).astype(np.float32)

Step = tuple[str, Callable[[Any], object]]


def layer(kind: str, **fields: Any) -> Callable[[Any], object]:
    """Fills in a layer of ``kind``; repeated fields are given as lists."""

    def fill(message: Any) -> None:
        params = getattr(message, kind)
        params.SetInParent()
        for name, value in fields.items():
            if isinstance(value, list):
                getattr(params, name).extend(value)
            else:
                setattr(params, name, value)

    return fill


def chain(builder: NeuralNetworkBuilder, start: str, steps: Sequence[Step | str], end: str) -> None:
    """Adds layers one after the other, from ``start`` to ``end``; names of usual ones stand for them."""
    usual: dict[str, Callable[[str, str], object]] = {
        "conv": lambda a, b: builder.add_convolution("conv", 1, 2, 2, 2, 1, 1, "valid", 1, KERNEL, BIASES[2], True, a, b),
        "relu": lambda a, b: builder.add_activation("relu", "RELU", a, b),
        "leaky": lambda a, b: builder.add_activation("leaky", "LEAKYRELU", a, b),
        "tanh": lambda a, b: builder.add_activation("tanh", "TANH", a, b),
        "same": lambda a, b: builder.add_activation("same", "LINEAR", a, b),
        "flat": lambda a, b: builder.add_flatten("flat", 0, a, b),
        "first": lambda a, b: builder.add_inner_product("first", FIRST, BIASES[4], 8, 4, True, a, b),
        "second": lambda a, b: builder.add_inner_product("second", SECOND, BIASES[3], 4, 3, True, a, b),
        "softmax": lambda a, b: builder.add_softmax("softmax", a, b),
    }
    value = start
    for number, step in enumerate(steps):
        made = end if number == len(steps) - 1 else f"v{number}"
        if isinstance(step, str):
            usual[step](value, made)
        else:
            step[1](builder.nn_spec.layers.add(name=step[0], input=[value], output=[made]))
        value = made


def network(
    steps: Sequence[Step | str], shape: Sequence[int] = (1, 3), given: Sequence[int] = (1, 1, 3, 3), labels: Any = None
) -> NeuralNetworkBuilder:
    """x [1, 1, 3, 3] -> ``steps`` -> y of ``shape``; a classifier with ``labels``."""
    mode = None if labels is None else "classifier"
    builder = NeuralNetworkBuilder(
        [array_feature("x", given)], [array_feature("y", shape)], mode, labels, disable_rank5_shape_mapping=True
    )
    chain(builder, "x", steps, "y")
    return builder


PLAIN = ("conv", "relu", "flat", "first", "tanh", "second", "softmax")


def updatable(steps: Sequence[Step | str] = PLAIN, learn: Iterable[str] = ("conv", "first", "second"), labels: Any = None) -> Any:
    """The message of a network that both accept, with cross entropy by SGD, unless ``steps`` spoil it."""
    builder = network(steps, (1, 3, 1, 1), labels=labels)
    builder.make_updatable(tuple(learn))
    builder.set_categorical_cross_entropy_loss("loss", "y")
    builder.set_sgd_optimizer(SgdParams(lr=0.1, batch=2))
    builder.set_epochs(1)
    return builder.spec


def neighbors(samples: int = 2) -> Any:
    """The message of a nearest neighbour classifier of points [2]."""
    builder = KNearestNeighborsClassifierBuilder("point", "label", 2, "nobody", number_of_neighbors=1)
    if samples:
        builder.add_samples(np.arange(2 * samples).reshape(samples, 2), ["a", "b"][:samples])
    return builder.spec


def pipeline() -> Any:
    """The message of a pipeline: twice x [2], then nearest neighbours of that."""
    front = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature("point", (2,))])
    front.add_inner_product("twice", 2 * np.eye(2), None, 2, 2, False, "x", "point")
    return make_pipeline("classifier", [front.spec, neighbors()])


def logits_by_hand(x: Array) -> Array:
    """What ``conv``, ``relu``, ``first``, ``tanh``, ``second`` make of images [N, 1, 1, 3, 3], in float64: [N, 3]."""
    made: Array = hidden_by_hand(x) @ SECOND.T.astype(np.float64) + BIASES[3]
    return made


def hidden_by_hand(x: Array) -> Array:
    """What comes into ``second``: [N, 4]."""
    windows = np.lib.stride_tricks.sliding_window_view(x[:, 0, 0].astype(np.float64), (2, 2), axis=(1, 2))
    convolved = np.einsum("nhwij,kij->nkhw", windows, KERNEL[:, 0].astype(np.float64)) + BIASES[2][:, None, None]
    first = np.maximum(convolved, 0).reshape(len(x), -1) @ FIRST.T.astype(np.float64) + BIASES[4]
    made: Array = np.tanh(first)
    return made


def softmax_by_hand(logits: Array) -> Array:
    """The softmax of rows."""
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    made: Array = exponents / exponents.sum(axis=1, keepdims=True)
    return made
