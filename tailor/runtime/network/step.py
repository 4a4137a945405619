"""One step: what an op's shapes will be, and its answer, with the layer's name on whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import numpy as np

from tailor.kernels import Array, Attributes, Op, Shape, check_elements

from ..errors import MLModelError, MLPredictionCancelledError
from .graph import Node

Stop: TypeAlias = Callable[[], bool]
"""Asked between steps; true ends the run."""

_stop: ContextVar[Stop | None] = ContextVar("tailor_stop", default=None)


@contextmanager
def stopping(stop: Stop) -> Iterator[None]:
    """What is predicted inside asks ``stop`` between steps, and raises ``MLPredictionCancelledError`` once it is true."""
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def asked_to_stop() -> Stop | None:
    """The innermost ``stopping`` of this thread's context."""
    return _stop.get()


def look(stop: Stop, node: Node) -> None:
    """Raises ``MLPredictionCancelledError`` where ``stop`` says so."""
    if stop():
        raise MLPredictionCancelledError(f"stopped before {node.who}")


def foretold(node: Node, op: Op, shapes: Sequence[Shape], weights: Sequence[Array]) -> dict[str, Shape | None]:
    """The shapes of what ``node`` makes, ``None`` where only values tell.

    Raises ``MLModelError`` naming the layer where its inputs do not fit, or an output would be beyond bounds.
    """
    try:
        made = op.shape(*shapes, *(array.shape for array in weights), **node.attributes)
        # an op with one output may not know its shape: None, and so is told from a tuple of outputs by their number
        several = made if len(node.outputs) != 1 else (made,)
        if several is None:
            several = (None,) * len(node.outputs)
        if len(several) != len(node.outputs):
            raise MLModelError(f"{node.who}: expected {len(several)} outputs, got {len(node.outputs)}")
        for shape in several:
            if shape is not None:
                check_elements(shape)
    except (ValueError, TypeError, IndexError) as error:  # the last two: another number of inputs than the op takes
        raise MLModelError(f"{node.who}: {error}") from error
    return dict(zip(node.outputs, several, strict=True))


def answers(node: Node, op: Op, inputs: Sequence[Array], weights: Sequence[Array], attributes: Attributes) -> Any:
    """What ``op`` answers: an array, or a tuple of them. Raises ``MLModelError`` naming the layer that refuses values."""
    if op.draws:
        attributes = {**attributes, "generator": _generator(attributes)}
    try:
        return op.forward(*inputs, *weights, **attributes)
    except (ValueError, IndexError) as error:
        raise MLModelError(f"{node.who}: {error}") from error


def _generator(attributes: Attributes) -> np.random.Generator:
    """A layer with a seed draws the same numbers every time it runs; one without (or a negative one) never."""
    seed = int(attributes.get("seed", -1))
    return np.random.default_rng(seed if seed >= 0 else None)


def missing(node: Node, values: Mapping[str, Array]) -> MLModelError:
    """The error of a node some of whose inputs were never made, for they come from a block that did not run."""
    lost = next(name for name in node.inputs if name not in values)
    return MLModelError(f"{node.who}: expected its input {lost!r} to be made before it runs, got a block that did not make it")
