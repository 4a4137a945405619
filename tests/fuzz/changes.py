"""What can be done to a model: each change is a list of plain values, so that a case is a line of JSON.

On the message: ``set`` a field to a value, ``drop``, ``double`` and ``swap`` elements of a list, ``add`` an element,
``clear`` a field, make it ``become`` another of its oneof. On its bytes: ``flip``, ``cut``, ``repeat`` and ``splice``. On
an input: ``input``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor as Field
from hypothesis import strategies as st

from tailor.kernels import Array
from tests.fuzz.corpus import makers, seed

INTEGERS = (0, 1, 2, 3, 5, 7, 8, 9, 64, 1000, 1 << 16, (1 << 24) + 1, 10**9, (1 << 31) - 1, 10**12, (1 << 62), (1 << 63) - 1)
SIGNED = (*INTEGERS, -1, -2, -3, -7, -1000, -(1 << 31), -(10**12), -(1 << 63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e9, -1e9, 1e30, 3e38, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", "x", "x0", "y", "y0", "spoilt", "ghost", "a/b\n", "é" * 3, "n" * 1000)
CHUNKS = ("", "00", "000000", "00000000", "0000c07f", "0000807f", "ff" * 8, "0000803f" * 64)
"""Of lists of floats and raw weights, in hexadecimal."""

_WHOLE = (Field.CPPTYPE_INT32, Field.CPPTYPE_INT64, Field.CPPTYPE_UINT32, Field.CPPTYPE_UINT64)
_SMALL = {Field.CPPTYPE_INT32, Field.CPPTYPE_UINT32}
_POSITIVE = {Field.CPPTYPE_UINT32, Field.CPPTYPE_UINT64}


def places(message: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every field that is there, and the scalars that could be: its path, the message it is in, and its descriptor."""
    for field in message.DESCRIPTOR.fields:
        path = f"{prefix}{field.name}"
        several = _several(field)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        if several:
            yield path, message, field
            for index, element in enumerate(getattr(message, field.name)):
                if field.message_type is not None:
                    yield from places(element, f"{path}[{index}].")
        elif field.message_type is not None:
            if message.HasField(field.name):
                yield path, message, field
                yield from places(getattr(message, field.name), f"{path}.")
        elif field.containing_oneof is None or message.HasField(field.name):
            yield path, message, field


def _several(field: Any) -> bool:
    """Whether a field is a list; protobuf has changed how to ask."""
    return bool(field.is_repeated if hasattr(field, "is_repeated") else field.label == Field.LABEL_REPEATED)


def _values(field: Any) -> st.SearchStrategy[Any]:
    """Edge values of a scalar field."""
    kind = field.cpp_type
    if kind in _WHOLE:
        values = INTEGERS if kind in _POSITIVE else SIGNED
        most = (1 << (31 if kind in _SMALL else 63)) - 1
        return st.sampled_from([value for value in values if -most - 1 <= value <= most])
    if kind == Field.CPPTYPE_BOOL:
        return st.booleans()
    if kind == Field.CPPTYPE_ENUM:
        return st.sampled_from([*(value.number for value in field.enum_type.values), 99, -1])
    if kind in (Field.CPPTYPE_FLOAT, Field.CPPTYPE_DOUBLE):
        return st.sampled_from(FLOATS)
    return st.sampled_from(CHUNKS if field.type == Field.TYPE_BYTES else TEXTS)


