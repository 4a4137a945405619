"""What a store remembers of another between two syncs, so as not to ask again. Losing it costs requests and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..backends import Body, Entry, read_whole
from ..errors import EncryptionError, MissingError, RecordError, TooLargeError
from ..records import LIMITS, decode, encode
from ..store import KeptHead, Store

REMOTES = "remotes/"
MOST_BYTES = 2**28
DIGEST_BYTES = 32


@dataclass
class SyncMemory:
    """What the other side's heads and tags named when they looked as they do: ``known`` has, by their keys, their looks and the version.

    Kept in ``here``, under a key that is made of the other side's name: the SHA-256 of what follows, then a map.
    """

    key: str
    known: dict[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    async def read(cls, here: Store, there: Store) -> SyncMemory:
        """What ``here`` remembers of ``there``: nothing where it was lost or damaged."""
        key = REMOTES + hashlib.sha256(there.backend.name.encode()).hexdigest()
        try:
            data, _ = await read_whole(here.backend, key, most=MOST_BYTES)
            return cls(key, _read(data))
        except (MissingError, RecordError, EncryptionError, TooLargeError):  # then the other side is asked
            return cls(key)

    def version(self, entry: Entry) -> str | None:
        """Which version a head or a tag names, if that is known."""
        known = self.known.get(entry.key)
        return known[1] if known and known[0] == _look(entry) else None

    def learn(self, prefix: str, entries: Iterable[Entry], pointers: Mapping[str, KeptHead]) -> None:
        """Remembers ``pointers``, as far as they look as the ``entries`` there say, and forgets those below ``prefix`` that are gone."""
        known = {key: last for key, last in self.known.items() if not key.startswith(prefix)}
        for entry in entries:
            pointer = pointers.get(entry.key)
            if pointer is not None and pointer.tag == entry.tag:
                known[entry.key] = _look(entry), pointer.version
            elif entry.key in self.known:
                known[entry.key] = self.known[entry.key]
        self.known = known

    async def write(self, here: Store) -> None:
        """Keeps this; too much of it is not kept."""
        known = sorted(self.known.items())[: LIMITS.items // 4]
        payload = encode({key: list(last) for key, last in known})
        await here.backend.write(self.key, Body.of(hashlib.sha256(payload).digest() + payload))


def _look(entry: Entry) -> str:
    """A tag alone may come again: in a database, say, that was put back to what it was a week ago."""
    return f"{entry.tag} {entry.modified!r}"


def _read(data: bytes) -> dict[str, tuple[str, str]]:
    digest, payload = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        raise RecordError("SHA-256", digest.hex(), "another: damaged")
    found = decode(payload)
    assert isinstance(found, dict)  # it is what was written
    return {key: (str(last[0]), str(last[1])) for key, last in found.items() if isinstance(last, list)}
