"""What names versions in a store, as a sync sees it: heads, which go forward, and tags, which stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import RecordError
from ..records import Name
from ..store import KeptHead, Store, head_key, tag_key
from ..store.names import HEADS, TAGS
from ..store.pointers import read_pointer, read_pointers, write_pointer


@dataclass(frozen=True)
class Pointers:
    """One of the two kinds, by the ``prefix`` of its keys. The name of a tag has it in the branch's place."""

    prefix: str

    def key(self, name: Name) -> str:
        """Where the pointer of this name is."""
        return head_key(name) if self.prefix == HEADS else tag_key(name, name.branch)

    async def one(self, store: Store, name: Name) -> KeptHead | None:
        """The pointer of this name; ``None`` where there is none. Raises ``RecordError`` for what it should not be."""
        return await read_pointer(store.backend, self.key(name), name, store.limits)

    async def many(self, store: Store, names: Sequence[Name]) -> tuple[dict[Name, KeptHead], set[Name]]:
        """Those of ``names`` that there are, and the names of those that are not what they should be."""
        try:
            return {found.name: found for found in await read_pointers(store.backend, map(self.key, names), store.limits)}, set()
        except RecordError:  # of one of them; which, is found by halves
            if len(names) == 1:
                return {}, set(names)
        middle = len(names) // 2
        first, second = await self.many(store, names[:middle]), await self.many(store, names[middle:])
        return first[0] | second[0], first[1] | second[1]

    async def move(self, store: Store, name: Name, version: str, before: KeptHead | None) -> KeptHead:
        """Makes ``version``, which is in ``store``, what is named. Raises ``ConflictError`` where ``before`` is not there any more."""
        if self.prefix == HEADS:
            return await store.move(name, version, before)
        return await write_pointer(store.backend, self.key(name), name, version, before, "the tag")


HEAD_POINTERS, TAG_POINTERS = Pointers(HEADS), Pointers(TAGS)
