"""SHA-256 of what is written or read meanwhile: where there is much of it, in a thread of its own."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from .encode import Chunk

THREAD_BYTES = 2**22  # from here on a thread pays
AHEAD = 4  # chunks that may wait to be hashed: they stay in memory


class Hashing:
    """The SHA-256 of about ``size`` bytes, given chunk by chunk; a chunk must not change before ``digest`` has answered.

    Hashing costs about as much as a disk takes to write, and lets other threads run: so both go on at once.
    """

    def __init__(self, size: int) -> None:
        self._digest = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1, "tailor-sha256") if size >= THREAD_BYTES else None
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def update(self, chunk: Chunk) -> None:
        """Takes the next bytes; waits only where too many wait already."""
        if self._thread is None:
            self._digest.update(chunk)
            return
        while len(self._waiting) >= AHEAD:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._digest.update, chunk))

    def digest(self) -> bytes:
        """The SHA-256 of all that was given."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._digest.digest()
