"""How people call a version: ``HEAD``, a tag, an identifier or the beginning of one, and so many steps back from there.

    HEAD    HEAD~2    before-summer    before-summer~1    3f9a02    3f9a02c41b~3
"""

from __future__ import annotations

import re

from tailor.persistence import KeptHead, Name, Store, Version, tags_of

from ..errors import MLStoreError, MLStoreMissingError

HEAD = "HEAD"
SHORTEST = 6
HEX = re.compile(r"[0-9a-f]+")
STEPS = re.compile(r"(?s)(.*?)(?:~([0-9]{0,6}))?")
WHOLE = 64
SHOWN = 12
"""Digits of an identifier that people are shown."""


async def find_version(store: Store, name: Name, called: str) -> tuple[str, Version]:
    """The identifier of the version of ``name`` that is ``called`` so, and the version.

    An identifier is looked for in the history of the branch, then in those of the other branches of the same model and user: nobody is
    given another user's version. Raises ``MLStoreMissingError`` for one that there is not, and for a beginning that several have.
    """
    where, steps = _read(called, store.backend.name)
    digest = await _start(store, name, where)
    version = await store.version(digest)
    for step in range(steps):
        if not version.parents:
            raise MLStoreMissingError(f"{store.backend.name}: {name}: expected a version {steps} steps before {where}, got only {step}")
        digest = version.parents[0]
        version = await store.version(digest)
    return digest, version


async def find_head(store: Store, name: Name) -> KeptHead:
    """The head of ``name``. Raises ``MLStoreMissingError`` where there is none, naming others that may be meant."""
    head = await store.head(name)
    if head is None:
        others = sorted(str(other) for other in await store.head_tags() if other.model == name.model)
        known = f"; of this model there is {', '.join(others[:5])}{' ...' if len(others) > 5 else ''}" if others else ""
        raise MLStoreMissingError(f"{store.backend.name}: expected a model that is kept here, got {name}, of which there is nothing{known}")
    return head


def check_tag(tag: str) -> None:
    """Raises ``MLStoreError`` for a tag that could be taken for something else."""
    if tag == HEAD or "~" in tag or (len(tag) >= SHORTEST and HEX.fullmatch(tag)):
        raise MLStoreError(f"tag: expected a text without '~' that is neither {HEAD} nor hex digits alone, got {tag!r:.100}")


def _read(called: str, who: str) -> tuple[str, int]:
    found = STEPS.fullmatch(called) if isinstance(called, str) else None
    if found is None or not found[1]:
        expected = f"expected {HEAD}, a tag, or {SHORTEST} hex digits or more, and maybe ~N"
        raise MLStoreMissingError(f"{who}: version: {expected}, got {called!r:.100}")
    return found[1], 0 if found[2] is None else int(found[2] or 1)


async def _start(store: Store, name: Name, where: str) -> str:
    if len(where) >= SHORTEST and HEX.fullmatch(where):
        return await _by_digits(store, name, where)
    if where == HEAD:
        return (await find_head(store, name)).version
    tags = {tag.name.branch: tag.version for tag in await tags_of(store, name)}
    if where not in tags:
        known = f" (tags: {', '.join(sorted(tags)[:10])})" if tags else ""
        got = f"got {where!r:.100}, which none has"
        raise MLStoreMissingError(f"{store.backend.name}: {name}: expected the name of a version{known}, {got}")
    return tags[where]


async def _by_digits(store: Store, name: Name, digits: str) -> str:
    branches = sorted(await store.branches(name), key=lambda head: head.name.branch != name.branch)
    tags = [tag.version for tag in await tags_of(store, name)]
    for start in (*(head.version for head in branches), *tags):
        if digits == start:
            return start
    found: set[str] = set()
    for head in branches:
        found.update(digest for digest, _ in await store.history(head.version) if digest.startswith(digits))
        if found:
            break
    found.update(tag for tag in tags if tag.startswith(digits))
    if len(found) == 1:
        return found.pop()
    shown = ", ".join(sorted(digest[: SHOWN + 4] for digest in found)[:5])
    got = f"{digits!r:.100}, the beginning of {len(found)}: {shown}" if found else f"{digits!r:.100}, which none has"
    raise MLStoreMissingError(f"{store.backend.name}: {name}: expected the identifier of one of its versions, got {got}")
