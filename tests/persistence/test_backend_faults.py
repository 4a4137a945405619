"""Backends under real faults: processes that compete, that are killed in the midst of a write, and files that may not grow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest

from tailor import persistence
from tailor.persistence import BackendError, Body, DirectoryBackend, SQLiteBackend
from tailor.persistence.backends import read_whole

Kind: TypeAlias = type[DirectoryBackend] | type[SQLiteBackend]
KINDS: tuple[Kind, ...] = (DirectoryBackend, SQLiteBackend)

# Loads persistence alone, without the rest of the house.
OPENED = """
import sys
import anyio
sys.path.insert(0, sys.argv[1])
from persistence.backends import Body, DirectoryBackend, Expected, SQLiteBackend, read_whole
from persistence.errors import ConflictError, MissingError

backend = {"DirectoryBackend": DirectoryBackend, "SQLiteBackend": SQLiteBackend}[sys.argv[2]](sys.argv[3])
"""

# Adds one, a hundred times, each on the condition that nobody else has written since it looked.
COUNTING = """
async def main():
    print("here", flush=True)
    sys.stdin.readline()
    done = 0
    while done < 100:
        try:
            data, entry = await read_whole(backend, "heads/count", most=9)
            count, expected = int(data), entry.tag
        except MissingError:
            count, expected = 0, Expected.NOTHING
        try:
            await backend.write("heads/count", Body.of(b"%d" % (count + 1)), expected=expected)
            done += 1
        except ConflictError:
            pass
    await backend.aclose()

anyio.run(main)
"""

# Replaces a small body and one of 6 MB over and over, and tells when each is there.
RESTLESS = """
async def main():
    for generation in range(10_000):
        for key, size in ("heads/small", 100), ("objects/large", 1_000_000):
            await backend.write(key, Body(6 * size, lambda: (b"%06d" % generation * (size // 50) for _ in range(50))))
            print(generation, flush=True)

anyio.run(main)
"""


def sizes(place: Path) -> int:
    """Of all files below, together."""
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


@contextmanager
def started(program: str, kind: Kind, place: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own; dead at the end."""
    command = [sys.executable, "-c", OPENED + program, str(Path(persistence.__file__).parents[1]), kind.__name__, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_that_count_lose_no_addition(kind: Kind, tmp_path: Path) -> None:
    place = tmp_path / "store"
    with started(COUNTING, kind, place) as one, started(COUNTING, kind, place) as other:
        for process in one, other:
            assert process.stdout is not None and process.stdout.readline() == "here\n"
        for process in one, other:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        assert (one.wait(), other.wait()) == (0, 0)

    async def counted() -> bytes:
        async with aclosing(kind(place)) as backend:
            return (await read_whole(backend, "heads/count", most=9))[0]

    assert anyio.run(counted) == b"200"


@pytest.mark.parametrize(("told", "loop"), [(1, "asyncio"), (4, "trio")])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_in_the_midst_of_a_write_the_old_or_the_new_is_whole(kind: Kind, told: int, loop: str, tmp_path: Path) -> None:
    place = tmp_path / "store"
    with started(RESTLESS, kind, place) as process:
        assert process.stdout is not None
        generations = [int(process.stdout.readline()) for _ in range(told)]

    async def look() -> None:
        async with aclosing(kind(place)) as backend:
            for key, size, acknowledged in ("heads/small", 100, generations[::2]), ("objects/large", 1_000_000, generations[1::2]):
                found = await backend.read_many([key], most=6 * size)
                if acknowledged:
                    assert int(found[key][0][:6]) >= acknowledged[-1]
                for data, _ in found.values():
                    assert data == data[:6] * size
                await backend.write(key, Body.of(b"next"))
            await backend.sweep(-1000)
            assert [len(await backend.list(prefix)) for prefix in ("heads/", "objects/")] == [1, 1]

    anyio.run(look, backend=loop)
    assert sizes(tmp_path) < 100_000, "nothing of what was killed is left"


@contextmanager
def no_file_grows_past(size: int) -> Iterator[None]:
    """A limit of the system's on this process's files: to a writer, a full disk."""
    resource = pytest.importorskip("resource", reason="needs limits of a process, which this system does not have")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1 << 16, 5 << 20], ids=["small chunks", "large chunks"])
async def test_a_disk_that_is_full_is_said_and_loses_nothing(kind: Kind, chunk: int, tmp_path: Path) -> None:
    large = Body(10 << 20, lambda: (bytes(chunk) for _ in range((10 << 20) // chunk)))
    async with aclosing(kind(tmp_path / "store")) as backend:
        tag = await backend.write("a/b", Body.of(b"old"))
        with no_file_grows_past(6 << 20):
            for key in "a/b", "a/c":
                with pytest.raises(BackendError, match="store"):
                    await backend.write(key, large)
            assert [(entry.key, entry.tag) for entry in await backend.list("a/")] == [("a/b", tag)]
            await backend.write("a/b", Body.of(b"new"), expected=tag)
        swept = await backend.sweep(-1000)  # SQLite needs a place to write down what it removes: a writer may not have had it
        assert swept <= (kind is SQLiteBackend)
        await backend.write("a/c", large)
        await backend.remove("a/c")
        assert (await read_whole(backend, "a/b", most=9))[0] == b"new"
    assert sizes(tmp_path) < 100_000
