"""Losses of examples, and their gradients. Nothing is averaged over examples: that is the caller's choice."""

from __future__ import annotations

import numpy as np

from .jit import elsewhere
from .op import Array


def categorical_cross_entropy(probabilities: Array, target: Array) -> Array:
    """-log(probabilities[target]) an example: ``[N, C]``, class indices ``[N]`` -> ``[N]``.

    A probability that has underflowed to 0 counts as the smallest normal number, so that the loss is large, not infinite.
    Raises ``ValueError`` where the shapes do not fit or a target is not a class.
    """
    rows = _rows(probabilities, target)
    loss: Array = -np.log(np.maximum(probabilities[rows, target], np.finfo(probabilities.dtype).tiny))
    return loss


def categorical_cross_entropy_gradient(probabilities: Array, target: Array) -> Array:
    """The gradient of each example's loss with respect to its probabilities: ``[N, C]``."""
    rows = _rows(probabilities, target)
    out = np.zeros_like(probabilities)
    out[rows, target] = -1.0 / np.maximum(probabilities[rows, target], np.finfo(probabilities.dtype).tiny)
    return out


def softmax_cross_entropy_gradient(probabilities: Array, target: Array) -> Array:
    """The gradient of each example's loss with respect to what went into the softmax: probabilities - onehot, ``[N, C]``."""
    rows = _rows(probabilities, target)
    out = probabilities.copy()
    out[rows, target] -= 1.0
    return out


def mean_squared_error(y: Array, target: Array) -> Array:
    """The mean of (y - target)² over an example's elements: two arrays ``[N, ...]`` -> ``[N]``."""
    out: Array = np.square(_difference(y, target)).mean(axis=1)
    return out


def mean_squared_error_gradient(y: Array, target: Array) -> Array:
    """The gradient of each example's loss with respect to y: 2 * (y - target) / elements, shaped as y."""
    difference = _difference(y, target)
    difference *= 2.0 / difference.shape[1]
    return difference.reshape(y.shape)


def _difference(y: Array, target: Array) -> Array:
    """y - target in the type of y, one row an example."""
    if y.shape != target.shape or y.ndim < 1 or not y.size:
        raise ValueError(f"mean squared error: expected a target of shape {list(y.shape)}, got {list(target.shape)}")
    difference: Array = y - target.astype(y.dtype, copy=False)
    return difference.reshape(len(y), -1)


def _rows(probabilities: Array, target: Array) -> Array:
    """The numbers of the examples, after the checks."""
    if probabilities.ndim != 2 or target.shape != probabilities.shape[:1]:
        shapes = f"{list(probabilities.shape)} and {list(target.shape)}"
        raise ValueError(f"cross entropy: expected probabilities [N, C] and one class index each, got shapes {shapes}")
    if not np.issubdtype(target.dtype, np.integer):
        raise ValueError(f"cross entropy: expected class indices as integers, got {target.dtype}")
    if not elsewhere(target):  # to look at those of an accelerator would bring them here: who sent them has looked
        wrong = (target < 0) | (target >= probabilities.shape[1])
        if wrong.any():
            raise ValueError(f"cross entropy: expected class indices from 0 to {probabilities.shape[1] - 1}, got {target[wrong][0]}")
    return np.arange(len(target), like=target)
