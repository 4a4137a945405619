"""Weights of layers: ``WeightParams`` in and out, as float32, float16 or quantised numbers."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MLFormatError
from .floats import narrowed, read_floats, write_floats
from .quantized import dequantized
from .schema.weights_pb2 import WeightParams

_HALF = np.dtype("<f2")
_STORAGES = ("floatValue", "float16Value", "rawValue", "int8RawValue")


def weight_storage(message: WeightParams) -> str:
    """The name of the field that holds the numbers: ``floatValue``, ``float16Value``, ``rawValue``, ``int8RawValue``; or ``""``."""
    return next(iter(_storages(message)), "")


def weight_message(params: Any, field: str) -> WeightParams:
    """The message of a layer's weight ``field``, as ops name it; ``params`` as ``LayerRecord`` has it.

    An LSTM's lie one message deeper; where there are two of those, the field ends with a number: ``inputGateBiasVector[1]``.
    """
    name, _, place = field.partition("[")
    holder = params if name in params.DESCRIPTOR.fields_by_name else params.weightParams
    found: WeightParams = getattr(holder[int(place[:-1])] if place else holder, name)
    return found


def decode_weights(message: WeightParams, shape: tuple[int, ...], who: str = "weights", channel_axis: int = 0) -> NDArray[Any]:
    """The numbers of ``message`` as a float32 array of ``shape`` (C order); **read-only** where it needs no copy.

    The shape ``(-1,)`` is a row of as many numbers as there are. ``channel_axis`` is the axis of the output channels, along
    which quantised weights may have a scale each: 0, but 1 for a deconvolution. Raises ``MLFormatError``, naming ``who``,
    where the count does not fit ``shape``, where no numbers or two kinds of them are stored, or where the quantisation is
    not as the format says.

    Source: ``WeightParams`` and ``QuantizationParams`` in the format's ``NeuralNetwork.proto``.
    """
    storages = _storages(message)
    if tuple(shape) == (-1,):
        shape = (_length(message, next(iter(storages), "")),)
    count = prod(shape)
    if len(storages) > 1:
        raise MLFormatError(f"{who}: expected one kind of numbers, got {' and '.join(storages)}")
    if not storages and count:
        raise MLFormatError(f"{who}: expected {count} numbers for shape {list(shape)}, got none")
    storage = storages[0] if storages else "floatValue"
    if storage == "floatValue":
        values = read_floats(message, "floatValue", who)
    elif storage == "float16Value":
        raw = message.float16Value
        if len(raw) % 2:
            raise MLFormatError(f"{who}: expected a whole number of float16 values, got {len(raw)} bytes")
        values = np.frombuffer(raw, _HALF).astype(np.float32)
    else:
        return dequantized(message, shape, who, channel_axis)
    if values.size != count:
        raise MLFormatError(f"{who}: expected {count} numbers for shape {list(shape)}, got {values.size}")
    return values.reshape(shape)


def encode_weights(message: WeightParams, array: object, who: str = "weights") -> None:
    """Replaces the numbers of ``message`` by ``array`` (any shape, C order), stored as they were: float16 or float32.

    Quantised numbers become float32 ones. ``isUpdatable`` stays. Raises ``MLFormatError``, naming ``who``, where a finite
    value is too large for its storage.
    """
    if weight_storage(message) == "float16Value":
        message.float16Value = narrowed(array, _HALF, who).tobytes()
        return
    write_floats(message, "floatValue", array, who)
    message.ClearField("rawValue")
    message.ClearField("int8RawValue")
    message.ClearField("quantization")


def _length(message: WeightParams, storage: str) -> int:
    """How many numbers the field ``storage`` holds; quantised ones in whole bytes."""
    if storage in ("", "floatValue"):
        return int(read_floats(message, "floatValue").size)
    size = len(getattr(message, storage))
    return size * 8 // {"float16Value": 16, "int8RawValue": 8}.get(storage, message.quantization.numberOfBits or 8)


def _storages(message: WeightParams) -> list[str]:
    """The fields that hold numbers; ``floatValue`` also where its values came unpacked and are unknown to the schema."""
    found = [field.name for field, _ in message.ListFields() if field.name in _STORAGES]
    return found or (["floatValue"] if read_floats(message, "floatValue").size else [])
