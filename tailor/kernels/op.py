"""One op of the network engine: what it computes, its gradient, its shapes, how it is read from a layer.

The rows that join these live at the end of each family file in ``layers/``; ``registry`` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Attributes: TypeAlias = Mapping[str, Any]


class Decode(Protocol):
    """Decodes one weight field of a layer message into an array of ``shape`` (float32, C order)."""

    def __call__(self, message: Any, field: str, shape: Shape) -> Array: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What ``Op.read`` found in a layer message.

    ``weights`` are keyed by the format's field name (``weights``, ``bias``, ``gamma`` ...), in the order in which
    they trail the inputs of ``forward``.
    """

    attributes: Attributes
    weights: Mapping[str, Array]


def elementwise_work(*shapes: Shape, **attributes: Any) -> int:
    """Operations of an op that touches each element of its first input once."""
    return int(np.prod(shapes[0])) if shapes else 0


@dataclass(frozen=True, slots=True)
class Op:
    """One row of the op table.

    ``name``      the layer's field in ``NeuralNetworkLayer``; activations are ``activation.ReLU`` and so on.
    ``forward``   ``forward(*inputs, *weights, **attributes)`` -> an array, or a tuple of them for several outputs. Pure.
    ``shape``     ``shape(*input_shapes, *weight_shapes, **attributes)`` -> the output's shape, or a tuple of shapes;
                  ``None`` for one that only values tell. Raises ``ValueError`` (expected, got) where the inputs do not fit.
    ``read``      ``read(params, decode)`` -> ``Reading``. ``params`` is duck-typed; nothing here imports protobuf.
    ``backward``  ``backward(g, y, *inputs, *weights, needs, **attributes)`` -> one gradient per array, ``None`` where
                  ``needs[i]`` is false (an unwanted gradient is not computed). Of several outputs ``g`` and ``y`` are
                  tuples, with ``None`` in ``g`` for an output that is not used. ``None``: the op has no gradient.
    ``batched``   ``batched(attributes, ranks)`` -> the attributes with which ``forward`` treats one more leading axis
                  (of examples) on every input as independent, or ``None`` where it cannot. ``None``: examples must go one by one.
    ``work``      ``work(*input_shapes, *weight_shapes, **attributes)`` -> multiply-adds, roughly.
    ``draws``     whether ``forward`` takes ``generator``, a ``numpy.random.Generator`` to draw from.
    ``portable``  whether ``forward`` and ``backward``, with what ``batched`` answers, run on an accelerator's arrays as they are, through
                  NumPy's dispatch protocols, and bring nothing here for it. Arrays are made with ``like=`` or from others then.
    """

    name: str
    forward: Callable[..., Any]
    shape: Callable[..., Any]
    read: Callable[[Any, Decode], Reading]
    backward: Callable[..., tuple[Array | None, ...]] | None = None
    batched: Callable[[Attributes, tuple[int, ...]], Attributes | None] | None = None
    work: Callable[..., int] = elementwise_work
    draws: bool = False
    portable: bool = False


def from_the_end(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    """The ``batched`` rule of ops that count their axes from the end: a leading axis changes nothing."""
    return attributes
