"""The envelope of a record: magic, layout, length, payload, SHA-256 (``FORMAT.md`` section 1)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from ..errors import RecordError, RecordVersionError
from .encode import Chunk, Encoding
from .hashing import Hashing
from .limits import LIMITS, Limits
from .segments import HEADER, compressed, most_segments, walk

MAGIC = b"\x89tailor\r\n\x1a\n"
PLAIN, SEGMENTED = 1, 2
HEAD_BYTES = len(MAGIC) + 1 + 8
TAIL_BYTES = 32


def sealed_size(payload: Encoding) -> int:
    """Bytes of a record's file in layout 1."""
    return HEAD_BYTES + payload.length + TAIL_BYTES


def seal(payload: Encoding, known: bytes | None = None) -> Iterator[Chunk]:
    """A record's file in chunks, in layout 1; every byte of the payload is read once.

    Where its SHA-256 is ``known`` it is not made again, unless files are part of it: ``RecordError`` where one changed in between.
    """
    yield _head(PLAIN, payload)
    trusted = known is not None and not payload.reads_files
    with Hashing(payload.length) as hashing:
        for chunk in payload:
            if not trusted:
                hashing.update(chunk)
            yield chunk
        yield known if known is not None and trusted else _same(hashing.digest(), known)


def seal_compressed(payload: Encoding, known: bytes) -> Iterator[Chunk]:
    """The same in layout 2; ``known`` is the payload's SHA-256."""
    with Hashing(payload.length) as stored, Hashing(payload.length) as plain:
        head = _head(SEGMENTED, payload)
        stored.update(head)
        yield head
        for chunk in compressed(payload, plain.update):
            stored.update(chunk)
            yield chunk
        stored.update(_same(plain.digest(), known))
        yield known
        yield stored.digest()


def record_hash(payload: Encoding) -> bytes:
    """SHA-256 of the payload: equal content, equal hash."""
    with Hashing(payload.length) as hashing:
        for chunk in payload:
            hashing.update(chunk)
        return hashing.digest()


def check_head(head: bytes | memoryview, size: int, limits: Limits = LIMITS) -> tuple[int, int]:
    """The layout and the payload's length, by a file's first 20 bytes and its size, so that nothing else is read in vain.

    Raises ``RecordError``, ``RecordVersionError`` where the layout is not known.
    """
    magic = bytes(head[: len(MAGIC)])
    if not MAGIC.startswith(magic) or not magic:
        got = "the magic after a transfer in text mode" if magic.startswith(b"\x89tailor") else f"{magic[:8].hex(' ')} ..."
        raise RecordError("magic", "a tailor record", got if magic else "an empty file")
    layout = head[len(MAGIC)] if len(head) > len(MAGIC) else PLAIN
    if layout not in (PLAIN, SEGMENTED):
        raise RecordVersionError("layout", f"version {PLAIN} or {SEGMENTED}", f"version {layout}, which this tailor does not know")
    if len(head) < HEAD_BYTES:
        raise RecordError("size", f"at least {HEAD_BYTES + TAIL_BYTES} bytes", f"{size}: truncated")
    length = int.from_bytes(head[len(MAGIC) + 1 : HEAD_BYTES], "little")
    if layout == PLAIN:
        expected = length + HEAD_BYTES + TAIL_BYTES
        if size != expected:
            raise RecordError("size", f"{expected} bytes, as the header says", f"{size}: {'truncated' if size < expected else 'too long'}")
    else:
        least, most = HEAD_BYTES + 2 * TAIL_BYTES, HEAD_BYTES + length + HEADER.size * most_segments(length) + 2 * TAIL_BYTES
        if not least <= size <= most:
            raise RecordError("size", f"{least} to {most} bytes", f"{size}: {'truncated' if size < least else 'too long'}")
    if length > limits.total_bytes:
        raise RecordError("size", f"at most {limits.total_bytes} bytes of payload", str(length))
    return layout, length


def unseal(data: bytes | bytearray | memoryview, limits: Limits = LIMITS) -> tuple[memoryview, str]:
    """The payload inside a whole record, checked, and its hash. Of layout 1 it is a read-only view of ``data``.

    Raises ``RecordError`` that says what is damaged, ``RecordVersionError`` where the layout is not known.
    """
    view = memoryview(data).toreadonly().cast("B")
    layout, length = check_head(view[:HEAD_BYTES], len(view), limits)
    if layout == PLAIN:
        payload, found = view[HEAD_BYTES:-TAIL_BYTES], bytes(view[-TAIL_BYTES:])
    else:
        check_sum(hashlib.sha256(view[:-TAIL_BYTES]).digest(), view[-TAIL_BYTES:])
        payload, found = _expanded(view, length), bytes(view[-2 * TAIL_BYTES : -TAIL_BYTES])
    check_sum(hashlib.sha256(payload).digest(), found)
    return payload, found.hex()


def check_sum(found: bytes, written: Chunk) -> None:
    """Raises ``RecordError`` where a SHA-256 is not the one that the file says."""
    if found != written:
        raise RecordError("SHA-256", f"{bytes(written).hex()}, as the file says", f"{found.hex()}: damaged")


def _expanded(view: memoryview, length: int) -> memoryview:
    """The payload of a file in layout 2. All headers are looked at before memory is reserved."""
    segments = list(walk(lambda at, count: view[at : at + count], HEAD_BYTES, len(view) - 2 * TAIL_BYTES, length))
    payload, at = np.empty(length, np.uint8).data, 0
    for segment in segments:
        payload[at : at + segment.length] = segment.expand(view[segment.start : segment.start + segment.stored])
        at += segment.length
    return payload.toreadonly()


def _head(layout: int, payload: Encoding) -> bytes:
    return MAGIC + bytes((layout,)) + payload.length.to_bytes(8, "little")


def _same(found: bytes, known: bytes | None) -> bytes:
    if known is not None and found != known:
        raise RecordError("the record", f"content with SHA-256 {known.hex()}, as at first", f"{found.hex()}: a file changed in between")
    return found
