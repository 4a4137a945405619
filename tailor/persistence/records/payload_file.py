"""The payload inside a record's file, read in order and hashed on the way, whatever the layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np

from ..errors import RecordError
from .encode import CHUNK_BYTES, Chunk
from .envelope import HEAD_BYTES, PLAIN, TAIL_BYTES, check_head, check_sum
from .hashing import Hashing
from .limits import Limits
from .segments import HEADER, Segment, walk


class PayloadFile:
    """A record's file. ``length`` is its payload's, ``hash`` what the file says the payload's SHA-256 is.

    Raises ``RecordError`` for what the head and the size (in layout 2 the headers of all segments) show, ``OSError``.
    """

    def __init__(self, name: str, limits: Limits) -> None:
        with ExitStack() as stack:
            self._file = stack.enter_context(open(name, "rb", buffering=0))
            self._size = os.fstat(self._file.fileno()).st_size
            head = self._file.read(min(self._size, HEAD_BYTES))
            layout, self.length = check_head(head, self._size, limits)
            self._payload = stack.enter_context(Hashing(self.length))
            self._stored: Hashing | None = None
            self._segments: Iterator[Segment] = iter(())
            self._ready: Chunk = b""
            end = self._size - TAIL_BYTES
            self._check = self._read(end, TAIL_BYTES)
            self.hash = self._check.hex()
            if layout != PLAIN:
                self.hash = self._read(end - TAIL_BYTES, TAIL_BYTES).hex()
                self._stored = stack.enter_context(Hashing(self._size))
                self._stored.update(head)
                for _ in walk(self._read, HEAD_BYTES, end - TAIL_BYTES, self.length):
                    pass  # only to see that all of them can be, before memory is reserved for what they claim
                self._segments = walk(self._read, HEAD_BYTES, end - TAIL_BYTES, self.length)
            self._file.seek(HEAD_BYTES)
            self._open = stack.pop_all()

    def close(self) -> None:
        """Closes the file."""
        self._open.close()

    def fill(self, memory: memoryview) -> None:
        """The next bytes of the payload, as many as ``memory`` holds; they must not change before ``check``."""
        if self._stored is not None:
            self._expand(memory)
            return
        while memory:
            count = self._file.readinto(memory[:CHUNK_BYTES])
            if not count:
                raise self._shorter()
            self._payload.update(memory[:count])
            memory = memory[count:]

    def drain(self) -> None:
        """Reads what is left of the payload and checks it."""
        left = self.length
        while left:
            size = min(left, CHUNK_BYTES)
            self.fill(np.empty(size, np.uint8).data)
            left -= size
        self.check()

    def check(self) -> None:
        """Behind the last byte: raises ``RecordError`` where the file is damaged."""
        check_sum(self._payload.digest(), bytes.fromhex(self.hash))
        if self._stored is not None:
            self._stored.update(bytes.fromhex(self.hash))
            check_sum(self._stored.digest(), self._check)

    def _expand(self, memory: memoryview) -> None:
        while memory:
            if not self._ready:
                self._ready = self._next()
            count = min(len(memory), len(self._ready))
            memory[:count] = self._ready[:count]
            memory, self._ready = memory[count:], memoryview(self._ready)[count:]

    def _next(self) -> Chunk:
        """The payload's bytes in the next segment."""
        segment = next(self._segments)
        data = self._read(segment.start, segment.stored)
        if self._stored is not None:
            self._stored.update(HEADER.pack(segment.codec, segment.width, segment.length, segment.stored))
            self._stored.update(data)
        raw = segment.expand(data)
        self._payload.update(raw)
        return raw

    def _read(self, at: int, count: int) -> bytes:
        self._file.seek(at)
        data = bytearray()
        while len(data) < count and (more := self._file.read(count - len(data))):
            data += more
        if len(data) < count:
            raise self._shorter()
        return bytes(data)

    def _shorter(self) -> RecordError:
        return RecordError("size", f"{self._size} bytes", "fewer: it became shorter while it was read")
