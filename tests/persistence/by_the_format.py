"""A reader and a writer made from FORMAT.md alone, with msgpack and NumPy: what other languages would have."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import msgpack
import numpy as np

MAGIC = bytes.fromhex("89 74 61 69 6C 6F 72 0D 0A 1A 0A")
DTYPES = dict(enumerate(["<f2", "<f4", "<f8", "<i1", "<u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "|b1"], start=1))


def read(data: bytes) -> dict[str, Any]:
    assert data[:11] == MAGIC and data[11] == 1
    (length,) = struct.unpack("<Q", data[12:20])
    assert len(data) == length + 52
    payload = data[20 : 20 + length]
    assert hashlib.sha256(payload).digest() == data[20 + length :]
    value = msgpack.unpackb(payload, ext_hook=tensor)
    assert isinstance(value, dict)
    return value


def tensor(kind: int, data: bytes) -> Any:
    assert kind == 1
    dtype, rank = DTYPES[data[0]], data[1]
    shape = struct.unpack(f"<{rank}I", data[2 : 2 + 4 * rank])
    return np.frombuffer(data[2 + 4 * rank :], dtype).reshape(shape)


def payload(value: object) -> bytes:
    def canonical(value: object) -> object:
        if isinstance(value, np.ndarray):
            code = next(code for code, dtype in DTYPES.items() if np.dtype(dtype) == value.dtype.newbyteorder("<"))
            raw = value.astype(DTYPES[code]).tobytes(order="C")
            return msgpack.ExtType(1, struct.pack(f"<BB{value.ndim}I", code, value.ndim, *value.shape) + raw)
        if isinstance(value, dict):
            return {key: canonical(value[key]) for key in sorted(value, key=lambda key: key.encode())}
        if isinstance(value, list):
            return [canonical(item) for item in value]
        return value

    packed = msgpack.packb(canonical(value))
    assert isinstance(packed, bytes)
    return packed


def sealed(payload: bytes) -> bytes:
    return MAGIC + b"\x01" + struct.pack("<Q", len(payload)) + payload + hashlib.sha256(payload).digest()
