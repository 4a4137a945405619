"""Versions and what they came from: walking them, putting them in order, and what two histories share."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ..records import Version

BATCH = 256
"""As many versions as are read at once, and so in memory at once, at most 1 MiB each."""


class VersionSource(Protocol):
    """What has versions to read: a store."""

    async def versions(self, digests: Sequence[str]) -> list[tuple[Version, int]]:
        """The versions with these hashes, in this order, and how many bytes each has."""


@dataclass(frozen=True, slots=True)
class Links:
    """Of a version, what it refers to, and when it was made."""

    snapshot: str
    base: str | None
    parents: tuple[str, ...]
    created_at: datetime

    @classmethod
    def of(cls, version: Version) -> Links:
        """The links of a version."""
        return cls(version.snapshot, version.base, version.parents, version.metadata.created_at)


async def walk(source: VersionSource, newest: Iterable[str], visit: Callable[[str, Version, int], bool]) -> None:
    """Visits some versions and all that they came from, each once, nearest first, with its bytes, until ``visit`` says False.

    Versions that are equally far are read together, at most 256 at a time. A line of single parents is read one by one: only
    a child knows its parent.
    """
    waiting = deque(dict.fromkeys(newest))
    seen = set(waiting)
    while waiting:
        batch = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
        for digest, (version, size) in zip(batch, await source.versions(batch), strict=True):
            if not visit(digest, version, size):
                return
            waiting.extend(parent for parent in version.parents if parent not in seen)
            seen.update(version.parents)


def children_first(versions: Mapping[str, Links]) -> list[str]:
    """All of them, none before one that came of it; otherwise the newest first, and then by hash."""
    children = dict.fromkeys(versions, 0)
    for version in versions.values():
        for parent in version.parents:
            if parent in children:
                children[parent] += 1
    ready = [_place(digest, versions) for digest, count in children.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        digest = heapq.heappop(ready)[1]
        order.append(digest)
        for parent in versions[digest].parents:
            if parent in children:
                children[parent] -= 1
                if not children[parent]:
                    heapq.heappush(ready, _place(parent, versions))
    return order


def _place(digest: str, versions: Mapping[str, Links]) -> tuple[float, str]:
    return -versions[digest].created_at.timestamp(), digest


def standing_in(snapshot: str, replaced: Mapping[str, str], there: Container[str]) -> str:
    """The snapshot that stands for this one: the last that it was replaced by, of those that are there; without any, itself."""
    found, seen = snapshot, {snapshot}
    while (snapshot := replaced.get(snapshot, "")) and snapshot not in seen:
        seen.add(snapshot)
        found = snapshot if snapshot in there else found
    return found


def common_ancestors(first: Sequence[tuple[str, Version]], second: Sequence[tuple[str, Version]]) -> list[str]:
    """The newest versions that two histories share: those of which no other shared one comes."""
    shared = {digest for digest, _ in first} & {digest for digest, _ in second}
    older = {parent for digest, version in (*first, *second) if digest in shared for parent in version.parents}
    return [digest for digest, _ in first if digest in shared and digest not in older]
