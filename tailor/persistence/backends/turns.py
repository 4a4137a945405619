"""One writer of a key at a time within this process, for places that cannot hold writers apart themselves."""

from __future__ import annotations

from threading import Lock

_LOCKS = tuple(Lock() for _ in range(64))


def turn(place: str, key: str) -> Lock:
    """A lock for worker threads: equal for equal arguments; keys may share one, and nobody holds two."""
    return _LOCKS[hash((place, key)) % len(_LOCKS)]
