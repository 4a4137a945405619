"""Bytes that are in a file, and are to go to or come from a record without being in memory all at once."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..errors import RecordError

PIECE_BYTES = 2**20


class FileBytes:
    """The bytes of the file at ``path``, as many as there are now; read whenever they are needed. The file must not change until then.

    Raises ``OSError`` where there is none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._size = os.stat(self.path).st_size

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self.chunks())

    def __repr__(self) -> str:
        return f"FileBytes({self.path!r}, {self._size} bytes)"

    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces of at most 1 MiB. Raises ``RecordError`` where the file is longer or shorter by now, ``OSError``."""
        left = self._size
        with open(self.path, "rb", buffering=0) as file:
            if (found := os.fstat(file.fileno()).st_size) != left:
                raise RecordError("the file", f"{left} bytes, as at first", f"{found}", self.path)
            while left and (piece := file.read(min(left, PIECE_BYTES))):
                left -= len(piece)
                yield piece
        if left:
            raise RecordError("the file", f"{self._size} bytes, as at first", f"{self._size - left}", self.path)
