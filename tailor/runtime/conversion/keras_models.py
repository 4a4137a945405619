"""Keras models as sources of a conversion. TensorFlow is imported by coremltools.

While a model is converted the weights of its trainable layers are others; afterwards they are what they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..format import Model
from .converter import Inputs, input_types, needed, run, with_shapes


class KerasSource:
    """A Keras model of TensorFlow: one example at a time, unless ``inputs`` say otherwise."""

    def __init__(self, model: Any, inputs: Inputs, respect_trainable: bool, options: Mapping[str, Any]) -> None:
        needed("coremltools")
        self._model = model
        single = {tensor.name.partition(":")[0]: _of_one(tensor.shape) for tensor in model.inputs}
        self._options = {**options, "inputs": input_types(inputs or single)}
        # In a graph of TensorFlow outputs have names already, so that new ones are given afterwards.
        self._names = [name for name in options.get("outputs", ()) if isinstance(name, str)]
        if self._names:
            del self._options["outputs"]
        trainable = model.trainable_weights if respect_trainable else []
        names = [weight.name for weight in trainable]  # models in models may use one twice
        self._variables = {
            f"{name} ({number})" if name in names[:number] else name: weight
            for number, (name, weight) in enumerate(zip(names, trainable, strict=True))
        }
        matrices = {name.rpartition("/")[0] for name, weight in self._variables.items() if len(weight.shape) >= 2}
        self.weights: Mapping[str, Array] = {
            name: np.array(weight.numpy(), np.float32)
            for name, weight in self._variables.items()
            if len(weight.shape) >= 2 or name.rpartition("/")[0] in matrices
        }
        self.others: Sequence[str] = [name for name in self._variables if name not in self.weights]
        self.shapes: Sequence[tuple[int, ...]] = [_of_one(tensor.shape) for tensor in model.outputs]

    def convert(self, values: Mapping[str, Array]) -> Model:
        """See ``Source``."""
        try:
            for name in self.weights:
                self._variables[name].assign(values.get(name, self.weights[name]))
            model = run(self._model, "tensorflow", bool(values), self._options, self._names)
        finally:
            for name, array in self.weights.items():
                self._variables[name].assign(array)
        with_shapes(model, self.shapes)
        return model


def _of_one(shape: Any) -> tuple[int, ...]:
    """A shape with 1 for what is not fixed, such as the number of examples."""
    return tuple(1 if size is None else int(size) for size in shape)
