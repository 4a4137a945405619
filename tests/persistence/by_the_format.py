"""A reader and a writer made from FORMAT.md alone, with msgpack, NumPy and zstandard: what other languages would have."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import Any

import msgpack
import numpy as np
import zstandard

MAGIC = bytes.fromhex("89 74 61 69 6C 6F 72 0D 0A 1A 0A")
DTYPES = dict(enumerate(["<f2", "<f4", "<f8", "<i1", "<u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "|b1"], start=1))


def read(data: bytes) -> dict[str, Any]:
    value = msgpack.unpackb(unsealed(data), ext_hook=tensor)
    assert isinstance(value, dict)
    return value


def unsealed(data: bytes) -> bytes:
    assert data[:11] == MAGIC and data[11] in (1, 2)
    (length,) = struct.unpack("<Q", data[12:20])
    if data[11] == 1:
        assert len(data) == length + 52
        payload, digest = data[20 : 20 + length], data[20 + length :]
    else:
        assert hashlib.sha256(data[:-32]).digest() == data[-32:]
        payload, digest = b"".join(expanded(data[20:-64])), data[-64:-32]
    assert len(payload) == length and hashlib.sha256(payload).digest() == digest
    return payload


def expanded(segments: bytes) -> Iterator[bytes]:
    while segments:
        codec, width, length, count = struct.unpack("<BBII", segments[:10])
        assert 1 <= length <= 2**20 and width in (1, 2, 4, 8)
        kept, segments = segments[10 : 10 + count], segments[10 + count :]
        if codec == 0:
            assert width == 1 and count == length
            yield kept
            continue
        assert codec == 1 and count < length and zstandard.frame_content_size(kept) == length
        raw = zstandard.ZstdDecompressor().decompress(kept)
        whole = length - length % width
        rows = [raw[start : start + whole // width] for start in range(0, whole, whole // width or 1)]
        yield b"".join(bytes(element) for element in zip(*rows, strict=True)) + raw[whole:]


def restored(base: Any, change: dict[str, Any]) -> Any:
    """What a change makes of the base's value: section 3."""
    value = change["value"]
    if "as" in change:
        assert change["as"] == "f4" and value.dtype == np.dtype("<f2")
        value = value.astype("<f4")
    if change["op"] == "set":
        return value
    assert len(base) == change["count"]
    gone = set(change["removed"].tolist()) if change["op"] == "rows" else set()
    left = [place for place in range(len(base)) if place not in gone]
    return [base[place] for place in left] + value if isinstance(base, list) else np.concatenate([base[left], value])


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


def segmented(payload: bytes, cuts: list[tuple[int, int, int]]) -> bytes:
    """Layout 2, cut as ``cuts`` says: codec, width and length of each segment; the rest of the payload is one more, as it is."""
    made, at = MAGIC + b"\x02" + struct.pack("<Q", len(payload)), 0
    for codec, width, length in [*cuts, (0, 1, len(payload) - sum(cut[2] for cut in cuts))]:
        raw = kept = payload[at : at + length]
        whole = length - length % width
        if codec == 1:
            kept = zstandard.ZstdCompressor().compress(b"".join(raw[first:whole:width] for first in range(width)) + raw[whole:])
        made, at = made + struct.pack("<BBII", codec, width, length, len(kept)) + kept, at + length
    made += hashlib.sha256(payload).digest()
    return made + hashlib.sha256(made).digest()
