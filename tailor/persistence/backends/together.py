"""Reads many small things from a place that is asked for one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from anyio import CapacityLimiter, create_task_group
from anyio.to_thread import run_sync

from ..errors import MissingError, StoreError
from .backend import Chunk, Entry, check_key

Read: TypeAlias = Callable[[str, Callable[[Chunk], object], int], Entry]

AT_ONCE = 16


async def read_together(read: Read, keys: Sequence[str], most: int) -> dict[str, tuple[bytes, Entry]]:
    """What ``read``, called in worker threads with a key, a sink and ``most``, gives for each key that is there; sixteen at a time."""
    for key in keys:
        check_key(key)
    found: dict[str, tuple[bytes, Entry]] = {}
    failures: list[StoreError] = []
    waiting = iter(dict.fromkeys(keys))
    limiter = CapacityLimiter(AT_ONCE)

    async def take() -> None:
        for key in waiting:
            chunks: list[Chunk] = []
            try:
                entry = await run_sync(read, key, chunks.append, most, limiter=limiter)
            except MissingError:
                continue
            except StoreError as error:
                failures.append(error)
                group.cancel_scope.cancel()
                return
            found[key] = b"".join(chunks), entry

    async with create_task_group() as group:
        for _ in range(min(AT_ONCE, len(keys))):
            group.start_soon(take)
    if failures:
        raise failures[0]
    return found
