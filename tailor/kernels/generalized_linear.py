"""Generalized linear models: weighted sums, and the probabilities that stand behind them.

Source: ``GLMClassifier.proto`` and ``GLMRegressor.proto`` of the format. The logistic function is the inverse of the
logit, the normal distribution function that of the probit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from .op import Array
from .pairs import products

Floats: TypeAlias = NDArray[np.float64]
Encoding: TypeAlias = Literal["reference", "one_vs_rest"]
Transform: TypeAlias = Literal["none", "logit", "probit"]

TRANSFORMS: Mapping[Transform, Callable[[Array], Array]] = {"none": np.asarray, "logit": special.expit, "probit": special.ndtr}
"""What a regressor makes of its sums, element by element."""


def weighted_sums(x: Array, weights: Array, offsets: Array) -> Floats:
    """``x`` ``[n, d]`` times ``weights`` ``[d, m]`` plus ``offsets`` ``[m]``, all float64: ``[n, m]``. May be infinite or NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        return products(x, weights) + offsets


def class_scores(sums: Array, encoding: Encoding, classes: int) -> Array:
    """A score for each class, ``[n, classes]``, the highest of which wins.

    ``sums``: one a class where each is told from the rest; otherwise, and of two classes always, one a class but the
    first, whose score is 0.
    """
    if encoding == "one_vs_rest" and classes != 2:
        return sums
    return np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)


def class_probabilities(scores: Array, encoding: Encoding, transform: Transform) -> Floats:
    """Probabilities ``[n, classes]`` from what ``class_scores`` answers, which add up to 1.

    The softmax of the scores; of more than two classes that are told from the rest each, their logistic values, divided
    by their sum. ``probit`` (two classes only): the normal distribution's instead.
    """
    if transform == "probit":
        probabilities: Floats = special.ndtr(np.concatenate([-scores[:, 1:], scores[:, 1:]], axis=1))
        return probabilities
    # In logarithms the least of values has a share; as they are, all could be 0.
    logarithms = special.log_expit(scores) if encoding == "one_vs_rest" and scores.shape[1] != 2 else scores
    with np.errstate(invalid="ignore"):
        powers = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares
