"""Activations under coremltools' names, with its defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import MLFormatError
from ..floats import write_floats
from ..schema.layers_activation_pb2 import ActivationParams

_PLAIN = {"RELU": "ReLU", "SIGMOID": "sigmoid", "TANH": "tanh", "SOFTPLUS": "softplus", "SOFTSIGN": "softsign"}
_NUMBERS: dict[str, tuple[str, tuple[float, ...]]] = {
    "LEAKYRELU": ("leakyReLU", (0.3,)),
    "THRESHOLDEDRELU": ("thresholdedReLU", (1.0,)),
    "ELU": ("ELU", (1.0,)),
    "LINEAR": ("linear", (1.0, 0.0)),
    "SCALED_TANH": ("scaledTanh", (0.0, 0.0)),
    "SIGMOID_HARD": ("sigmoidHard", (0.2, 0.5)),
}
_WEIGHTS = {"PRELU": ("PReLU", 1), "PARAMETRICSOFTPLUS": ("parametricSoftplus", 2)}
_FIELDS = ("alpha", "beta")


def set_activation(message: ActivationParams, non_linearity: str, params: Any, name: str) -> None:
    """Makes ``message`` the activation ``non_linearity``.

    RELU, SIGMOID, TANH, SOFTPLUS, SOFTSIGN take no ``params``; LEAKYRELU, THRESHOLDEDRELU, ELU a number (alpha); LINEAR,
    SCALED_TANH, SIGMOID_HARD two (alpha, beta); PRELU an array of an alpha a channel; PARAMETRICSOFTPLUS two such arrays.
    Raises ``MLFormatError``, naming the layer ``name``, where it is another or ``params`` do not fit.
    """
    chosen = non_linearity.upper()
    if chosen in _PLAIN:
        getattr(message, _PLAIN[chosen]).SetInParent()
    elif chosen in _NUMBERS:
        field, defaults = _NUMBERS[chosen]
        numbers = defaults if params is None else tuple(float(number) for number in np.ravel(params))
        if len(numbers) != len(defaults):
            raise MLFormatError(f"layer {name!r}: expected {len(defaults)} number(s) for {chosen}, got {len(numbers)}")
        _set_all(getattr(message, field), numbers, setattr)
    elif chosen in _WEIGHTS:
        field, count = _WEIGHTS[chosen]
        arrays: Sequence[Any] = [params] if count == 1 else list(params or ())
        if len(arrays) != count or any(array is None for array in arrays):
            raise MLFormatError(f"layer {name!r}: expected {count} array(s) for {chosen}, got {0 if params is None else len(arrays)}")
        _set_all(getattr(message, field), arrays, lambda made, at, values: write_floats(getattr(made, at), "floatValue", values, name))
    else:
        known = (*_PLAIN, *_NUMBERS, *_WEIGHTS)
        raise MLFormatError(f"layer {name!r}: expected an activation of {', '.join(known)}, got {non_linearity!r}")


def _set_all(made: Any, values: Sequence[Any], put: Callable[[Any, str, Any], None]) -> None:
    made.SetInParent()
    for field, value in zip(_FIELDS, values, strict=False):
        put(made, field, value)
