"""Reading a snapshot's file piece by piece: what does not fit in memory, or need not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from ..errors import RecordError, brief, path_of
from .change import Change
from .decode import Reader, Value
from .limits import LIMITS, Limits
from .payload_file import PayloadFile
from .record import check_format, is_newer, read_change, snapshot_head

LARGE = ("values", "whole")  # what is not read at once: the last key of every snapshot


def open_snapshot(path: str | os.PathLike[str], limits: Limits = LIMITS) -> SnapshotReader:
    """The snapshot in a file, to be read piece by piece, in a ``with`` block. What describes it is read at once.

    Raises ``RecordError`` naming the file and what is wrong in it, ``OSError`` where it cannot be read.
    """
    name = os.fspath(path)
    with _naming(name):
        file = PayloadFile(name, limits)
        try:
            return SnapshotReader(name, file, limits)
        except BaseException:
            file.close()
            raise


class SnapshotReader:
    """A snapshot's file that is being read: by ``changes`` if it is a delta, by ``chunks`` if it is full; either works once.

    **What is read is not to be trusted before its end**: only there shows whether the file is undamaged, so whatever ``changes`` and
    ``chunks`` gave is good once they ended without an error. Who cannot wait so long calls ``check`` first, which reads the file once more.

    ``metadata``, ``base``  as the snapshot has them, and no more to be trusted.
    ``hash``                what the file says its hash is.
    ``size``                bytes of a full snapshot's model file; ``None`` for a delta.
    """

    def __init__(self, name: str, file: PayloadFile, limits: Limits) -> None:
        self._name = name
        self._file = file
        self._limits = limits
        self._reader = Reader(file.length, limits, memoryview(b""), file.fill)
        self._keys = self._reader.keys(1)
        self._begun = False
        head: dict[str, Value] = {}
        large = ""
        for key in self._keys:
            if key in LARGE:
                large = key
                break
            head[key] = self._reader.value(2)
        self._format, snapshot = snapshot_head(head, large)
        self.hash = file.hash
        self.metadata = snapshot.metadata
        self.base = snapshot.base
        self.size: int | None = None
        self._pieces: Iterator[memoryview] = iter(())
        if large == "whole":
            self.size, self._pieces = self._reader.chunks()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SnapshotReader {self._name!r}: {self._kind} of {self.metadata.model!r}>"

    @property
    def _kind(self) -> str:
        return "delta" if self.size is None else "full"

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def check(self) -> None:
        """Reads the whole file and keeps nothing of it. Raises ``RecordError`` where it is damaged."""
        with _naming(self._name):
            again = PayloadFile(self._name, self._limits)
            try:
                again.drain()
            finally:
                again.close()

    def changes(self) -> Iterator[tuple[str, Change]]:
        """Every name that the delta changes, in order, and its change; one tensor at a time is in memory, unless the caller keeps more.

        Raises ``RecordError`` for what is wrong in the file, at the latest behind the last change, and for a full snapshot.
        """
        self._begin("delta")
        return self._changes()

    def chunks(self) -> Iterator[memoryview]:
        """The bytes of the full snapshot's model file, at most 1 MiB at a time.

        Raises ``RecordError`` for what is wrong in the file, at the latest behind the last chunk, and for a delta.
        """
        self._begin("full")
        return self._chunks()

    def _begin(self, kind: str) -> None:
        if kind != self._kind:
            raise RecordError("kind", repr(kind), repr(self._kind), self._name)
        if self._begun:
            raise RuntimeError(f"{self._name}: expected to be read once, got asked again; open it again")
        self._begun = True

    def _changes(self) -> Iterator[tuple[str, Change]]:
        newer = False
        with _naming(self._name):
            for name in self._reader.keys(2):
                if not name:
                    raise RecordError("values", "names that are non-empty strings", brief(name))
                change = read_change(name, self._reader.value(3), self._format)
                newer |= is_newer(change)
                yield name, change
            check_format(self._format, newer=newer)
            self._end()

    def _chunks(self) -> Iterator[memoryview]:
        with _naming(self._name):
            yield from self._pieces
            self._end()

    def _end(self) -> None:
        for key in self._keys:
            raise RecordError(path_of([key]), "no key of this name", "one behind what is the last")
        self._reader.end()
        self._file.check()


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except RecordError as error:
        raise error.of(name) from None
