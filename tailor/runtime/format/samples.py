"""The samples of nearest neighbours, all at once: their bytes lie in the message at even distances, as long as all are of one size.

Sample by sample, protobuf's messages would take many times as long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import MLFormatError
from .floats import narrowed, read_floats, write_floats
from .schema.neighbors_pb2 import NearestNeighborsIndex
from .wire import BYTES, wire_fields

_FLOAT32 = np.dtype("<f4")


def read_samples(index: NearestNeighborsIndex, who: str) -> NDArray[np.float32]:
    """The samples, float32 ``[n, numberOfDimensions]``, a copy.

    Raises ``MLFormatError``, naming ``who`` and the sample, for one of another size.
    """
    count, dimensions = len(index.floatSamples), index.numberOfDimensions
    if count and dimensions > 0:
        header = _header(index, dimensions)
        data = index.SerializeToString()
        number = index.DESCRIPTOR.fields_by_name["floatSamples"].number
        start = next(field.start for field in wire_fields(data) if field.number == number)
        size = len(header) + 4 * dimensions
        if start + count * size <= len(data):
            runs = np.frombuffer(data, np.uint8, count * size, start).reshape(count, size)
            if (runs[:, : len(header)] == np.frombuffer(header, np.uint8)).all():
                return np.ascontiguousarray(runs[:, len(header) :]).view(_FLOAT32).astype(np.float32, copy=False)
    rows = [read_floats(sample, "vector", f"{who}: floatSamples[{place}]") for place, sample in enumerate(index.floatSamples)]
    for place, row in enumerate(rows):
        if len(row) != dimensions:
            raise MLFormatError(f"{who}: floatSamples[{place}]: expected {dimensions} numbers (numberOfDimensions), got {len(row)}")
    return np.stack(rows) if rows else np.empty((0, max(0, dimensions)), np.float32)


def append_samples(index: NearestNeighborsIndex, samples: NDArray[np.floating], who: str) -> None:
    """Puts ``samples`` ``[n, dimensions]`` behind those of ``index``. Raises ``MLFormatError`` for a number too large for float32."""
    rows = np.ascontiguousarray(narrowed(samples, _FLOAT32, who))
    count, dimensions = rows.shape
    if not dimensions:
        for row in rows:
            write_floats(index.floatSamples.add(), "vector", row, who)
        return
    header = np.frombuffer(_header(index, dimensions), np.uint8)
    runs = np.empty((count, len(header) + 4 * dimensions), np.uint8)
    runs[:, : len(header)] = header
    runs[:, len(header) :] = rows.view(np.uint8)
    index.MergeFromString(runs.tobytes())


def _header(index: NearestNeighborsIndex, dimensions: int) -> bytes:
    """What stands in front of the numbers of each sample: the tags and lengths of a sample and of its one run of numbers."""
    fields = index.DESCRIPTOR.fields_by_name["floatSamples"]
    assert fields.message_type is not None
    inner = _tag(fields.message_type.fields_by_name["vector"].number) + _varint(4 * dimensions)
    return _tag(fields.number) + _varint(len(inner) + 4 * dimensions) + inner


def _tag(number: int) -> bytes:
    return _varint(number << 3 | BYTES)


def _varint(value: int) -> bytes:
    """A whole number as protobuf writes it: seven bits a byte, the least first."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*made, value))
