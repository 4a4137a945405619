"""Quantised weights: whole numbers of 1 to 8 bits, made floats by a scale and a bias or by a table.

Source: ``QuantizationParams`` in the format's ``NeuralNetwork.proto``. Numbers lie bit after bit, the highest bit first,
and cross byte boundaries; the last byte is filled with zeros.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MLFormatError
from .floats import read_floats
from .schema.weights_pb2 import LinearQuantizationParams, WeightParams

_BLOCK = 1 << 19  # numbers unpacked at a time; a multiple of 8, so that every block begins at a byte


def dequantized(message: WeightParams, shape: tuple[int, ...], who: str, channel_axis: int) -> NDArray[Any]:
    """The ``rawValue`` or ``int8RawValue`` of ``message`` as float32 numbers of ``shape``; raises ``MLFormatError``, naming ``who``."""
    quantization = message.quantization
    kind = quantization.WhichOneof("QuantizationType")
    if message.int8RawValue:
        if kind != "linearQuantization":
            raise MLFormatError(f"{who}: expected linear quantisation of int8 numbers, got {kind or 'none'}")
        signed = np.frombuffer(_exact(message.int8RawValue, shape, 8, who), np.int8).reshape(shape)
        return _linear(signed, quantization.linearQuantization, who, None)
    bits = quantization.numberOfBits
    if not 1 <= bits <= 8:
        raise MLFormatError(f"{who}: expected quantised numbers of 1 to 8 bits, got {bits}")
    numbers = unpacked(_exact(message.rawValue, shape, bits, who), bits, prod(shape)).reshape(shape)
    if kind == "linearQuantization":
        return _linear(numbers, quantization.linearQuantization, who, channel_axis)
    if kind == "lookupTableQuantization":
        table = read_floats(quantization.lookupTableQuantization, "floatValue", f"{who} table")
        if table.size != 1 << bits:
            raise MLFormatError(f"{who}: expected a table of {1 << bits} values for {bits} bits, got {table.size}")
        return table[numbers]
    raise MLFormatError(f"{who}: expected linear or table quantisation of its raw numbers, got none")


def unpacked(raw: bytes, bits: int, count: int) -> NDArray[np.uint8]:
    """The first ``count`` numbers of ``bits`` bits (1 to 8) in ``raw``, as uint8 ``[count]``."""
    packed = np.frombuffer(raw, np.uint8)
    if bits == 8:
        return packed[:count]
    numbers = np.empty(count, np.uint8)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        block = np.unpackbits(packed[start * bits // 8 : -(-(start + size) * bits // 8)], count=size * bits)
        spread = np.zeros((size, 8), np.uint8)
        spread[:, 8 - bits :] = block.reshape(size, bits)
        numbers[start : start + size] = np.packbits(spread)
    return numbers


def _linear(numbers: NDArray[Any], linear: LinearQuantizationParams, who: str, channel_axis: int | None) -> NDArray[Any]:
    """``numbers * scale + bias``, with one scale for all or one a channel."""
    scale, bias = (read_floats(linear, field, f"{who} {field}") for field in ("scale", "bias"))
    channels = numbers.shape[channel_axis] if channel_axis is not None and numbers.ndim else 1
    if scale.size not in (1, channels):
        raise MLFormatError(f"{who}: expected 1{f' or {channels}' if channels > 1 else ''} quantisation scales, got {scale.size}")
    if bias.size not in (0, scale.size):
        raise MLFormatError(f"{who}: expected no quantisation bias or {scale.size}, got {bias.size}")
    along = [1] * numbers.ndim
    if scale.size > 1 and channel_axis is not None:
        along[channel_axis] = scale.size
    values: NDArray[Any] = numbers.astype(np.float32)
    values *= scale.reshape(along)
    if bias.size:
        values += bias.reshape(along)
    return values


def _exact(raw: bytes, shape: tuple[int, ...], bits: int, who: str) -> bytes:
    expected = -(-prod(shape) * bits // 8)
    if len(raw) != expected:
        raise MLFormatError(f"{who}: expected {expected} bytes of {bits}-bit numbers for shape {list(shape)}, got {len(raw)}")
    return raw
