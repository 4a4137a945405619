from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers

X = numbers(2, 3, 2)
WITHIN = np.linspace(-0.9, 0.9, 8).reshape(2, 4)  # where arcsine and its like are defined
ABOVE = 1.1 + np.square(numbers(5))
HALVES = np.array([-2.5, -1.5, -0.7, -0.5, 0.0, 0.5, 1.4, 1.5, 2.5])
ROUNDED = {
    "ceil": [-2.0, -1, 0, 0, 0, 1, 2, 2, 3],
    "floor": [-3.0, -2, -1, -1, 0, 0, 1, 1, 2],
    "round": [-2.0, -2, -1, 0, 0, 0, 1, 2, 2],
    "sign": [-1.0, -1, -1, -1, 0, 1, 1, 1, 1],
}
OPERATIONS = ["sqrt", "rsqrt", "inverse", "power", "exp", "log", "abs", "threshold"]


def formula(
    operation: str, note: str, x: Array, reference: Any, alpha: float = 0.0, epsilon: float = 0.0, shift: float = 0.0, scale: float = 0.0
) -> Case:
    message = Message(type=OPERATIONS.index(operation), alpha=alpha, epsilon=epsilon, shift=shift, scale=scale)
    read = {"operation": operation, "alpha": alpha, "epsilon": epsilon or 1e-6, "shift": shift, "scale": scale or 1.0}
    return Case("unary", (x,), reference, message, read, note=f"{operation} {note}".strip())


def function(name: str, x: Array, torch_name: str = "") -> Case:
    return Case(name, (x,), by_torch(lambda t, f, x: getattr(t, torch_name or name)(x)), Message())


CASES = (
    formula("sqrt", "", ABOVE, by_torch(lambda t, f, x: t.sqrt(x))),
    formula("sqrt", "literal, scaled and shifted", np.array([4.0, 12.0]), np.array([3.0, 5.0]), shift=1.0, scale=2.0),
    formula("rsqrt", "", ABOVE, by_torch(lambda t, f, x: t.rsqrt(x + 1e-6))),
    formula("rsqrt", "epsilon", np.array([0.0, 3.0]), np.array([1.0, 0.5]), epsilon=1.0),
    formula("inverse", "", X, by_torch(lambda t, f, x: t.reciprocal(x + 1e-6))),
    formula("inverse", "epsilon, scaled", np.array([1.5, -2.5]), np.array([0.25, -0.25]), epsilon=1.0, scale=2.0),
    formula("power", "", ABOVE, by_torch(lambda t, f, x: t.pow(x, -1.7)), alpha=-1.7),
    formula("power", "whole, of any sign", X, lambda x: x * x * x, alpha=3.0),
    formula("power", "zero", np.array([-2.0, 0.0, 3.0]), np.ones(3)),
    formula("exp", "", X, by_torch(lambda t, f, x: t.exp(0.5 * x - 1.0)), shift=-1.0, scale=0.5),
    formula("log", "", ABOVE, by_torch(lambda t, f, x: t.log(3.0 * x + 1e-6)), scale=3.0),
    formula("abs", "", X, lambda x: np.where(x < 0, -x, x)),
    formula("abs", "shifted", X, by_torch(lambda t, f, x: t.abs(x + 5.0)), shift=5.0),
    formula("threshold", "", X, by_torch(lambda t, f, x: t.clamp(x, min=0.3)), alpha=0.3),
    formula("threshold", "scaled", np.array([-1.0, 2.0, 3.0]), np.array([2.0, -2.5, -2.5]), alpha=-2.5, scale=-2.0),
    *(Case(op, (HALVES,), np.array(answer), Message(), note="literal") for op, answer in ROUNDED.items()),
    function("exp2", X),
    function("sin", X),
    function("cos", X),
    function("tan", X),
    function("asin", WITHIN),
    function("acos", WITHIN),
    function("atan", X),
    function("sinh", X),
    function("cosh", X),
    function("tanh", X),
    function("asinh", X),
    function("acosh", ABOVE),
    function("atanh", WITHIN),
    Case("erf", (X,), lambda x: 2.0 * stats.norm.cdf(x * 2.0**0.5) - 1.0, Message()),
    Case("gelu", (X,), by_torch(lambda t, f, x: f.gelu(x)), Message(mode=0), {"mode": "exact"}, note="exact"),
    Case("gelu", (X,), by_torch(lambda t, f, x: f.gelu(x, approximate="tanh")), Message(mode=1), {"mode": "tanh"}, note="tanh"),
    Case("gelu", (X,), lambda x: x / (1.0 + np.exp(-1.702 * x)), Message(mode=2), {"mode": "sigmoid"}, note="sigmoid"),
    Case("clip", (X,), by_torch(lambda t, f, x: f.hardtanh(x, -0.5, 0.8)), Message(minVal=-0.5, maxVal=0.8), {"low": -0.5, "high": 0.8}),
    Case(
        "clampedReLU",
        (np.array([-10.0, -1.0, 0.5, 8.0]),),
        np.array([-20.0, -2.0, 0.5, 7.0]),
        Message(alpha=2.0, beta=7.0),
        {"alpha": 2.0, "beta": 7.0},
        note="literal",
    ),
    Case(
        "clampedReLU",
        (np.array([-10.0, -1.0, 0.5, 8.0]),),
        np.array([-8.0, -8.0, -8.0, -8.0]),
        Message(alpha=-3.0, beta=-8.0),
        {"alpha": -3.0, "beta": -8.0},
        note="all above beta",
    ),
    Case(
        "clampedReLU",
        (X,),
        by_torch(lambda t, f, x: t.clamp(f.leaky_relu(x, 0.1), max=0.6)),
        Message(alpha=0.1, beta=0.6),
        {"alpha": 0.1, "beta": 0.6},
    ),
)
