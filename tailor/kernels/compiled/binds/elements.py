"""Functions of elements as steps."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod

import numpy as np

from ...op import Array, Attributes, Shape
from ..assembly import Assembly
from ..bind import Bind, Make
from ..records import Function
from ..views import View


def _single(function: Function, first: str = "", second: str = "", alpha: float = 0.0, beta: float = 0.0) -> Make:
    """A function of one value; its numbers are attributes of that name, or fixed."""

    def make(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
        numbers = (float(attributes[first]) if first else alpha, float(attributes[second]) if second else beta)
        return to.map(function, to.like(name, inputs[0]), inputs[0], alpha=numbers[0], beta=numbers[1])

    return make


UNARY = {"sqrt": Function.SQRT, "inverse": Function.INVERSE, "exp": Function.EXP, "abs": Function.ABS}


def _unary_fits(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    return attributes["operation"] in UNARY


def _unary(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    operation, shift = attributes["operation"], attributes["shift"]
    shift = shift + attributes["epsilon"] if operation == "inverse" else shift
    return to.map(UNARY[operation], to.like(name, inputs[0]), inputs[0], alpha=attributes["scale"], beta=shift)


GELU = {"exact": Function.GELU, "tanh": Function.GELU_TANH, "sigmoid": Function.GELU_SIGMOID}


def _gelu(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    return to.map(GELU[attributes["mode"]], to.like(name, inputs[0]), inputs[0])


def _many_fits(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    """Some input has the shape of the answer, so that it says how the answer lies."""
    return len(inputs) >= 1 and _common(inputs) in inputs


def _common(shapes: Sequence[Shape]) -> Shape:
    rank = max(map(len, shapes))
    full = [(*(1,) * (rank - len(shape)), *shape) for shape in shapes]
    return tuple(0 if 0 in sizes else max(sizes) for sizes in zip(*full, strict=True))


def _combined(function: Function, one: Function | None = None) -> Make:
    """A function of two or more values, from the left; of one input ``one`` with the layer's ``alpha``."""

    def make(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
        shape = _common([view.shape for view in inputs])
        target = to.like(name, next(view for view in inputs if view.shape == shape))
        if len(inputs) == 1:
            alpha = float(attributes["alpha"])
            factors = (1.0, alpha) if function is Function.ADD else (alpha, 0.0)
            return to.map(Function.AFFINE, target, inputs[0], alpha=factors[0], beta=factors[1])
        so_far = inputs[0]
        for view in inputs[1:]:
            so_far = to.map(function, target, so_far, view)
        return so_far

    return make


def _two_fits(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    return len(inputs) == 2 and _many_fits(inputs, weights, attributes)


def _scale(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    """``x * scale + bias``, stored arrays that repeat."""
    x = inputs[0]
    stored = [to.constant(_stored(array)) for array in weights]
    if len(stored) == 1:
        return to.map(Function.MULTIPLY, to.like(name, x), x, stored[0])
    return to.map(Function.SCALE, to.like(name, x), x, *stored)


def _bias(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    return to.map(Function.ADD, to.like(name, inputs[0]), inputs[0], to.constant(_stored(weights[0])))


def _stored(array: Array) -> Array:
    """A vector has one number a channel."""
    return array.reshape(-1, 1, 1) if array.ndim == 1 else array


def _stored_fits(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    return all(_common([inputs[0], (*shape, 1, 1) if len(shape) == 1 else shape]) == inputs[0] for shape in weights)


def _norm_fits(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    return attributes.get("statistics", "given") == "given" and len(weights) == 4


def _batchnorm(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    gamma, beta, mean, variance = weights
    scale = gamma / np.sqrt(variance + attributes["epsilon"])
    stored = [to.constant(vector.reshape(-1, 1, 1)) for vector in (scale, beta - mean * scale)]
    return to.map(Function.SCALE, to.like(name, inputs[0]), inputs[0], *stored)


def _not_empty(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    return all(prod(shape) > 0 for shape in inputs)


BINDS = (
    Bind("activation.ReLU", _not_empty, _single(Function.CLIP, alpha=0.0, beta=inf)),
    Bind("activation.leakyReLU", _not_empty, _single(Function.LEAKY, "alpha")),
    Bind("activation.linear", _not_empty, _single(Function.AFFINE, "alpha", "beta")),
    Bind("activation.tanh", _not_empty, _single(Function.TANH, alpha=1.0, beta=1.0)),
    Bind("activation.scaledTanh", _not_empty, _single(Function.TANH, "alpha", "beta")),
    Bind("activation.sigmoid", _not_empty, _single(Function.SIGMOID)),
    Bind("tanh", _not_empty, _single(Function.TANH, alpha=1.0, beta=1.0)),
    Bind("clip", _not_empty, _single(Function.CLIP, "low", "high")),
    Bind("unary", _unary_fits, _unary),
    Bind("gelu", _not_empty, _gelu),
    Bind("add", _many_fits, _combined(Function.ADD)),
    Bind("multiply", _many_fits, _combined(Function.MULTIPLY)),
    Bind("addBroadcastable", _two_fits, _combined(Function.ADD)),
    Bind("subtractBroadcastable", _two_fits, _combined(Function.SUBTRACT)),
    Bind("multiplyBroadcastable", _two_fits, _combined(Function.MULTIPLY)),
    Bind("divideBroadcastable", _two_fits, _combined(Function.DIVIDE)),
    Bind("maxBroadcastable", _two_fits, _combined(Function.MAXIMUM)),
    Bind("minBroadcastable", _two_fits, _combined(Function.MINIMUM)),
    Bind("scale", _stored_fits, _scale),
    Bind("bias", _stored_fits, _bias),
    Bind("batchnorm", _norm_fits, _batchnorm),
)
