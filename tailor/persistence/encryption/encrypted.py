"""A backend that keeps everything encrypted in another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from anyio.to_thread import run_sync

from ..backends import Backend, Body, Chunk, Entry, Expected, check_prefix
from ..errors import ConflictError, MissingError, StoreError, TooLargeError
from .contents import Opening, opened_size, seal, sealed_size
from .keyring import Keyring
from .names import Names

# What is said instead of the inner backend's words, which name what the server sees.
WORDS: dict[type[StoreError], str] = {
    MissingError: "expected something there, got nothing of this name",
    ConflictError: "somebody else was first: expected what the writer had seen there, got another",
    TooLargeError: "expected fewer bytes, got more than the reader takes",
}


class EncryptedBackend:
    """Names and contents encrypted in ``inner``, by ``keyring``: what is given and taken here is plain, what is kept there is not.

    Whoever has ``inner`` learns how many things there are, in how many folders, their sizes, and when which is written and read. Times,
    tags and conditions are the inner one's; so is what it can promise. Raises, besides what ``Backend`` says, ``ForgedError`` for
    contents that were not encrypted with these keys under this name: damage, another's bytes, an object that was moved; where a folder has
    names of some other make, listing raises ``EncryptionError``.
    """

    def __init__(self, inner: Backend, keyring: Keyring) -> None:
        self._inner = inner
        self._keyring = keyring
        self._names = Names(keyring.name_key, inner.name)

    @property
    def name(self) -> str:
        """The inner one's."""
        return self._inner.name

    @property
    def conditional(self) -> bool:
        """The inner one's."""
        return self._inner.conditional

    async def read(self, key: str, sink: Callable[[Chunk], object], *, most: int | None = None) -> Entry:
        """See ``Backend.read``. The sink is given nothing that was not authenticated; that nothing lacks is known at the end."""
        opening = self._opening(key, most)
        with self._telling_of(key) as callers:

            def take(chunk: Chunk) -> None:
                for piece in opening.feed(chunk):
                    with callers:
                        sink(piece)

            entry = await self._inner.read(self._names.hide(key), take, most=None if most is None else sealed_size(most))
        opening.finish()
        return Entry(key, opening.size, entry.modified, entry.tag)

    async def read_many(self, keys: Sequence[str], *, most: int) -> dict[str, tuple[bytes, Entry]]:
        """See ``Backend.read_many``."""
        hidden = {self._names.hide(key): key for key in keys}
        found = await self._inner.read_many(list(hidden), most=sealed_size(most))
        return await run_sync(lambda: {hidden[name]: self._opened(hidden[name], *kept, most) for name, kept in found.items()})

    async def write(self, key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        """See ``Backend.write``. The bytes kept are others each time."""
        hidden, data_key = self._names.hide(key), self._keyring.data_keys[-1]
        with self._telling_of(key) as callers:

            def chunks() -> Iterator[Chunk]:
                with callers:
                    yield from seal(body, key, data_key)

            return await self._inner.write(hidden, Body(sealed_size(body.size), chunks), expected=expected)

    async def look(self, key: str) -> Entry | None:
        """See ``Backend.look``."""
        found = await self._inner.look(self._names.hide(key))
        return None if found is None else _plain(key, found)

    async def list(self, prefix: str) -> list[Entry]:
        """See ``Backend.list``. One listing of the inner backend, of all that begins with the prefix's first segment."""
        check_prefix(prefix)
        folder = prefix.partition("/")[0]
        found = await self._inner.list(self._names.hide_folder(folder) + "/")

        def shown() -> list[Entry]:
            entries = [_plain(self._names.show(entry.key, folder), entry) for entry in found]
            return sorted((entry for entry in entries if entry.key.startswith(prefix)), key=lambda entry: entry.key)

        return await run_sync(shown)

    async def remove(self, key: str) -> None:
        """See ``Backend.remove``."""
        await self._inner.remove(self._names.hide(key))

    async def aclose(self) -> None:
        """Closes the inner backend."""
        await self._inner.aclose()

    def _opening(self, key: str, most: int | None) -> Opening:
        return Opening(self._keyring, key, self.name, most)

    def _opened(self, key: str, data: bytes, entry: Entry, most: int) -> tuple[bytes, Entry]:
        opening = self._opening(key, most)
        text = b"".join(opening.feed(data))
        opening.finish()
        return text, Entry(key, opening.size, entry.modified, entry.tag)

    @contextmanager
    def _telling_of(self, key: str) -> Iterator[_Callers]:
        """Lets the inner backend's errors name the key that was asked for; what was raised inside the callers' block stays as it is."""
        callers = _Callers()
        try:
            yield callers
        except (MissingError, ConflictError, TooLargeError) as error:
            if error is callers.error:
                raise
            raise type(error)(f"{self.name}: {key}: {WORDS[type(error)]}") from error

    def __repr__(self) -> str:
        return f"<EncryptedBackend in {self._inner!r}: {len(self._keyring.data_keys)} data keys>"


def _plain(key: str, entry: Entry) -> Entry:
    return Entry(key, opened_size(entry.size), entry.modified, entry.tag)


class _Callers:
    """``with callers:`` around what callers gave us to call: their error is remembered, and comes through."""

    error: BaseException | None = None

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.error = error
