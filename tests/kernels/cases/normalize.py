from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers

X = numbers(3, 2, 4, 3, 2) * 2.0 + 0.5
GAMMA, BETA, MEAN, VARIANCE = numbers(4), numbers(4, seed=1), numbers(4, seed=2), np.abs(numbers(4, seed=3)) + 0.2


def norm(note: str, statistics: str, x: Array, reference: Any, epsilon: float = 1e-5) -> Case:
    message = Message(
        channels=4,
        computeMeanVar=statistics != "given",
        instanceNormalization=statistics == "instance",
        epsilon=0.0 if epsilon == 1e-5 else epsilon,
        **dict.fromkeys(("gamma", "beta", "mean", "variance"), 0),
    )
    weights = {"gamma": GAMMA, "beta": BETA} | ({"mean": MEAN, "variance": VARIANCE} if statistics == "given" else {})
    return Case("batchnorm", (x,), reference, message, {"epsilon": epsilon, "statistics": statistics}, weights, note=note)


CASES = (
    Case("softmax", (X,), lambda x: special.softmax(x, axis=-3), Message()),
    Case("softmax", (np.array([[[1000.0]], [[1000.0]]]),), np.array([[[0.5]], [[0.5]]]), Message(), note="no overflow"),
    norm("given", "given", X[0], by_torch(lambda t, f, x, g, b, m, v: f.batch_norm(x, m, v, g, b, eps=1e-5))),
    norm(
        "given, rank 5, epsilon",
        "given",
        X,
        by_torch(lambda t, f, x, g, b, m, v: f.batch_norm(x.reshape(6, 4, 3, 2), m, v, g, b, eps=0.1).reshape(x.shape)),
        0.1,
    ),
    norm("given, rank 3", "given", X[0, 0], by_torch(lambda t, f, x, g, b, m, v: f.batch_norm(x[None], m, v, g, b, eps=1e-5)[0])),
    norm("instance", "instance", X[0], by_torch(lambda t, f, x, g, b: f.instance_norm(x, None, None, g, b, eps=1e-5))),
    norm("batch", "batch", X[:, 0], by_torch(lambda t, f, x, g, b: f.batch_norm(x, None, None, g, b, training=True, eps=1e-3)), 1e-3),
)
