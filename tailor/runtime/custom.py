"""Custom layers: a network names a class, and whoever runs it registers one by that name, as Core ML's MLCustomLayer does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, Protocol, TypeAlias

import numpy as np

from tailor.kernels import Array, Op, Reading, Shape

from .errors import MLCustomLayerError


class MLCustomLayer(Protocol):
    """What a class registered for a custom layer offers; it need not derive from this one.

    An instance is made for each layer when it is first needed, by ``cls(parameters, weights)``: ``parameters`` are the
    layer's own (numbers, strings, booleans by name), ``weights`` its float32 arrays, one row each as the model stores
    them, not to be changed. Several threads may then call its methods at once. Shapes are of one example.

    Optional: ``gradient(gradients, outputs, inputs)`` -> one array an input, shaped like it; without it nothing before the
    layer can learn. ``gradients`` has one an output, ``None`` for an output that nobody uses.
    """

    def output_shapes(self, input_shapes: Sequence[Shape]) -> Sequence[Shape]:
        """The shapes of what ``evaluate`` returns for inputs of ``input_shapes``; raises ``ValueError`` where they do not fit."""
        ...

    def evaluate(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The layer's outputs for ``inputs``, which must not be changed."""
        ...


LayerFactory: TypeAlias = Callable[[Mapping[str, Any], Sequence[Array]], MLCustomLayer]

_registered: dict[str, LayerFactory] = {}


def register_custom_layer(name: str, layer: LayerFactory | None) -> None:
    """From now on, custom layers whose class is called ``name`` in models are made by ``layer(parameters, weights)``.

    A name may be given anew; layers that were made already stay as they are. ``None`` takes the name back.
    """
    if layer is None:
        _registered.pop(name, None)
    else:
        _registered[name] = layer


def custom_op(name: str, who: str, parameters: Mapping[str, Any], weights: Sequence[Array]) -> Op:
    """The op of one custom layer of class ``name``. Its class is looked up when the op is first needed.

    Its functions raise ``MLCustomLayerError``, naming ``who`` and ``parameters``, where no such class is registered, where
    it cannot be made, where it fails, and where what it returns is not what it foretold.
    """
    layer = _Layer(name, who, parameters, weights)
    backward = layer.backward if hasattr(_registered.get(name), "gradient") else None
    return Op(f"custom.{name}", layer.forward, layer.shape, _read, backward)


def _read(params: Any, decode: Any) -> Reading:
    return Reading({}, {})


class _Layer:
    """One custom layer: its instance, and the functions of its op."""

    def __init__(self, name: str, who: str, parameters: Mapping[str, Any], weights: Sequence[Array]) -> None:
        self._name = name
        self._who = who
        self._parameters = parameters
        self._weights = weights
        self._lock = Lock()
        self._made: Any = None

    def shape(self, *shapes: Shape) -> Any:
        told = self._call("output_shapes", list(shapes))
        several = tuple(tuple(int(size) for size in shape) for shape in told)
        return several[0] if len(several) == 1 else several

    def forward(self, *inputs: Array) -> Any:
        expected = [tuple(shape) for shape in self._call("output_shapes", [x.shape for x in inputs])]
        outputs = tuple(np.asarray(y, dtype=inputs[0].dtype if inputs else np.float32) for y in self._call("evaluate", list(inputs)))
        self._check("evaluate", expected, outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def backward(self, g: Any, y: Any, *inputs: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        several = isinstance(y, tuple)
        found = self._call("gradient", list(g) if several else [g], list(y) if several else [y], list(inputs))
        answers = tuple(np.asarray(dx, dtype=x.dtype) for dx, x in zip(found, inputs, strict=False))
        self._check("gradient", [x.shape for x in inputs], answers)
        return tuple(answer if need else None for answer, need in zip(answers, needs, strict=True))

    def _check(self, method: str, expected: Sequence[Shape], answers: Sequence[Array]) -> None:
        got = [answer.shape for answer in answers]
        if got != list(expected):
            raise MLCustomLayerError(f"{self._told}: {method}: expected arrays of shapes {_listed(expected)}, got {_listed(got)}")

    def _call(self, method: str, *arguments: Any) -> Any:
        instance = self._instance()
        try:
            return getattr(instance, method)(*arguments)
        except Exception as error:
            if method == "output_shapes" and isinstance(error, ValueError):
                raise  # inputs that do not fit: whoever runs the layer says so, with its name
            raise MLCustomLayerError(f"{self._told}: {method}: {type(error).__name__}: {error}") from error

    def _instance(self) -> Any:
        with self._lock:
            if self._made is None:
                factory = _registered.get(self._name)
                if factory is None:
                    raise MLCustomLayerError(
                        f"{self._told}: expected a class registered with register_custom_layer({self._name!r}, ...), got none"
                    )
                try:
                    self._made = factory(self._parameters, self._weights)
                except Exception as error:
                    raise MLCustomLayerError(f"{self._told}: {type(error).__name__}: {error}") from error
            return self._made

    @property
    def _told(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in sorted(self._parameters.items()))
        return f"{self._who} of class {self._name!r} with parameters {{{given}}} and {len(self._weights)} weights"


def _listed(shapes: Sequence[Shape]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes) or "none"
