"""What is kept in memory: the last used, within bounds, loaded once, and never older than the last time that it was forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from tailor.daemon.models import Memory
from tailor.daemon.models import memory as bounds
from tailor.daemon.models.memory import Weighed

pytestmark = pytest.mark.anyio


def loader(value: str, size: int = 1, loads: list[str] | None = None) -> Callable[[], Awaitable[Weighed[str]]]:
    async def load() -> Weighed[str]:
        if loads is not None:
            loads.append(value)
        await anyio.lowlevel.checkpoint()
        return Weighed(value, size)

    return load


async def kept(memory: Memory[str, str], *keys: str) -> list[str]:
    """Those of ``keys`` that are not loaded anew."""
    loads: list[str] = []
    for key in keys:
        await memory.of(key, loader(key, loads=loads))
    return [key for key in keys if key not in loads]


async def test_what_was_used_longest_ago_goes_first() -> None:
    memory: Memory[str, str] = Memory(3, 100)
    for key in ("a", "b", "c", "a", "d"):
        await memory.of(key, loader(key))
    assert await kept(memory, "a", "c", "d") == ["a", "c", "d"]
    assert (len(memory), memory.bytes) == (3, 3)
    assert await kept(memory, "b") == []


async def test_bytes_are_bounded_too_but_for_the_last() -> None:
    memory: Memory[str, str] = Memory(10, 100)
    for key, size in (("a", 40), ("b", 40), ("c", 30)):
        await memory.of(key, loader(key, size))
    assert (len(memory), memory.bytes) == (2, 70)
    await memory.of("large", loader("large", 1000))
    assert (len(memory), memory.bytes) == (1, 1000)
    memory.limit(10, 10)
    assert await memory.of("large", loader("another")) == "large"
    await memory.of("a", loader("a", 4))
    memory.limit(1, 10)
    assert (len(memory), memory.bytes) == (1, 4)


async def test_light_ones_take_nobodys_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_LIGHT", 10)
    memory: Memory[int, str] = Memory(1, 1)
    await memory.of(-1, loader("heavy"))
    for key in range(11):
        await memory.of(key, loader("light", 0))
    loads: list[str] = []
    assert await memory.of(-1, loader("anew", loads=loads)) == "heavy"
    assert await memory.of(10, loader("anew", 0, loads)) == "light"
    assert await memory.of(0, loader("anew", 0, loads)) == "anew"
    assert (len(memory), memory.bytes, loads) == (1, 1, ["anew"])


async def test_who_asks_at_the_same_time_waits_for_one_loading() -> None:
    memory: Memory[str, str] = Memory(3, 100)
    loads: list[str] = []
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await memory.of("a", loader("a", loads=loads)))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
    assert (loads, answers) == (["a"], ["a"] * 5)


async def test_a_failure_is_not_kept() -> None:
    memory: Memory[str, str] = Memory(3, 100)

    async def fail() -> Weighed[str]:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await memory.of("a", fail)
    assert await memory.of("a", loader("a")) == "a"


async def test_who_asks_after_it_was_forgotten_gets_what_is_there_then() -> None:
    memory: Memory[str, str] = Memory(3, 100)
    begun, go_on = anyio.Event(), anyio.Event()

    async def old() -> Weighed[str]:
        begun.set()
        await go_on.wait()
        return Weighed("old", 1)

    async def ask() -> None:
        assert await memory.of("a", old) == "old"

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await begun.wait()
        memory.forget("a")
        go_on.set()
    assert len(memory) == 0
    assert await memory.of("a", loader("new")) == "new"
    memory.forget("a")
    memory.forget("never there")
    assert memory.bytes == 0
    assert await memory.of("a", loader("newer")) == "newer"


async def test_all_of_some_are_forgotten() -> None:
    memory: Memory[str, str] = Memory(5, 100)
    for key, size in (("a1", 1), ("a2", 0), ("b1", 1), ("b2", 0)):
        await memory.of(key, loader(key, size))
    memory.forget_all(lambda key: key.startswith("a"))
    assert await kept(memory, "a1", "a2", "b1", "b2") == ["b1", "b2"]
