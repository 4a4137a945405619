"""The payload of layout 2: cut into segments, each compressed where that pays (``FORMAT.md`` section 1)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import zstandard

from ..errors import RecordError
from .encode import Chunk, Encoding

SEGMENT_BYTES = 2**20
STORED, ZSTANDARD = 0, 1
WIDTHS = (1, 2, 4, 8)
WINDOW_BYTES = 2**23
LEVEL = 3
WORTH = 16  # compressed is what saves one part in so many at least

HEADER = struct.Struct("<BBII")  # codec, width, bytes of the payload, bytes here


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment's header, and where in the file its bytes are."""

    codec: int
    width: int
    length: int
    start: int
    stored: int

    def expand(self, data: Chunk) -> Chunk:
        """The bytes of the payload that ``data`` stands for. Raises ``RecordError``."""
        if self.codec == STORED:
            return data
        where = f"segment (byte {self.start})"
        try:
            frame = zstandard.get_frame_parameters(data)
            if frame.content_size != self.length:
                found = "one that does not say" if frame.content_size == zstandard.CONTENTSIZE_UNKNOWN else str(frame.content_size)
                raise RecordError(where, f"a zstandard frame of {self.length} bytes", found)
            expander = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
            raw = expander.decompress(data, max_output_size=self.length, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise RecordError(where, "one zstandard frame", f"one that cannot be read: {error}") from None
        if len(raw) != self.length:
            raise RecordError(where, f"a zstandard frame of {self.length} bytes", str(len(raw)))
        return _joined(raw, self.width)


def compressed(payload: Encoding, plain: Callable[[Chunk], object]) -> Iterator[Chunk]:
    """The segments of a payload, whose own bytes ``plain`` is given meanwhile.

    Each is tried as it is and with the bytes of its elements apart; what saves too little is not compressed.
    """
    compressor = zstandard.ZstdCompressor(level=LEVEL)
    for chunk, width in payload.pieces():
        plain(chunk)
        tries = ((kind, compressor.compress(_apart(chunk, kind))) for kind in sorted({1, width}))
        best, frame = min(tries, key=lambda pair: len(pair[1]))
        if len(frame) <= len(chunk) - max(1, len(chunk) // WORTH):
            yield HEADER.pack(ZSTANDARD, best, len(chunk), len(frame))
            yield frame
        else:
            yield HEADER.pack(STORED, 1, len(chunk), len(chunk))
            yield chunk


def walk(read: Callable[[int, int], Chunk], begin: int, end: int, length: int) -> Iterator[Segment]:
    """The segments from ``begin`` to ``end`` of a file that stand for ``length`` bytes; ``read`` is asked for their headers only.

    Raises ``RecordError`` for the first one that cannot be, before its bytes are read or memory is reserved for what they stand for.
    """
    at, left, most = begin, length, most_segments(length)
    for _ in range(most):
        segment = segment_at(read(at, min(HEADER.size, max(0, end - at))), at, left, end)
        yield segment
        at, left = segment.start + segment.stored, left - segment.length
        if not left:
            if at != end:
                raise RecordError("size", f"{end - at} bytes less", "bytes behind the last segment: too long")
            return
    raise RecordError("segments", f"at most {most} for {length} bytes", "more")


def segment_at(header: Chunk, at: int, left: int, end: int) -> Segment:
    """The segment whose header is at byte ``at``, where ``left`` bytes of payload lack and all segments ``end``. Raises ``RecordError``."""
    if len(header) < HEADER.size:
        raise RecordError(f"segment (byte {at})", "10 bytes of header", f"{len(header)}: truncated")
    codec, width, count, stored = HEADER.unpack(header)
    fits = count == stored and width == 1 if codec == STORED else 0 < stored < count and codec == ZSTANDARD and width in WIDTHS
    if not fits or not 0 < count <= SEGMENT_BYTES:
        got = f"codec {codec}, width {width}, {count} bytes in {stored}"
        raise RecordError(f"segment (byte {at})", f"codec 0 or 1 and a length from 1 to {SEGMENT_BYTES}", got)
    if count > left:
        raise RecordError(f"segment (byte {at})", f"at most {left} bytes more of payload", str(count))
    start = at + HEADER.size
    if stored > end - start:
        raise RecordError(f"segment (byte {start})", f"{stored} bytes more", f"{max(0, end - start)}: truncated")
    return Segment(codec, width, count, start, stored)


def most_segments(length: int) -> int:
    """How many segments a payload may be cut into."""
    return 16 + length // 4096


def _apart(chunk: Chunk, width: int) -> Chunk:
    """The first bytes of all elements, then their second ones, and so on; bytes that are no whole element stay at the end."""
    if width == 1:
        return chunk
    flat = np.frombuffer(chunk, np.uint8)
    whole = len(flat) // width * width
    return flat[:whole].reshape(-1, width).T.tobytes() + flat[whole:].tobytes()


def _joined(chunk: Chunk, width: int) -> Chunk:
    """What ``_apart`` was given."""
    if width == 1:
        return chunk
    flat = np.frombuffer(chunk, np.uint8)
    whole = len(flat) // width * width
    return flat[:whole].reshape(width, -1).T.tobytes() + flat[whole:].tobytes()
