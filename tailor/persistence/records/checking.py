"""Is a record's file whole and undamaged, and what kind of record is it: told from its bytes as they come, in little memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import cast

import msgpack

from ..errors import RecordError, brief
from .decode_small import decode_small
from .encode import Chunk
from .envelope import HEAD_BYTES, PLAIN, TAIL_BYTES, check_head, check_sum
from .limits import LIMITS, Limits
from .record import from_value
from .segments import HEADER, Segment, most_segments, segment_at
from .version import Version

PEEK_BYTES = 2**9
"""Every kind of record says by then what it is: its keys are in order, and ``base``, ``format`` and ``kind`` the first."""

VERSION_BYTES = 2**20
"""More than any version or head has."""


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """What is in a file that is undamaged. ``model`` is the hash of the model that a delta is against, ``version`` a version's record."""

    hash: str
    kind: str
    model: str | None
    version: Version | None


class RecordCheck:
    """Checks the file of a record of ``size`` bytes, chunk by chunk: the envelope, every SHA-256, and its kind.

    A version is checked as such; the values of a snapshot are not decoded, so that no more than a few MiB are in memory.
    ``update`` and ``finish`` raise ``RecordError`` as soon as something is wrong, ``RecordVersionError`` for a layout that is not known.
    """

    def __init__(self, size: int, limits: Limits = LIMITS) -> None:
        self._size = size
        self._limits = limits
        self._at = 0  # bytes of the file that were understood
        self._waiting = bytearray()  # those that were given and not understood yet
        self._layout = 0
        self._length = 0  # of the payload
        self._payload = 0  # bytes of it so far
        self._segment: Segment | None = None
        self._segments = 0
        self._plain, self._stored = hashlib.sha256(), hashlib.sha256()
        self._kept = bytearray()

    def update(self, chunk: Chunk) -> None:
        """Takes the next bytes."""
        self._waiting += chunk
        if self._at + len(self._waiting) > self._size:
            raise RecordError("size", f"{self._size} bytes", "more")
        while count := self._understand():
            if self._layout != PLAIN:
                self._stored.update(self._waiting[:count])
            del self._waiting[:count]
            self._at += count

    def finish(self) -> CheckedRecord:
        """What it was, once every byte was given."""
        if not self._layout:
            check_head(bytes(self._waiting), len(self._waiting), self._limits)
        tail = TAIL_BYTES if self._layout == PLAIN else 2 * TAIL_BYTES
        if self._payload < self._length or len(self._waiting) < tail:
            raise RecordError("size", f"{self._size} bytes", f"{self._at + len(self._waiting)}: truncated")
        if len(self._waiting) > tail:
            raise RecordError("size", f"{len(self._waiting) - tail} bytes less", "bytes behind the payload: too long")
        digest = bytes(self._waiting[:TAIL_BYTES])
        if self._layout != PLAIN:
            self._stored.update(digest)
            check_sum(self._stored.digest(), bytes(self._waiting[TAIL_BYTES:]))
        check_sum(self._plain.digest(), digest)
        kind, model = _peek(bytes(self._kept[:PEEK_BYTES]))
        version = None
        if kind == "version":
            if self._length > VERSION_BYTES:
                raise RecordError("size", f"a version of at most {VERSION_BYTES} bytes", str(self._length))
            version = cast(Version, from_value(decode_small(bytes(self._kept), self._limits)))
        return CheckedRecord(digest.hex(), kind, model, version)

    def _understand(self) -> int:
        """Takes the next piece, if all of it is there; how many bytes of the file it was."""
        if not self._layout:
            if len(self._waiting) < HEAD_BYTES:
                return 0
            self._layout, self._length = check_head(bytes(self._waiting[:HEAD_BYTES]), self._size, self._limits)
            return HEAD_BYTES
        left = self._length - self._payload
        if self._layout == PLAIN or not left:
            with memoryview(self._waiting) as waiting:
                piece = bytes(waiting[:left])
            self._take(piece)
            return len(piece)
        end = self._size - 2 * TAIL_BYTES
        if self._segment is None:
            header = bytes(self._waiting[: min(HEADER.size, max(0, end - self._at))])
            if len(self._waiting) < HEADER.size:
                return 0
            self._segments += 1
            if self._segments > most_segments(self._length):
                raise RecordError("segments", f"at most {most_segments(self._length)} for {self._length} bytes", "more")
            self._segment = segment_at(header, self._at, left, end)
        size = HEADER.size + self._segment.stored
        if len(self._waiting) < size:
            return 0
        self._take(self._segment.expand(bytes(self._waiting[HEADER.size : size])))
        self._segment = None
        return size

    def _take(self, data: Chunk) -> None:
        self._plain.update(data)
        self._payload += len(data)
        if len(self._kept) < VERSION_BYTES:
            self._kept += data[: VERSION_BYTES - len(self._kept)]


def _peek(start: Chunk) -> tuple[str, str | None]:
    """A record's kind, and the hash of the model that a delta is against, by the beginning of its payload. Raises ``RecordError``."""
    found: dict[str, object] = {}
    try:
        reader = msgpack.Unpacker(max_buffer_size=PEEK_BYTES)
        reader.feed(start)
        for _ in range(min(3, reader.read_map_header())):
            key = reader.unpack()
            found[key] = reader.unpack()
            if key == "kind":  # what is behind it may be longer than what was kept
                break
    except (msgpack.UnpackException, ValueError, TypeError) as error:
        raise RecordError("kind", "a record that says early of what kind it is", f"one that does not: {error!r:.80}") from None
    kind, base = found.get("kind"), found.get("base")
    if not isinstance(kind, str) or not isinstance(base, str | None):
        raise RecordError("kind", "the name of a kind, and a hash as base", f"{brief(kind)} and {brief(base)}")
    return kind, base


def check_record(data: bytes | memoryview, limits: Limits = LIMITS) -> CheckedRecord:
    """The same of a file that is in memory."""
    check = RecordCheck(len(data), limits)
    check.update(data)
    return check.finish()
