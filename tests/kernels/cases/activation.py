from __future__ import annotations

import numpy as np
from scipy import special

from .case import Case, Message, by_torch, numbers

X = 2.0 * numbers(2, 1, 3, 2, 2)
A, B = np.array([0.3, -0.2, 1.5]), np.array([0.5, 1.0, 2.0])
ALPHA, ONE = A.reshape(3, 1, 1), np.array([0.25])


def one(name: str, reference: object, *fields: float, note: str = "", x: object = X) -> Case:
    attributes = dict(zip(("alpha", "beta"), fields, strict=False))
    return Case(f"activation.{name}", (x,), reference, Message(**attributes), attributes, note=note)  # type: ignore[arg-type]


CASES = (
    one("ReLU", lambda x: np.maximum(x, 0.0)),
    one("ReLU", np.array([[[0.0, 0.0, 3.0]]]), note="literal", x=np.array([[[-1.0, -0.5, 3.0]]])),
    one("leakyReLU", by_torch(lambda t, f, x: f.leaky_relu(x, 0.1)), 0.1),
    one("thresholdedReLU", by_torch(lambda t, f, x: f.threshold(x, 0.7, 0.0)), 0.7),
    Case("activation.PReLU", (X,), lambda x, a: np.maximum(x, 0) + ALPHA * np.minimum(x, 0), Message(alpha=0), {}, {"alpha": A}),
    Case(
        "activation.PReLU",
        (X,),
        lambda x, a: np.maximum(x, 0) + 0.25 * np.minimum(x, 0),
        Message(alpha=0),
        {},
        {"alpha": ONE},
        note="one for all",
    ),
    one("linear", lambda x: 0.5 * x - 2.0, 0.5, -2.0),
    one("tanh", lambda x: 1.0 - 2.0 / (np.exp(2.0 * x) + 1.0)),
    one("scaledTanh", by_torch(lambda t, f, x: 1.7 * t.tanh(0.6 * x)), 1.7, 0.6),
    one("sigmoid", by_torch(lambda t, f, x: t.sigmoid(x))),
    one("sigmoidHard", by_torch(lambda t, f, x: f.hardsigmoid(x)), 1 / 6, 0.5),
    one("sigmoidHard", np.array([[[0.0, 0.3, 1.0]]]), 0.2, 0.5, note="literal", x=np.array([[[-9.0, -1.0, 9.0]]])),
    one("ELU", by_torch(lambda t, f, x: f.elu(x, 0.8)), 0.8),
    one("softsign", by_torch(lambda t, f, x: f.softsign(x))),
    one("softplus", by_torch(lambda t, f, x: f.softplus(x))),
    one("softplus", np.array([[[0.0, np.log(2.0), 1000.0]]]), note="far out", x=np.array([[[-1000.0, 0.0, 1000.0]]])),
    Case(
        "activation.parametricSoftplus",
        (X,),
        lambda x, a, b: -ALPHA * special.log_expit(-B.reshape(3, 1, 1) * x),
        Message(alpha=0, beta=0),
        {},
        {"alpha": A, "beta": B},
    ),
)
