from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special, stats

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers

X = numbers(2, 5, 3, 2)


def softmax(note: str, x: Array, axis: int, reference: Any) -> Case:
    return Case("softmaxND", (x,), reference, Message(axis=axis), {"axis": axis}, note=note)


def layer(note: str, x: Array, axes: int, reference: Any, epsilon: float) -> Case:
    shape = x.shape[-axes:]
    message = Message(normalizedShape=shape, eps=epsilon, gamma=0, beta=0)
    weights = {"gamma": numbers(*shape, seed=1), "beta": numbers(*shape, seed=2)}
    return Case("layerNormalization", (x,), reference, message, {"epsilon": epsilon}, weights, note=note)


def mvn(note: str, x: Array, across: bool, variance: bool, reference: Any, epsilon: float = 0.0) -> Case:
    message = Message(acrossChannels=across, normalizeVariance=variance, epsilon=epsilon)
    return Case("mvn", (x,), reference, message, {"across": across, "variance": variance, "epsilon": epsilon or 1e-6}, note=note)


def length(note: str, x: Array, reference: Any, epsilon: float = 0.0) -> Case:
    return Case("l2normalize", (x,), reference, Message(epsilon=epsilon), {"epsilon": epsilon or 1e-6}, note=note)


def response(note: str, x: Array, size: int, reference: Any, alpha: float = 0.7, beta: float = 0.75, k: float = 0.0) -> Case:
    message = Message(localSize=size, alpha=alpha, beta=beta, k=k)
    return Case("lrn", (x,), reference, message, {"size": size, "alpha": alpha, "beta": beta, "k": k or 1.0}, note=note)


def by_torch_response(size: int, alpha: float = 0.7, beta: float = 0.75, k: float = 1.0) -> Any:
    return by_torch(lambda t, f, x: f.local_response_norm(x, size, alpha, beta, k))


CASES = (
    softmax("first", X, 0, lambda x: special.softmax(x, axis=0)),
    softmax("from the end", X, -3, by_torch(lambda t, f, x: f.softmax(x, 1))),
    softmax("last", X, 3, by_torch(lambda t, f, x: f.softmax(x, 3))),
    softmax("rank 1", numbers(4), -1, lambda x: np.exp(special.log_softmax(x))),
    softmax("no overflow", np.array([[0.5, 0.5], [1e8, 1e8]]), 0, np.array([[0.0, 0.0], [1.0, 1.0]])),
    layer("one axis", X, 1, by_torch(lambda t, f, x, g, b: f.layer_norm(x, g.shape, g, b, eps=1e-5)), 1e-5),
    layer("three axes", X, 3, by_torch(lambda t, f, x, g, b: f.layer_norm(x, g.shape, g, b, eps=0.1)), 0.1),
    layer("all", X[0, 0], 2, by_torch(lambda t, f, x, g, b: f.layer_norm(x, g.shape, g, b, eps=1e-3)), 1e-3),
    layer("no epsilon", numbers(5), 1, lambda x, g, b: g * stats.zscore(x) + b, 0.0),
    mvn("mean of a channel", np.arange(8.0).reshape(2, 2, 2), False, False, np.tile([[-1.5, -0.5], [0.5, 1.5]], (2, 1, 1))),
    mvn("channel", X, False, True, by_torch(lambda t, f, x: f.instance_norm(x, eps=1e-6))),
    mvn("across channels", X, True, True, by_torch(lambda t, f, x: f.group_norm(x, 1, eps=0.1)), 0.1),
    mvn("mean across channels", X, True, False, lambda x: x - np.einsum("bchw->b", x).reshape(2, 1, 1, 1) / 30.0),
    mvn("rank 3", X[0], True, True, by_torch(lambda t, f, x: f.layer_norm(x, x.shape, eps=1e-6))),
    length("literal", np.array([[[3.0, 0.0], [0.0, 4.0]]]), np.array([[[0.6, 0.0], [0.0, 0.8]]]), 1e-14),
    length("rank 4", X, by_torch(lambda t, f, x: x * t.rsqrt(x.square().flatten(1).sum(1) + 1e-6)[:, None, None, None])),
    length("epsilon", np.array([[[0.0]], [[0.0]], [[3.0]]]), np.array([[[0.0]], [[0.0]], [[0.6]]]), 16.0),
    response("literal", np.ones((1, 3, 3)), 1, np.full((1, 3, 3), 0.001), 2.0, 3.0, 8.0),
    response("three", X, 3, by_torch_response(3)),
    response("five, k", X, 5, by_torch_response(5, 1.5, 0.5, 2.0), 1.5, 0.5, 2.0),
    response("even", X, 4, by_torch_response(4)),
    response("wider than channels", X[:, :2], 9, by_torch_response(9)),
    response("rank 3", X[0], 3, by_torch(lambda t, f, x: f.local_response_norm(x[None], 3, 0.7, 0.75, 1.0)[0])),
)
