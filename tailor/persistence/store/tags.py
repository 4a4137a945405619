"""Tags: names for single versions. What is tagged, ``prune_store`` keeps.

A tag is kept as a head is (``FORMAT.md``), with its own name in the branch's place, and moves by compare-and-set as a head does.
"""

from __future__ import annotations

from dataclasses import replace

from ..records import Name
from .names import TAGS, quoted, tag_key
from .pointers import KeptHead, read_pointers, write_pointer
from .refresh import refresh
from .store import Store


async def tag_version(store: Store, name: Name, tag: str, version: str, before: KeptHead | None = None) -> KeptHead:
    """Gives ``version`` a tag among those of ``name``'s model and user (whose branch does not count), if ``before`` still is that tag.

    Without ``before`` the tag must be new. ``KeptHead.name.branch`` is the tag. Raises ``ConflictError`` where it is another by now,
    ``MissingError`` where the version or its snapshot is not there, ``RecordError`` for what no tag can be called.
    """
    key = tag_key(name, tag)
    tagged = await store.version(version)
    await refresh(store, version, replace(tagged, snapshot=await store.resolved(tagged.snapshot)))
    return await write_pointer(store.backend, key, replace(name, branch=tag), version, before, "the tag")


async def remove_tag(store: Store, name: Name, tag: str) -> None:
    """Takes a tag away; one that is not there is none the less gone."""
    await store.backend.remove(tag_key(name, tag))


async def tags_of(store: Store, name: Name | None = None) -> list[KeptHead]:
    """The tags of a name's model and user, or all of them, in the order of their keys; ``KeptHead.name.branch`` is the tag."""
    prefix = TAGS if name is None else f"{TAGS}{quoted(name.model)}/{quoted(name.user)}/"
    return await read_pointers(store.backend, [entry.key for entry in await store.backend.list(prefix)], store.limits)
