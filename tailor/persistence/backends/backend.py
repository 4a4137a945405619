"""What a store needs of the place it is kept in: bytes by key, and to replace some only if nobody else has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

from ..errors import BackendError, ConflictError, StoreError, TooLargeError

Chunk: TypeAlias = bytes | memoryview

# Windows takes some names for devices, and drops a dot at the end.
SEGMENT = re.compile(r"(?!(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$))[a-z0-9_=-][a-z0-9_.=-]{0,199}(?<!\.)")
LONGEST_KEY = 900


class Expected(Enum):
    """What a write may find, besides one certain tag."""

    ANYTHING = "anything"
    """Something or nothing: it is replaced."""
    NOTHING = "nothing"
    """No such key."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a backend knows of a key without reading it.

    ``size``      in bytes.
    ``modified``  when it was last written, in seconds since 1970 by the backend's own clock.
    ``tag``       changes whenever the content does; good for comparing only.
    """

    key: str
    size: int
    modified: float
    tag: str


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes to write: how many, and a function that gives them in chunks, from the beginning at each call (a write may be retried).

    The function is called, and its chunks are taken, in a worker thread.
    """

    size: int
    chunks: Callable[[], Iterable[Chunk]]

    @classmethod
    def of(cls, data: bytes) -> Body:
        """These bytes."""
        return cls(len(data), lambda: (data,))


class Backend(Protocol):
    """Immutable bytes under keys. Every method is safe to call from several tasks, processes and machines at a time.

    Keys are what ``check_key`` lets through; where a key goes on after another one and a slash (``a`` and ``a/b``) there need not be room
    for both. A write is whole or absent, whatever stops it, and there to stay when it returns; readers
    see the old bytes or the new ones. Raises ``BackendError`` where the place fails, ``StoreError`` for a key that cannot be.
    Cancelled, an operation may have happened or not, and leaves nothing half done.
    """

    @property
    def name(self) -> str:
        """What people call it: a path or a URL, without secrets."""

    @property
    def conditional(self) -> bool:
        """Whether ``expected`` holds against everybody; otherwise only within one process, and two machines can be first at once."""

    async def read(self, key: str, sink: Callable[[Chunk], object], *, most: int | None = None) -> Entry:
        """Gives the bytes of ``key`` to ``sink``, chunk by chunk, in a worker thread.

        Raises ``MissingError``; ``TooLargeError`` for more than ``most`` bytes, before more are given. What the sink raises comes through.
        """

    async def read_many(self, keys: Sequence[str], *, most: int) -> dict[str, tuple[bytes, Entry]]:
        """The bytes of small things, at most ``most`` bytes each; keys that are missing are left out."""

    async def write(self, key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        """Makes ``body`` what is under ``key``; returns its tag.

        ``expected``: the tag that must be there. Raises ``ConflictError``, and changes nothing, where it is not; ``BackendError``, and
        changes nothing, for a body of another size than it says. What the chunks raise comes through.
        """

    async def look(self, key: str) -> Entry | None:
        """What is known of ``key``; ``None`` where there is nothing."""

    async def list(self, prefix: str) -> list[Entry]:
        """All keys below ``prefix``, which ends in ``/``, in order."""

    async def remove(self, key: str) -> None:
        """Removes a key; one that is missing is none the less removed."""

    async def aclose(self) -> None:
        """Gives back connections and files; nothing more can be asked."""


async def read_whole(backend: Backend, key: str, *, most: int) -> tuple[bytes, Entry]:
    """The bytes of ``key``, at most ``most``. Raises as ``Backend.read`` does."""
    chunks: list[bytes] = []
    entry = await backend.read(key, lambda chunk: chunks.append(bytes(chunk)), most=most)
    return b"".join(chunks), entry


def check_key(key: str) -> None:
    """Raises ``StoreError`` for a key that some backend could not hold: segments of a-z, 0-9, ``_ = - .`` between slashes, none of
    them beginning or ending with a dot or a device's name on Windows (``nul``), each of at most 200 characters, 900 in all."""
    if not isinstance(key, str) or len(key) > LONGEST_KEY or not all(SEGMENT.fullmatch(segment) for segment in key.split("/")):
        raise StoreError(f"key: expected segments of a-z, 0-9 and _=-. between slashes, at most {LONGEST_KEY} characters, got {key!r:.100}")


def check_prefix(prefix: str) -> None:
    """Raises ``StoreError`` for anything but a key and a slash."""
    if not isinstance(prefix, str) or not prefix.endswith("/"):
        raise StoreError(f"prefix: expected one that ends in '/', got {prefix!r:.100}")
    check_key(prefix[:-1])


def exact_chunks(key: str, body: Body) -> Iterator[Chunk]:
    """The chunks of ``body``. Raises ``BackendError`` where they are not the bytes it says, before more are given."""
    left = body.size
    for chunk in body.chunks():
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise BackendError(f"{key}: expected a body of {body.size} bytes, got {'more' if left < 0 else body.size - left}")


def check_expected(name: str, key: str, there: Entry | None, expected: str | Expected) -> None:
    """Raises ``ConflictError`` where what is ``there`` is not what a write may find."""
    found = Expected.NOTHING if there is None else there.tag
    if expected not in (Expected.ANYTHING, found):
        wanted, got = (text.value if isinstance(text, Expected) else repr(text) for text in (expected, found))
        raise ConflictError(f"{name}: {key}: expected {wanted} there, got {got}")


def check_size(key: str, size: int, most: int | None) -> None:
    """Raises ``TooLargeError`` for more bytes than a reader takes."""
    if most is not None and size > most:
        raise TooLargeError(f"{key}: expected at most {most} bytes, got {size}")
