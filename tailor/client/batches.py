"""Long lists as several requests, each of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from tailor import MLFeatureError

from .extra import msgspec
from .records import NewExample
from .values import to_wire

Given: TypeAlias = Mapping[str, object] | NewExample
"""An example: its features by name, or a ``NewExample`` whose features are Python's, with an id, a source or a time."""

MOST_EXAMPLES = 1000
MOST_BYTES = 8 << 20
"""Of one request, unless a single example is larger."""

_FEW, _LIGHT = 8, 1 << 14

Part: TypeAlias = tuple[int, list[msgspec.Raw]]
"""Which is the first, counted from 0, and how they are sent."""


def example_parts(examples: Iterable[Given], batch: str) -> Iterator[Part]:
    """Examples as they are sent; one without an id is called ``batch-number``, wherever the list is cut.

    Raises ``MLFeatureError`` that names the example, for what cannot be sent.
    """
    return _parts(_example(number, given, batch) for number, given in enumerate(examples))


def input_parts(inputs: Iterable[Mapping[str, object]]) -> Iterator[Part]:
    """Inputs to predict from as they are sent. Raises ``MLFeatureError`` that names the one which cannot be sent."""
    return _parts(to_wire(_mapping(given, f"input {number}"), f"input {number}") for number, given in enumerate(inputs))


def is_little(given: object) -> bool:
    """Whether these examples or inputs are made ready sooner than another thread is asked: few, and neither images nor files."""
    return isinstance(given, (list, tuple)) and len(given) <= _FEW and all(map(_is_light, given))


def _is_light(one: object) -> bool:
    features = one.features if isinstance(one, NewExample) else one
    return isinstance(features, Mapping) and all(
        (isinstance(value, np.ndarray) and value.nbytes <= _LIGHT)
        or isinstance(value, (bool, int, float, str, np.generic))
        or (isinstance(value, (list, tuple)) and len(value) <= _LIGHT // 64 and all(isinstance(item, (int, float)) for item in value))
        for value in features.values()
    )


def _example(number: int, given: Given, batch: str) -> NewExample:
    where = f"example {number}"
    example = given if isinstance(given, NewExample) else NewExample(features=dict(_mapping(given, where)))
    named = example.id if example.id is not None else f"{batch}-{number}"
    return msgspec.structs.replace(example, features=to_wire(example.features, where), id=named)


def _mapping(given: Any, where: str) -> Mapping[str, object]:
    if not isinstance(given, Mapping):
        raise MLFeatureError(f"{where}: expected features by name, got a {type(given).__name__}")
    return given


def _parts(values: Iterable[Any]) -> Iterator[Part]:
    encode = msgspec.msgpack.Encoder().encode
    first, size = 0, 0
    part: list[msgspec.Raw] = []
    for value in values:
        try:
            data = encode(value)
        except (TypeError, OverflowError, ValueError) as error:  # a number of more than 64 bits, a key that is neither text nor number
            raise MLFeatureError(f"example {first + len(part)}: expected values that can be sent, got another ({error})") from None
        if part and (len(part) == MOST_EXAMPLES or size + len(data) > MOST_BYTES):
            yield first, part
            first, size, part = first + len(part), 0, []
        part.append(msgspec.Raw(data))
        size += len(data)
    if part:
        yield first, part
