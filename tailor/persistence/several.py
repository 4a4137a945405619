"""Many things to do, some of them at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from anyio import create_task_group, get_cancelled_exc_class

T = TypeVar("T")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[object]], most_at_once: int) -> None:
    """Does ``work`` on each item. The first failure stops the others, and is raised as it is, not in a group."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    try:
        async with create_task_group() as group:
            for _ in range(most_at_once):
                group.start_soon(worker)
    except BaseExceptionGroup as failures:
        _, others = failures.split(get_cancelled_exc_class())
        if others is None:
            raise
        raise _first(others) from None


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
