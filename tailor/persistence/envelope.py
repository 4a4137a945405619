"""The envelope of a record: magic, layout, length, payload, SHA-256 (``FORMAT.md`` section 1)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from .encode import Chunk, Encoding
from .errors import RecordError, RecordVersionError
from .limits import LIMITS, Limits

MAGIC = b"\x89tailor\r\n\x1a\n"
LAYOUT = 1
HEAD_BYTES = len(MAGIC) + 1 + 8
TAIL_BYTES = 32


def seal(payload: Encoding) -> Iterator[Chunk]:
    """A record's file in chunks; every byte of the payload is read once."""
    digest = hashlib.sha256()
    yield MAGIC + bytes((LAYOUT,)) + payload.length.to_bytes(8, "little")
    for chunk in payload:
        digest.update(chunk)
        yield chunk
    yield digest.digest()


def record_hash(payload: Encoding) -> str:
    """SHA-256 of the payload in lower-case hex: equal content, equal hash."""
    digest = hashlib.sha256()
    for chunk in payload:
        digest.update(chunk)
    return digest.hexdigest()


def check_head(head: bytes | memoryview, size: int, limits: Limits = LIMITS) -> None:
    """Checks what can be told from a file's first 20 bytes and its size, so that nothing else is read in vain.

    Raises ``RecordError``, ``RecordVersionError`` where the layout is not known.
    """
    magic = bytes(head[: len(MAGIC)])
    if not MAGIC.startswith(magic) or not magic:
        got = "the magic after a transfer in text mode" if magic.startswith(b"\x89tailor") else f"{magic[:8].hex(' ')} ..."
        raise RecordError("magic", "a tailor record", got if magic else "an empty file")
    if len(head) > len(MAGIC) and head[len(MAGIC)] != LAYOUT:
        raise RecordVersionError("layout", f"version {LAYOUT}", f"version {head[len(MAGIC)]}, which this tailor does not know")
    if len(head) < HEAD_BYTES:
        raise RecordError("size", f"at least {HEAD_BYTES + TAIL_BYTES} bytes", f"{size}: truncated")
    length = int.from_bytes(head[len(MAGIC) + 1 : HEAD_BYTES], "little")
    expected = length + HEAD_BYTES + TAIL_BYTES
    if size != expected:
        raise RecordError("size", f"{expected} bytes, as the header says", f"{size}: {'truncated' if size < expected else 'too long'}")
    if length > limits.total_bytes:
        raise RecordError("size", f"at most {limits.total_bytes} bytes of payload", str(length))


def unseal(data: bytes | bytearray | memoryview, limits: Limits = LIMITS) -> memoryview:
    """The payload inside a whole record, checked: a read-only view of ``data``.

    Raises ``RecordError`` that says what is damaged, ``RecordVersionError`` where the layout is not known.
    """
    view = memoryview(data).toreadonly().cast("B")
    check_head(view[:HEAD_BYTES], len(view), limits)
    payload = view[HEAD_BYTES:-TAIL_BYTES]
    written, found = bytes(view[-TAIL_BYTES:]).hex(), hashlib.sha256(payload).hexdigest()
    if written != found:
        raise RecordError("SHA-256", f"{written}, as the file says", f"{found}: damaged")
    return payload
