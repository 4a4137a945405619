"""Lists of floats in and out of messages without boxing a single one.

The schema declares every ``repeated float`` and ``repeated double`` of the format as ``repeated bytes``: a packed list has
the same wire type. Each chunk is little-endian IEEE 754, C order. Reading is a view of the bytes, writing one copy.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from numpy.typing import DTypeLike, NDArray

from ..errors import MLFormatError
from .wire import BYTES, FIXED32, FIXED64, wire_fields

_PACKAGE = "tailor.coreml."
_FLOAT32 = np.dtype("<f4")
_FLOAT64 = np.dtype("<f8")

FLOAT_FIELDS: dict[str, np.dtype[Any]] = {
    "FloatVector.vector": _FLOAT32,
    "LinearQuantizationParams.scale": _FLOAT32,
    "LinearQuantizationParams.bias": _FLOAT32,
    "LookUpTableQuantizationParams.floatValue": _FLOAT32,
    "MILSpec.TensorValue.RepeatedFloats.values": _FLOAT32,
    "NeuralNetworkMeanImage.meanImage": _FLOAT32,
    "UpsampleLayerParams.fractionalScalingFactor": _FLOAT32,
    "WeightParams.floatValue": _FLOAT32,
    "Coefficients.alpha": _FLOAT64,
    "DenseVector.values": _FLOAT64,
    "DoubleVector.vector": _FLOAT64,
    "GLMClassifier.offset": _FLOAT64,
    "GLMClassifier.DoubleArray.value": _FLOAT64,
    "GLMRegressor.offset": _FLOAT64,
    "GLMRegressor.DoubleArray.value": _FLOAT64,
    "MILSpec.TensorValue.RepeatedDoubles.values": _FLOAT64,
    "Scaler.shiftValue": _FLOAT64,
    "Scaler.scaleValue": _FLOAT64,
    "SupportVectorClassifier.rho": _FLOAT64,
    "SupportVectorClassifier.probA": _FLOAT64,
    "SupportVectorClassifier.probB": _FLOAT64,
    "TreeEnsembleParameters.basePredictionValue": _FLOAT64,
}
"""Every field that holds a list of floats, and what its bytes are."""


def read_floats(message: Message, field: str, who: str = "") -> NDArray[Any]:
    """The list ``field`` of ``message`` as a 1-D float32 or float64 array, as the format says; **read-only** where it needs no copy.

    Values that a writer put unpacked are found too. Raises ``MLFormatError``, naming ``who`` (default: the field), where
    the bytes are not a whole number of values; ``KeyError`` where ``field`` is not a list of floats.
    """
    name = _name(message, field)
    who = who or name
    dtype = FLOAT_FIELDS[name]
    chunks: list[bytes] = list(getattr(message, field))
    loose = _unpacked(message, field, dtype)
    if loose and chunks:
        raise MLFormatError(f"{who}: expected a list of floats in one manner, got packed and unpacked values, whose order is unknown")
    raw = loose or (chunks[0] if len(chunks) == 1 else b"".join(chunks))
    if len(raw) % dtype.itemsize:
        raise MLFormatError(f"{who}: expected a whole number of {dtype.name} values, got {len(raw)} bytes")
    return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="), copy=False)


def write_floats(message: Message, field: str, values: object, who: str = "") -> None:
    """Replaces the list ``field`` of ``message`` by ``values`` (array-like, flattened in C order), as the format's float type.

    Raises ``MLFormatError``, naming ``who`` (default: the field), where a finite value is too large for that type;
    ``KeyError`` where ``field`` is not a list of floats.
    """
    name = _name(message, field)
    dtype = FLOAT_FIELDS[name]
    raw = narrowed(values, dtype, who or name).tobytes()
    if _unpacked(message, field, dtype):
        _remove(message, message.DESCRIPTOR.fields_by_name[field].number)
    chunks = getattr(message, field)
    del chunks[:]
    if raw:
        chunks.append(raw)


def narrowed(values: object, dtype: DTypeLike, who: str) -> NDArray[Any]:
    """``values`` as ``dtype``; raises ``MLFormatError`` where a finite value becomes infinite."""
    wide = np.asarray(values)
    with np.errstate(over="ignore"):
        narrow = wide.astype(dtype, copy=False)
    if wide.dtype.kind == "f" and wide.dtype.itemsize > narrow.dtype.itemsize:
        lost = np.isinf(narrow) & np.isfinite(wide)
        if lost.any():
            raise MLFormatError(f"{who}: expected values that fit {narrow.dtype.name}, got {wide[lost].flat[0]:g}")
    return narrow


def unknown_fields(message: Message) -> list[tuple[int, int, Any]]:
    """The fields of ``message`` (not of those inside it) that the schema does not know, or not in that wire type:
    number, wire type and value."""
    unknown = UnknownFieldSet(message)
    rows = (unknown[index] for index in range(len(unknown)))
    return [(row.field_number, row.wire_type, row.data) for row in rows]


def _name(message: Message, field: str) -> str:
    return f"{message.DESCRIPTOR.full_name.removeprefix(_PACKAGE)}.{field}"


def _unpacked(message: Message, field: str, dtype: np.dtype[Any]) -> bytes:
    """The values that came one by one: the schema expects bytes there, so they are among the unknown fields."""
    wanted = message.DESCRIPTOR.fields_by_name[field].number, FIXED32 if dtype.itemsize == 4 else FIXED64
    code = "<I" if dtype.itemsize == 4 else "<Q"
    return b"".join(struct.pack(code, data) for number, wire_type, data in unknown_fields(message) if (number, wire_type) == wanted)


def _remove(message: Message, number: int) -> None:
    """Takes every unpacked value of field ``number`` out of ``message``; protobuf can only drop all unknown fields at once."""
    data = message.SerializeToString()
    kept = [data[row.start : row.end] for row in wire_fields(data) if row.number != number or row.wire_type == BYTES]
    message.ParseFromString(b"".join(kept))
