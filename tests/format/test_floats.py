"""Lists of floats: the bytes are those that struct packs, however the writer laid them out."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from tailor.runtime.errors import MLFormatError
from tailor.runtime.format import read_floats, write_floats
from tailor.runtime.format.schema.linear_models_pb2 import GLMRegressor
from tailor.runtime.format.schema.program_pb2 import TensorValue
from tailor.runtime.format.schema.vectors_pb2 import DoubleVector, FloatVector

# A message, its list, struct's letter for a value, and the field's tags packed and unpacked (all are field 1 or 2).
LISTS: dict[str, tuple[type[Message], str, str, bytes, bytes]] = {
    "float32": (FloatVector, "vector", "f", b"\x0a", b"\x0d"),
    "float64": (DoubleVector, "vector", "d", b"\x0a", b"\x09"),
    "float64, field 2": (GLMRegressor, "offset", "d", b"\x12", b"\x11"),
    "float32 of a program": (TensorValue.RepeatedFloats, "values", "f", b"\x0a", b"\x0d"),
}
VALUES = [0.0, -0.0, 1.5, -2.25, 3.4e38, 1e-45, float("inf"), 0.1]


def packed(values: list[float], code: str, tag: bytes) -> bytes:
    content = struct.pack(f"<{len(values)}{code}", *values)
    return tag + bytes([len(content)]) + content


def unpacked(values: list[float], code: str, tag: bytes) -> bytes:
    return b"".join(tag + struct.pack(f"<{code}", value) for value in values)


LAYOUTS: dict[str, Callable[[str, bytes, bytes], bytes]] = {
    "one chunk": lambda code, tag, loose: packed(VALUES, code, tag),
    "three chunks": lambda code, tag, loose: packed(VALUES[:3], code, tag) + packed([], code, tag) + packed(VALUES[3:], code, tag),
    "one by one": lambda code, tag, loose: unpacked(VALUES, code, loose),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", LISTS)
def test_a_list_is_read_and_replaced_in_every_layout(kind: str, layout: str) -> None:
    cls, field, code, tag, loose = LISTS[kind]
    unknown = b"\xf8\x7d\x05"  # field 2015, a varint of 5: must survive
    message = cls.FromString(unknown + LAYOUTS[layout](code, tag, loose))
    found = read_floats(message, field)
    assert found.dtype == {"f": np.float32, "d": np.float64}[code]
    assert found.tobytes() == np.array(VALUES, found.dtype).tobytes()
    write_floats(message, field, [1.0, 2.0])
    assert sorted((message.SerializeToString().replace(unknown, b""), unknown)) == sorted((packed([1.0, 2.0], code, tag), unknown))
    assert unknown in message.SerializeToString()
    assert read_floats(message, field).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("kind", LISTS)
def test_an_empty_list_is_empty_and_takes_no_bytes(kind: str) -> None:
    cls, field, _, _, _ = LISTS[kind]
    message = cls()
    assert read_floats(message, field).shape == (0,)
    write_floats(message, field, [1.0])
    write_floats(message, field, np.empty((0, 4)))
    assert message.SerializeToString() == b""


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(width=32), max_size=40))
def test_any_float32_survives(values: list[float]) -> None:
    message = FloatVector()
    write_floats(message, "vector", values)
    raw = struct.pack(f"<{len(values)}f", *values)
    assert b"".join(message.vector) == raw
    assert read_floats(message, "vector").tobytes() == np.frombuffer(raw, "<f4").astype(np.float32).tobytes()


def test_arrays_of_any_layout_are_written_in_c_order() -> None:
    message = FloatVector()
    array = np.arange(6, dtype=">f8").reshape(2, 3)
    write_floats(message, "vector", array.T)
    assert struct.unpack("<6f", message.vector[0]) == (0.0, 3.0, 1.0, 4.0, 2.0, 5.0)


def test_reading_one_chunk_copies_nothing() -> None:
    message = FloatVector(vector=[struct.pack("<3f", 1, 2, 3)])
    assert not read_floats(message, "vector").flags.owndata


def test_what_is_no_list_of_floats_is_refused() -> None:
    with pytest.raises(MLFormatError, match=r"dense\.bias: expected a whole number of float32 values, got 5 bytes"):
        read_floats(FloatVector(vector=[b"12345"]), "vector", "dense.bias")
    mixed = FloatVector.FromString(packed([1.0], "f", b"\x0a") + unpacked([2.0], "f", b"\x0d"))
    with pytest.raises(MLFormatError, match=r"FloatVector\.vector: .*packed and unpacked"):
        read_floats(mixed, "vector")
    with pytest.raises(MLFormatError, match=r"dense\.bias: expected values that fit float32, got 1e\+39"):
        write_floats(FloatVector(), "vector", [1.0, 1e39], "dense.bias")
    with pytest.raises(KeyError):
        read_floats(GLMRegressor(), "weights")