@st.composite
def cases(draw: st.DrawFn, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """A model of the corpus (of ``names``, where given) and up to four changes that apply to it."""
    name = draw(st.sampled_from(names or tuple(makers())))
    given = seed(name)
    spec = type(given.spec)()
    spec.CopyFrom(given.spec)
    changes = []
    only_bytes = draw(st.integers(0, 11)) == 11
    for _ in range(0 if only_bytes else draw(st.integers(1, 3))):
        change = _on_message(draw, spec)
        changes.append(change)
        _change_message(spec, change)
    if given.inputs and draw(st.integers(0, 4)) == 4:
        entry = draw(st.sampled_from(sorted(given.inputs)))
        changes.append(["input", entry, draw(st.integers(0, max(0, given.inputs[entry].size - 1))), draw(st.sampled_from(FLOATS))])
    if only_bytes:
        changes.append(_on_bytes(draw, spec.ByteSize()))
    return {"model": name, "changes": changes}


def _on_message(draw: st.DrawFn, spec: Any) -> list[Any]:
    network = next((part for part in ("neuralNetwork", "neuralNetworkClassifier") if spec.HasField(part)), None)
    if draw(st.integers(0, 9)) == 9:
        path, _, field = draw(st.sampled_from([place for place in places(spec) if place[2].containing_oneof and place[2].message_type]))
        others = [other.name for other in field.containing_oneof.fields if other.message_type is not None]
        return ["become", path, draw(st.sampled_from(others))]
    whole = draw(st.integers(0, 9)) == 9  # to take parts away is soon noticed
    found = [
        (path, message, field)
        for path, message, field in places(spec)
        if not path.startswith(("specificationVersion", "description.metadata")) and (whole or field.message_type is None)
    ]
    inside = [place for place in found if network and place[0].startswith(network)]
    path, message, field = draw(st.sampled_from(inside if inside and draw(st.integers(0, 3)) else found))
    if not _several(field):
        return ["clear", path] if field.message_type is not None else ["set", path, draw(_values(field))]
    count = len(getattr(message, field.name))
    kinds = ["add"] + ["drop", "double", "swap", "set"] * (count > 0)
    kind = draw(st.sampled_from(kinds[:-1] if field.message_type is not None and count else kinds))
    if kind == "add":
        return ["add", path] if field.message_type is not None else ["add", path, draw(_values(field))]
    index = draw(st.integers(0, count - 1))
    if kind == "swap":
        return ["swap", path, index, draw(st.integers(0, count - 1))]
    if kind == "double":
        return ["double", path, index, draw(st.sampled_from((1, 2, 40)))]
    return ["drop", path, index] if kind == "drop" else ["set", f"{path}[{index}]", draw(_values(field))]


def _on_bytes(draw: st.DrawFn, size: int) -> list[Any]:
    at = draw(st.integers(0, max(0, size - 1)))
    length = draw(st.integers(1, 64))
    kind = draw(st.sampled_from(("flip", "cut", "repeat", "splice")))
    if kind == "flip":
        return [kind, at, draw(st.integers(0, 7))]
    if kind == "cut":
        return [kind, at, length]
    if kind == "repeat":
        return [kind, at, length, draw(st.integers(1, 200))]
    return [kind, at, length, draw(st.sampled_from(tuple(makers()))), draw(st.integers(0, 200))]


def spoilt(case: dict[str, Any]) -> tuple[bytes, dict[str, Array]]:
    """The bytes of the case's model, changed, and its inputs."""
    given = seed(case["model"])
    spec = type(given.spec)()
    spec.CopyFrom(given.spec)
    inputs = {name: np.array(x, np.float64) for name, x in given.inputs.items()}
    changes = case["changes"]
    for change in changes:
        if change[0] == "input":
            if inputs[change[1]].size:
                inputs[change[1]].reshape(-1)[change[2]] = change[3]
        elif change[0] not in _BYTES:
            _change_message(spec, change)
    data = spec.SerializeToString()
    for change in changes:
        if change[0] in _BYTES:
            data = _change_bytes(data, change)
    return data, inputs


_BYTES = ("flip", "cut", "repeat", "splice")


def _change_bytes(data: bytes, change: list[Any]) -> bytes:
    kind, at, length = change[:3]
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ (1 << length)]) + data[at + 1 :] if at < len(data) else data
    if kind == "cut":
        return data[:at] + data[at + length :]
    if kind == "repeat":
        return data[:at] + data[at : at + length] * change[3] + data[at + length :]
    other = seed(change[3]).spec.SerializeToString()
    return data[:at] + other[change[4] : change[4] + length] + data[at + length :]


def _change_message(spec: Any, change: list[Any]) -> None:
    kind, path, *rest = change
    *parents, last = path.split(".")
    message = spec
    for step in parents:
        name, index = _step(step)
        message = getattr(message, name)
        message = message if index is None else message[index]
    name, index = _step(last)
    field = message.DESCRIPTOR.fields_by_name[name]
    value = bytes.fromhex(rest[-1]) if field.type == Field.TYPE_BYTES and kind in ("set", "add") else rest[-1] if rest else None
    if kind == "clear":
        message.ClearField(name)
    elif kind == "become":
        getattr(message, value).SetInParent()
    elif kind == "set" and index is None:
        setattr(message, name, value)
    elif kind == "set":
        getattr(message, name)[index] = value
    else:
        _change_list(getattr(message, name), kind, rest, value, field.message_type is not None)


def _change_list(elements: Any, kind: str, rest: list[Any], value: Any, messages: bool) -> None:
    if kind == "add":
        elements.add() if messages else elements.append(value)
    elif kind == "drop":
        del elements[rest[0]]
    elif kind == "double":
        elements.extend([elements[rest[0]]] * rest[1])
    else:
        first, second = rest
        order = list(range(len(elements)))
        order[first], order[second] = second, first
        held = [type(elements[n]).FromString(elements[n].SerializeToString()) if messages else elements[n] for n in order]
        del elements[:]
        elements.extend(held)


def _step(step: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", step)
    assert found is not None
    return found[1], None if found[2] is None else int(found[2])
