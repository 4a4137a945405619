"""Weights against literals worked out by hand, struct, and coremltools' quantisation."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from tailor.runtime.errors import MLFormatError
from tailor.runtime.format import decode_weights, encode_weights, weight_storage
from tailor.runtime.format.quantized import unpacked
from tailor.runtime.format.schema.weights_pb2 import WeightParams
from tests.format.peers import coremltools


def floats(*values: float) -> list[bytes]:
    return [struct.pack(f"<{len(values)}f", *values)]


Numbers = tuple[float, ...]


def quantized(raw: bytes, bits: int, *, scale: Numbers = (), bias: Numbers = (), table: Numbers = ()) -> WeightParams:
    message = WeightParams(rawValue=raw)
    message.quantization.numberOfBits = bits
    if table:
        message.quantization.lookupTableQuantization.floatValue.extend(floats(*table))
    if scale:
        message.quantization.linearQuantization.scale.extend(floats(*scale))
        message.quantization.linearQuantization.bias.extend(floats(*bias) if bias else [])
    return message


def int8(raw: bytes, **kinds: Any) -> WeightParams:
    message = quantized(b"", 8, **kinds)
    message.int8RawValue = raw
    return message


# By hand: the bits of each byte from the highest to the lowest, cut into numbers.
BY_HAND: dict[str, tuple[WeightParams, tuple[int, ...], int, list[Any]]] = {
    "float32": (WeightParams(floatValue=floats(1.0, -2.5, 0.25, 8.0)), (2, 2), 0, [[1.0, -2.5], [0.25, 8.0]]),
    "float16": (WeightParams(float16Value=b"\x00\x3c\x00\xc1\x00\x7c"), (3,), 0, [1.0, -2.5, float("inf")]),
    "empty": (WeightParams(), (0, 4), 0, []),
    # 0b10110000 -> 1, 0, 1, 1
    "1 bit, table": (quantized(b"\xb0", 1, table=(-1.0, 1.0)), (4,), 0, [1.0, -1.0, 1.0, 1.0]),
    # 0b00011011 -> 0, 1, 2, 3
    "2 bits, linear": (quantized(b"\x1b", 2, scale=(0.5,), bias=(-1.0,)), (2, 2), 0, [[-1.0, -0.5], [0.0, 0.5]]),
    # 0b00101001 0b11000000 -> 001, 010, 011, 1|00 -> 1, 2, 3, 4
    "3 bits across bytes": (quantized(b"\x29\xc0", 3, scale=(1.0,)), (4,), 0, [1.0, 2.0, 3.0, 4.0]),
    "4 bits, a scale a row": (quantized(b"\x12\x34", 4, scale=(1.0, 10.0), bias=(0.0, 1.0)), (2, 2), 0, [[1.0, 2.0], [31.0, 41.0]]),
    "4 bits, a scale a column": (quantized(b"\x12\x34", 4, scale=(1.0, 10.0), bias=(0.0, 1.0)), (2, 2), 1, [[1.0, 21.0], [3.0, 41.0]]),
    # 0b11111000 0b01000000 -> 11111, 00001, 000000 -> 31, 1
    "5 bits": (quantized(b"\xf8\x40", 5, scale=(2.0,)), (2,), 0, [62.0, 2.0]),
    "8 bits": (quantized(b"\x00\x80\xff", 8, scale=(0.5,), bias=(1.0,)), (3,), 0, [1.0, 65.0, 128.5]),
    "int8": (int8(b"\x00\x7f\x80\xff", scale=(0.25,)), (4,), 0, [0.0, 31.75, -32.0, -0.25]),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_numbers_are_those_worked_out_by_hand(case: str) -> None:
    message, shape, axis, expected = BY_HAND[case]
    found = decode_weights(message, shape, "layer.weights", axis)
    assert found.dtype == np.float32
    assert found.shape == shape
    assert found.tolist() == expected


@pytest.mark.parametrize("bits", range(1, 9))
def test_unpacking_agrees_with_a_string_of_bits_across_blocks(bits: int) -> None:
    count = (1 << 19) + 13
    raw = np.random.default_rng(bits).integers(0, 256, -(-count * bits // 8), np.uint8).tobytes()
    found = unpacked(raw, bits, count)
    text = "".join(f"{byte:08b}" for byte in raw)
    for index in [*range(40), *range((1 << 19) - 3, count)]:
        assert found[index] == int(text[index * bits : (index + 1) * bits], 2)


@pytest.mark.parametrize("bits", [1, 3, 4, 8])
@pytest.mark.parametrize(("mode", "axis"), [("LINEAR_QUANTIZATION", 0), ("LINEAR_QUANTIZATION", 1), ("LOOKUP_TABLE_LINEAR", 0)])
def test_quantised_by_coremltools_reads_as_coremltools_reads_it(bits: int, mode: str, axis: int) -> None:
    models, proto = coremltools().models, coremltools().proto
    utils = models.neural_network.quantization_utils
    theirs = proto.NeuralNetwork_pb2.WeightParams()
    values = np.random.default_rng(bits).normal(size=(6, 5, 2, 3)).astype(np.float32)
    theirs.floatValue.extend(values.ravel())
    utils._quantize_wp_field(theirs, bits, getattr(models, f"_QUANTIZATION_MODE_{mode}"), values.shape, axis)
    ours = decode_weights(WeightParams.FromString(theirs.SerializeToString()), values.shape, "weights", axis)
    utils._dequantize_wp(theirs, values.shape, axis)
    np.testing.assert_allclose(ours.ravel(), np.array(theirs.floatValue), rtol=1e-6, atol=1e-6)


REFUSED: dict[str, tuple[WeightParams, tuple[int, ...], str]] = {
    "none": (WeightParams(), (2, 2), r"expected 4 numbers for shape \[2, 2\], got none"),
    "too few": (WeightParams(floatValue=floats(1.0)), (2, 2), r"expected 4 numbers for shape \[2, 2\], got 1"),
    "too many float16": (WeightParams(float16Value=bytes(6)), (2,), r"expected 2 numbers for shape \[2\], got 3"),
    "half a float16": (WeightParams(float16Value=b"abc"), (1,), "whole number of float16 values, got 3 bytes"),
    "half a float32": (WeightParams(floatValue=[b"abc"]), (1,), "whole number of float32 values, got 3 bytes"),
    "two kinds": (WeightParams(floatValue=floats(1.0), float16Value=b"ab"), (1,), "one kind of numbers, got floatValue and float16Value"),
    "raw alone": (WeightParams(rawValue=b"a"), (1,), "1 to 8 bits, got 0"),
    "9 bits": (quantized(b"ab", 9, scale=(1.0,)), (1,), "1 to 8 bits, got 9"),
    "no manner": (quantized(b"a", 8), (1,), "linear or table quantisation of its raw numbers, got none"),
    "too few bytes": (quantized(b"a", 4, scale=(1.0,)), (3,), r"expected 2 bytes of 4-bit numbers for shape \[3\], got 1"),
    "too many bytes": (quantized(b"abc", 4, scale=(1.0,)), (3,), r"expected 2 bytes of 4-bit numbers for shape \[3\], got 3"),
    "table": (quantized(b"a", 4, table=(1.0, 2.0)), (2,), "table of 16 values for 4 bits, got 2"),
    "scales": (quantized(b"abcd", 8, scale=(1.0, 2.0, 3.0)), (2, 2), "expected 1 or 2 quantisation scales, got 3"),
    "biases": (quantized(b"abcd", 8, scale=(1.0, 2.0), bias=(1.0,)), (2, 2), "no quantisation bias or 2, got 1"),
    "int8 by table": (int8(b"a", table=(1.0, 2.0)), (1,), "linear quantisation of int8 numbers, got lookupTableQuantization"),
    "int8 scales": (int8(b"ab", scale=(1.0, 2.0)), (2,), "expected 1 quantisation scales, got 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_and_names_the_layer(case: str) -> None:
    message, shape, expected = REFUSED[case]
    with pytest.raises(MLFormatError, match=rf"dense\.weights( table| scale)?: .*{expected}"):
        decode_weights(message, shape, "dense.weights")


def test_values_that_came_unpacked_are_weights_too() -> None:
    message = WeightParams.FromString(b"\x0d" + struct.pack("<f", 1.5) + b"\x0d" + struct.pack("<f", -3.0))
    assert weight_storage(message) == "floatValue"
    assert decode_weights(message, (2,)).tolist() == [1.5, -3.0]
    encode_weights(message, [4.0])
    assert message == WeightParams(floatValue=floats(4.0))


STORED: dict[str, tuple[WeightParams, WeightParams]] = {
    "float32": (WeightParams(floatValue=floats(9.0)), WeightParams(floatValue=floats(1.5, -2.0))),
    "float16": (WeightParams(float16Value=b"ab"), WeightParams(float16Value=b"\x00\x3e\x00\xc0")),
    "nothing": (WeightParams(), WeightParams(floatValue=floats(1.5, -2.0))),
    "quantised": (quantized(b"a", 8, scale=(1.0,)), WeightParams(floatValue=floats(1.5, -2.0))),
}


@pytest.mark.parametrize("updatable", [False, True])
@pytest.mark.parametrize("case", STORED)
def test_new_numbers_are_stored_as_the_old_ones_were(case: str, updatable: bool) -> None:
    message, expected = WeightParams(), WeightParams()
    message.CopyFrom(STORED[case][0])
    expected.CopyFrom(STORED[case][1])
    message.isUpdatable = expected.isUpdatable = updatable
    encode_weights(message, np.array([[1.5], [-2.0]]))
    assert message == expected
    assert decode_weights(message, (2, 1)).tolist() == [[1.5], [-2.0]]


def test_a_number_too_large_for_its_storage_is_refused_and_changes_nothing() -> None:
    message = WeightParams(float16Value=b"\x00\x3c")
    with pytest.raises(MLFormatError, match=r"dense\.weights: expected values that fit float16, got 70000"):
        encode_weights(message, [70000.0], "dense.weights")
    assert message == WeightParams(float16Value=b"\x00\x3c")
