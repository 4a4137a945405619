"""Laws of the codec: what goes in comes out, one way to write each value, and msgpack agrees."""

from __future__ import annotations

import enum
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tailor.persistence import LIMITS, Limits, RecordError, decode, encode
from tailor.persistence.records.encode import CHUNK_BYTES, Encoding

from . import by_the_format

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Where MessagePack changes from one form to the next, with the neighbours on both sides.
EDGES = sorted({sign * 2**power + step for power in (0, 4, 5, 7, 8, 15, 16, 31, 32, 63, 64) for sign in (1, -1) for step in (-1, 0, 1)})
INTEGERS = [edge for edge in EDGES if -(2**63) <= edge < 2**64]

texts = st.text(st.characters(exclude_categories=["Cs"]))
tensors = hnp.arrays(
    st.sampled_from([np.dtype(name) for name in ["f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"]]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.sampled_from(INTEGERS)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.binary()
    | tensors
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=20) | st.dictionaries(texts, inner, max_size=20), max_leaves=20)


def normal(value: object) -> object:
    """A value in a form that ``==`` compares by type and bit."""
    match value:
        case np.ndarray():
            return ("tensor", value.dtype.str, value.shape, value.tobytes())
        case memoryview() | bytes():
            return ("bytes", bytes(value))
        case float():
            return ("float", value.hex())
        case list():
            return [normal(item) for item in value]
        case dict():
            return {key: normal(item) for key, item in value.items()}
        case _:
            return (type(value).__name__, value)


@unhurried
@given(values)
def test_what_goes_in_comes_out(value: object) -> None:
    assert normal(decode(encode(value))) == normal(value)


@unhurried
@given(values)
def test_bytes_are_those_that_the_format_names(value: object) -> None:
    assert encode(value) == by_the_format.payload(value)


@pytest.mark.parametrize("value", INTEGERS)
def test_integers_take_the_shortest_form(value: int) -> None:
    assert encode(value) == msgpack.packb(value)
    assert decode(encode(value)) == value


@pytest.mark.parametrize("length", [0, 15, 16, 31, 32, 255, 256, 65535, 65536])
@pytest.mark.parametrize(
    "make",
    ["a".__mul__, b"a".__mul__, [None].__mul__, lambda length: {f"{i:05}": None for i in range(length)}, lambda length: {"k" * length: 0}],
)
def test_headers_take_the_shortest_form(make: Any, length: int) -> None:
    value = make(length)
    assert encode(value) == msgpack.packb(value)
    assert decode(encode(value)) == value


@pytest.mark.parametrize("length", [*range(20), 249, 250, 255, 65529, 65530, 65535])
def test_a_tensor_takes_the_shortest_ext_header(length: int) -> None:
    tensor = np.arange(length, dtype="u1")
    assert encode(tensor) == by_the_format.payload(tensor)
    assert normal(decode(encode(tensor))) == normal(tensor)


