"""One step: what an op's shapes will be, and its answer, with the layer's name on whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from inspect import signature
from math import inf
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


def quiet() -> np.errstate:
    """Infinities and NaN are answers here, not warnings."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def look(stop: Stop, node: Node) -> None:
    """Raises ``MLPredictionCancelledError`` where ``stop`` says so."""
    if stop():
        raise MLPredictionCancelledError(f"stopped before {node.who}")


def foretold(node: Node, op: Op, shapes: Sequence[Shape], weights: Sequence[Array]) -> dict[str, Shape | None]:
    """The shapes of what ``node`` makes, ``None`` where only values tell.

    Raises ``MLModelError`` naming the layer where its inputs do not fit, or an output would be beyond bounds.
    """
    _check_count(node, op, len(shapes), len(weights))
    several: Sequence[Shape | None]
    try:
        made = op.shape(*shapes, *(array.shape for array in weights), **node.attributes)
        if made is None:  # only values tell, of each of its outputs
            several = (None,) * len(node.outputs)
        else:  # a shape, or a tuple of them
            several = made if any(part is None or isinstance(part, tuple) for part in made) else (made,)
        if len(several) != len(node.outputs):
            raise MLModelError(f"{node.who}: expected {len(several)} outputs, got {len(node.outputs)}")
        for shape in several:
            if shape is not None:
                check_elements(shape)
    except ValueError as error:
        raise MLModelError(f"{node.who}: {error}") from error
    except (TypeError, IndexError) as error:  # of an op that takes any number of inputs, but not this one
        told = f"{len(shapes)} of shapes {list(map(list, shapes))}"
        raise MLModelError(f"{node.who}: expected another number of inputs, got {told}") from error
    return dict(zip(node.outputs, several, strict=True))


def _check_count(node: Node, op: Op, inputs: int, weights: int) -> None:
    """Raises ``MLModelError`` where the op takes another number of inputs, as far as its shape rule's parameters tell."""
    fewest, most = _counts(op.shape, frozenset(node.attributes))
    if weights and most != weights:  # weights stand for no inputs
        fewest = max(fewest, weights + 1)
    if not fewest <= inputs + weights <= most:
        least, limit = max(0, fewest - weights), max(0, most - weights)
        wanted = str(least) if least == limit else f"{least} or more" if limit == inf else f"{least} to {limit:g}"
        raise MLModelError(f"{node.who}: expected {wanted} inputs, got {inputs}")


@lru_cache(maxsize=1024)
def _counts(rule: Callable[..., Any], named: frozenset[str]) -> tuple[int, float]:
    """How many arguments by position ``rule`` takes beside those ``named``, at least and at most."""
    parameters = [p for p in signature(rule).parameters.values() if p.name not in named]
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    endless = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return sum(p.default is p.empty for p in plain), inf if endless else len(plain)


def answers(node: Node, op: Op, inputs: Sequence[Array], weights: Sequence[Array], attributes: Attributes) -> Any:
    """What ``op`` answers: an array, or a tuple of them. Raises ``MLModelError`` naming the layer that refuses values."""
    if op.draws:
        attributes = {**attributes, "generator": _generator(attributes)}
    try:
        made = op.forward(*inputs, *weights, **attributes)
    except (ValueError, IndexError) as error:
        raise MLModelError(f"{node.who}: {error}") from error
    except MemoryError as error:
        shapes = [list(x.shape) for x in inputs]
        raise MLModelError(f"{node.who}: expected enough memory for inputs of shapes {shapes}, got too little: {error}") from error
    count = len(made) if isinstance(made, tuple) else 1
    if count != len(node.outputs):  # where only values told the shapes
        raise MLModelError(f"{node.who}: expected {count} outputs, got {len(node.outputs)}")
    return made


def _generator(attributes: Attributes) -> np.random.Generator:
    """A layer with a seed draws the same numbers every time it runs; one without (or a negative one) never."""
    seed = int(attributes.get("seed", -1))
    return np.random.default_rng(seed if seed >= 0 else None)


def missing(node: Node, values: Mapping[str, Array]) -> MLModelError:
    """The error of a node some of whose inputs were never made, for they come from a block that did not run."""
    lost = next(name for name in node.inputs if name not in values)
    return MLModelError(f"{node.who}: expected its input {lost!r} to be made before it runs, got a block that did not make it")