@unhurried
@given(st.data())
def test_whatever_is_accepted_is_canonical(data: st.DataObject) -> None:
    """Bytes changed at random are refused, or are themselves what their value is written as."""
    good = bytearray(encode(data.draw(values)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(good)))
        good[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        value = decode(bytes(good))
    except RecordError:
        return
    assert encode(value) == bytes(good)


@unhurried
@given(st.dictionaries(texts, st.integers(0, 9), max_size=9).flatmap(lambda value: st.permutations(list(value.items()))))
def test_the_order_of_keys_does_not_matter(pairs: list[tuple[str, int]]) -> None:
    assert encode(dict(pairs)) == encode(dict(reversed(pairs)))
    assert list(decode(encode(dict(pairs)))) == sorted(dict(pairs), key=str.encode)  # type: ignore[arg-type]


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "big-endian": lambda array: array.astype(">f4"),
    "Fortran order": np.asfortranarray,
    "every other": lambda array: np.repeat(array, 2, axis=1)[:, ::2],
    "backwards": lambda array: array[::-1].copy()[::-1],
    "read-only": lambda array: np.frombuffer(array.tobytes(), "f4").reshape(array.shape),
    "unaligned": lambda array: np.frombuffer(b"x" + array.tobytes(), "f4", offset=1).reshape(array.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_in_memory_does_not_matter(layout: str) -> None:
    array = np.arange(12, dtype="f4").reshape(3, 4)
    assert encode(LAYOUTS[layout](array)) == encode(array)


class Same(str):
    """Two of these are two keys of a dict, and one key of a record."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = str.__hash__


class Colour(str, enum.Enum):  # noqa: UP042 - the kind whose str() is its name
    RED = "red"


@pytest.mark.parametrize(
    ("value", "same"),
    [
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.int8(-1), -1),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        ((1, 2), [1, 2]),
        (bytearray(b"ab"), b"ab"),
        (np.arange(2, dtype="<u2").data, b"\0\0\1\0"),
        (Colour.RED, "red"),
        ({Colour.RED: 1}, {"red": 1}),
    ],
)
def test_values_that_are_the_same_give_the_same_bytes(value: object, same: object) -> None:
    assert encode(value) == encode(same)


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (0, False), (0.0, -0.0), ("a", b"a"), (np.float32(1), np.ones((), "f4")), ([], {})])
def test_values_that_differ_give_different_bytes(one: object, other: object) -> None:
    assert encode(one) != encode(other)


CYCLE: list[object] = []
CYCLE.append(CYCLE)

REFUSED: dict[str, tuple[object, str]] = {
    "NaN": (math.nan, "expected a finite number, got nan"),
    "infinity": (np.float32(-np.inf), "expected a finite number, got -inf"),
    "too large": (2**64, "expected an integer from -2^63 to 2^64 - 1, got one above that"),
    "far too large": (-(10**5000), "expected an integer from -2^63 to 2^64 - 1, got one below that"),
    "surrogate": ("\ud800", "expected a string without surrogates"),
    "surrogate key": ({"\ud800": 1}, "expected a key without surrogates"),
    "key": ({1: 2}, "expected keys that are strings, got a key of type int"),
    "one key twice": ({Same("k"): 1, Same("k"): 2}, "expected keys that differ, got 'k' twice"),
    "object": (object(), "got an object of type object"),
    "set": ({1}, "got an object of type set"),
    "complex": (1j, "got an object of type complex"),
    "objects": (np.array([None]), "expected a tensor of dtype f2 f4 f8 i1 u1 i2 u2 i4 u4 i8 u8 bool, got a object tensor of shape (1,)"),
    "strings": (np.array(["a"]), "got a <U1 tensor"),
    "times": (np.array(["2026"], "M8[D]"), "got a datetime64[D] tensor"),
    "records": (np.zeros(1, "i4,i4"), "tensor of shape (1,)"),
    "mask": (np.ma.masked_array([1.0], [True]), "got a masked array"),
    "axes": (np.broadcast_to(np.zeros(1, "u1"), (2**16, 2**16, 0)), "expected axes whose product, without zeros, is below 4294967296"),
    "elements": (np.broadcast_to(np.zeros(1, "u1"), (2**31,)), "expected a tensor of at most 1073741824 elements, got 2147483648"),
    "4 GiB": (np.broadcast_to(np.zeros(1, "f8"), (2**29,)), "expected a tensor of less than 4294967296 bytes"),
    "gaps": (memoryview(b"abcd")[::2], "expected bytes in one piece"),
    "cycle": (CYCLE, "expected at most 16 lists and maps inside each other"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_record_cannot_hold_is_refused_with_its_path(case: str) -> None:
    value, message = REFUSED[case]
    with pytest.raises(RecordError) as caught:
        encode({"a": [value]})
    assert caught.value.where.startswith("a[0]")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("limit", "fits", "too_much"),
    [
        ("total_bytes", "a" * 9, "a" * 10),
        ("depth", [[[[[[[[[[]]]]]]]]]], [[[[[[[[[[[]]]]]]]]]]]),
        ("items", [1, {"a": [1] * 7}], [1, {"a": [1] * 8}]),
        ("elements", np.zeros((2, 5), "u1"), np.zeros(11, "u1")),
        ("elements", np.zeros((2, 5), "f8"), np.zeros(10**6, "f8")),
        ("string_bytes", "é" * 5, "é" * 5 + "a"),
        ("string_bytes", {"a" * 10: 1}, {"a" * 11: 1}),
    ],
)
def test_limits_hold_for_writers_and_readers(limit: str, fits: object, too_much: object) -> None:
    limits = Limits(**{limit: 10})
    assert normal(decode(encode(fits, limits), limits)) == normal(fits)
    for attempt in (lambda: encode(too_much, limits), lambda: decode(encode(too_much), limits)):
        with pytest.raises(RecordError, match=r"expected (a tensor of |a string of |a key of )?at most 10 "):
            attempt()


@pytest.mark.parametrize("bounds", [{"depth": 0}, {"depth": 65}, {"items": -1}, {"elements": True}, {"total_bytes": 1.5}])
def test_limits_are_positive_integers(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"limit {next(iter(bounds))}: expected"):
        Limits(**bounds)


def test_reading_copies_neither_tensors_nor_bytes() -> None:
    data = encode({"bytes": b"x" * 100, "tensor": np.arange(1000, dtype="f4")})
    value = decode(data)
    assert isinstance(value, dict) and isinstance(value["tensor"], np.ndarray) and isinstance(value["bytes"], memoryview)
    whole = np.frombuffer(data, "u1")
    assert np.shares_memory(value["tensor"], whole)
    assert np.shares_memory(np.frombuffer(value["bytes"], "u1"), whole)
    assert not value["tensor"].flags.writeable and value["bytes"].readonly
    assert decode(bytearray(b"\xc4\x01a")) == b"a"


def test_what_is_read_cannot_be_written_through() -> None:
    value = decode(bytearray(encode(np.zeros(3))))
    assert isinstance(value, np.ndarray)
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 1


def test_writing_goes_by_chunks_without_a_copy_of_a_large_tensor() -> None:
    tensor = np.zeros(5_000_001, "f4")
    tracemalloc.start()
    encoding = Encoding({"a": tensor, "b": "small", "c": np.zeros(3)})
    lengths = [len(chunk) for chunk in encoding]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(lengths) == encoding.length > tensor.nbytes
    assert max(lengths) == CHUNK_BYTES and len(lengths) == 2 + math.ceil(tensor.nbytes / CHUNK_BYTES)
    assert peak < 2 * CHUNK_BYTES
    assert b"".join(encoding) == encode({"a": tensor, "b": "small", "c": np.zeros(3)}), "a second iteration gives the same"


def test_the_default_limits_are_those_of_the_format() -> None:
    assert Limits(total_bytes=2**32, depth=16, items=1_000_000, elements=2**30, string_bytes=2**20) == LIMITS
