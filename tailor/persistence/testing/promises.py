"""What ``Backend`` promises, one function each: given two handles of one place, and a prefix with nothing below it."""

from __future__ import annotations

import math
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from random import Random

from anyio import create_task_group
from anyio.lowlevel import checkpoint

from ..backends import Backend, Body, Chunk, Entry, Expected, read_whole
from ..errors import BackendError, ConflictError, MissingError, StoreError

BIG = 3_000_000
RIVALS = 20
IMPOSSIBLE_KEYS = (
    *("", "/", "a//b", "/a", "a/", "..", "../a", "a/../b", ".a", "a/.b", "a.", "nul", "a/con.txt"),
    *("A", "a b", "ä", "a\\b", "a:b", "a\n", "a\0", "x" * 201, "a/" * 450 + "a"),
)


def promise(kept: bool, what: str, got: object) -> None:
    """Raises ``AssertionError`` where a promise is not kept."""
    if not kept:
        raise AssertionError(f"{what}; got {got!r:.300}")


async def refused(asked: Awaitable[object], error: type[Exception], what: str) -> Exception:
    """Awaits what must raise ``error``, which is returned."""
    try:
        answer = await asked
    except error as raised:
        return raised
    except Exception as raised:
        raise AssertionError(f"{what}: {error.__name__}; got {raised!r:.300}") from raised
    raise AssertionError(f"{what}: {error.__name__}; got no error but {answer!r:.300}")


def pieces(data: bytes, size: int) -> Body:
    """``data`` as views of ``size`` bytes, with an empty chunk between."""
    view = memoryview(data)
    return Body(len(data), lambda: (chunk for at in range(0, len(data), size) for chunk in (view[at : at + size], b"")))


@lru_cache
def pattern(size: int) -> bytes:
    """The same bytes for the same size, and no two parts of them alike."""
    return Random(size).randbytes(size)


async def is_there(backend: Backend, key: str, data: bytes, tag: str | None = None) -> None:
    """Holds all ways to ask for ``key`` to ``data`` and to one another."""
    found, entry = await read_whole(backend, key, most=len(data) + 1)
    promise(found == data, f"read: gives what was written last ({len(data)} bytes)", found)
    promise((entry.key, entry.size) == (key, len(data)), "Entry: the key and the size in bytes", entry)
    promise(math.isfinite(entry.modified) and entry.modified > 0, "Entry.modified: seconds since 1970", entry)
    promise(tag in (None, entry.tag), "write: returns the tag that read gives", (tag, entry.tag))
    promise(await backend.look(key) == entry, "look: gives the entry that read gives", entry)
    promise(await backend.read_many([key], most=len(data)) == {key: (data, entry)}, "read_many: gives what read gives", entry)
    listed = await backend.list(key.rpartition("/")[0] + "/")
    promise(entry in listed, "list: has the entry that read gives", listed)


async def is_missing(backend: Backend, key: str) -> None:
    """Holds all ways to ask for ``key`` to there being nothing."""
    promise(await backend.look(key) is None, "look: None where there is nothing", key)
    await refused(backend.read(key, lambda chunk: None), MissingError, "read: of nothing")
    promise(await backend.read_many([key], most=9) == {}, "read_many: leaves out what is missing", key)
    promise(await backend.list(key + "/") == [], "list: nothing below what is missing", key)
    await backend.remove(key)


async def nothing_is_there_at_first(one: Backend, other: Backend, at: str) -> None:
    """a key that was never written is missing, and removing it is no error"""
    for backend in one, other:
        await is_missing(backend, at + "a")
        promise(await backend.list(at) == [], "list: nothing below an empty prefix", at)
        promise(await backend.read_many([], most=9) == {}, "read_many: of no keys", at)


async def what_is_written_is_read(one: Backend, other: Backend, at: str) -> None:
    """bytes of any size, in any chunks, are read back, by another handle too, and replaced whole"""
    for size in 0, 1, 300, BIG, 70_000, 0:
        for chunk in 999, 65_536:
            tag = await one.write(at + "a", pieces(pattern(size), chunk))
            for backend in other, one:
                await is_there(backend, at + "a", pattern(size), tag)
    deep = at + "/".join(["d=_-.0", "0", "x" * 200, "null", "con-", "a.b"])
    await other.write(deep, Body.of(b"deep"))
    await is_there(one, deep, b"deep")


async def it_happens_in_worker_threads(one: Backend, other: Backend, at: str) -> None:
    """chunks are taken, and given, in a worker thread"""
    here, threads = threading.get_ident(), set[int]()

    def chunks() -> Iterator[Chunk]:
        threads.add(threading.get_ident())
        yield b"abc"

    await one.write(at + "a", Body(3, chunks))
    promise(threads != set() and here not in threads, "write: takes the chunks in a worker thread", "the event loop's")
    threads.clear()
    await one.read(at + "a", lambda chunk: threads.add(threading.get_ident()))
    promise(threads != set() and here not in threads, "read: gives the chunks in a worker thread", "the event loop's")


async def what_is_removed_is_missing(one: Backend, other: Backend, at: str) -> None:
    """a key that was removed is missing, for every handle, and can be written again"""
    for _ in range(2):
        await one.write(at + "a/b", Body.of(b"x"), expected=Expected.NOTHING)
        await one.remove(at + "a/b")
        for backend in one, other:
            await is_missing(backend, at + "a/b")
    await other.write(at + "a/b", Body.of(b"y"))
    await is_there(one, at + "a/b", b"y")


async def tags_tell_contents_apart(one: Backend, other: Backend, at: str) -> None:
    """a tag stands for one content of its key, however fast others of the same size follow"""
    tags: dict[str, bytes] = {}
    for number in range(60):
        data = b"%08d" % number
        tag = await (one, other)[number % 2].write(at + "a", Body.of(data))
        promise(tags.setdefault(tag, data) == data, "write: another content has another tag", (tag, tags[tag], data))
        if number % 7 == 0:
            await one.remove(at + "a")


async def conditions_are_kept(one: Backend, other: Backend, at: str) -> None:
    """a write on a condition happens where it holds, and changes nothing where it does not"""
    key = at + "a"
    backends = (one, other) if one.conditional else (one, one)
    for backend in backends:
        await refused(backend.write(key, Body.of(b"x"), expected="no-such-tag"), ConflictError, "write: with a tag, where nothing is")
        await is_missing(backend, key)
    first = await backends[0].write(key, Body.of(b"1"), expected=Expected.NOTHING)
    second = await backends[1].write(key, Body.of(b"2"), expected=first)
    for backend in backends:
        for wrong in first, Expected.NOTHING, "no-such-tag", "":
            await refused(backend.write(key, Body.of(b"x"), expected=wrong), ConflictError, f"write: expected={wrong}, where it is not so")
            await is_there(backend, key, b"2", second)
    await backends[1].remove(key)
    for wrong in first, second:
        await refused(backends[0].write(key, Body.of(b"x"), expected=wrong), ConflictError, "write: with the tag of what was removed")
    await is_missing(backends[0], key)


async def one_of_many_is_first(one: Backend, other: Backend, at: str) -> None:
    """of many writes at once that expect the same, one happens and all others are refused"""
    rivals = [(one, other)[number % 2] if one.conditional else one for number in range(RIVALS)]
    for name in "a", "b":
        expected: str | Expected = Expected.NOTHING
        for round_ in range(3):  # no content twice: a tag may stand for the content alone
            won: dict[int, str] = {}

            async def rival(number: int, key: str, expected: str | Expected, won: dict[int, str], round_: int = round_) -> None:
                with suppress(ConflictError):
                    won[number] = await rivals[number].write(key, Body.of(b"%d %d" % (round_, number)), expected=expected)

            async with create_task_group() as group:
                for number in range(RIVALS):
                    group.start_soon(rival, number, at + name, expected, won)
            promise(len(won) == 1, f"write: of {RIVALS} that expect the same at once, exactly one happens", won)
            ((number, tag),) = won.items()
            await is_there(other, at + name, b"%d %d" % (round_, number), tag)
            expected = tag


async def nothing_is_lost_in_counting(one: Backend, other: Backend, at: str) -> None:
    """many who read, add one, and write on the condition that nobody else has, lose no addition"""
    backends = (one, other) if one.conditional else (one, one)
    await one.write(at + "a", Body.of(b"0"))

    async def count(backend: Backend) -> None:
        done = 0
        while done < 5:
            data, entry = await read_whole(backend, at + "a", most=9)
            try:
                await backend.write(at + "a", Body.of(b"%d" % (int(data) + 1)), expected=entry.tag)
            except ConflictError:
                continue
            done += 1

    async with create_task_group() as group:
        for number in range(6):
            group.start_soon(count, backends[number % 2])
    await is_there(one, at + "a", b"30")


async def lists_are_whole_and_in_order(one: Backend, other: Backend, at: str) -> None:
    """a list has all keys below its prefix and no others, in the order of their characters"""
    names = ["ab/c", "ab/d/e", "ab/d/f/g", "ab-/c", "ab.b/c", "ab=/c", "abc/d", "ab0/c", "ab_/c", "a", "z/ab/c"]
    names += [f"many/{number:x}" for number in range(40)]
    for name in names:
        await one.write(at + name, Body.of(name.encode()))
    for backend in one, other:
        for prefix in "", "ab/", "ab/d/", "abc/", "b/", "ab/c/", "many/", "z/":
            expected = sorted(at + name for name in names if name.startswith(prefix))
            listed = await backend.list(at + prefix)
            keys = [entry.key for entry in listed]
            promise(keys == expected, f"list: of {prefix!r}, all keys below it in order", keys)
            promise(all(entry.size == len(entry.key) - len(at) for entry in listed), "list: the sizes in bytes", listed)


async def many_are_read_at_once(one: Backend, other: Backend, at: str) -> None:
    """read_many gives what is there of many keys, once each"""
    keys = [f"{at}{number:03}" for number in range(60)]
    for key in keys[::2]:
        await one.write(key, Body.of(key.encode()))
    found = await other.read_many([*keys, *keys[:9]], most=len(keys[0]))
    promise({key: data for key, (data, _) in found.items()} == {key: key.encode() for key in keys[::2]}, "read_many: what is there", found)
    promise({key: entry for key, (_, entry) in found.items()} == {e.key: e for e in await one.list(at)}, "read_many: list's entries", found)
    await refused(one.read_many(keys, most=len(keys[0]) - 1), BackendError, "read_many: of something larger than most")


async def readers_take_no_more_than_they_said(one: Backend, other: Backend, at: str) -> None:
    """more than most bytes are an error before they are given"""
    for size in 1, BIG:
        await one.write(at + "a", pieces(pattern(size), 65_536))
        for most in 0, size // 2, size - 1:
            given = bytearray()
            await refused(one.read(at + "a", given.extend, most=most), BackendError, f"read: {most=} of {size}")
            promise(len(given) <= most, f"read: gives at most {most} bytes", len(given))


async def errors_of_sinks_come_through(one: Backend, other: Backend, at: str) -> None:
    """what the sink of a read, or the chunks of a write, raise comes through, and leaves what is there as it was"""
    before = pattern(BIG)
    tag = await one.write(at + "a", pieces(before, 100_000))
    for error in OSError("of the caller"), KeyError("of the caller"), StoreError("of the caller"):

        def sink(chunk: Chunk, error: Exception = error) -> None:
            raise error

        def chunks(error: Exception = error) -> Iterator[Chunk]:
            yield before[: BIG // 2]
            raise error

        for asked, what in (one.read(at + "a", sink), "a sink"), (one.write(at + "a", Body(BIG, chunks)), "chunks"):
            raised = await refused(asked, type(error), f"what {what} raise")
            promise(raised is error, f"what {what} raise comes through as it is", raised)
            await is_there(one, at + "a", before, tag)


async def bodies_are_what_they_say(one: Backend, other: Backend, at: str) -> None:
    """a body of another size than it says is refused, and leaves what is there as it was"""
    for size, said in (0, 1), (1, 0), (10, 9), (10, 11), (BIG, BIG - 1), (BIG, BIG + 1):
        data = pattern(size)
        for key in at + "a", at + "missing":
            before = await one.read_many([key], most=9)
            body = Body(said, pieces(data, 65_536).chunks)
            await refused(one.write(key, body), BackendError, f"write: of {size} bytes where the body says {said}")
            promise(await one.read_many([key], most=9) == before, "write: that is refused leaves what is there", before)
        await one.write(at + "a", Body.of(b"%d" % said))


async def keys_that_cannot_be_are_refused(one: Backend, other: Backend, at: str) -> None:
    """a key that some backend could not hold is refused by all, whatever is asked"""
    for key in IMPOSSIBLE_KEYS:
        calls: Sequence[tuple[str, Awaitable[object]]] = (
            ("read", one.read(key, lambda chunk: None)),
            ("read_many", one.read_many([key], most=9)),
            ("write", one.write(key, Body.of(b"x"))),
            ("look", one.look(key)),
            ("list", one.list(key + "/")),
            ("remove", one.remove(key)),
        )
        for method, asked in calls:
            raised = await refused(asked, StoreError, f"{method}: of {key!r:.30}")
            promise(not isinstance(raised, MissingError | ConflictError), f"{method}: of {key!r:.30} is a StoreError of its own", raised)
    await refused(one.list(at[:-1]), StoreError, "list: of a prefix that does not end in a slash")


async def readers_see_the_old_or_the_new(one: Backend, other: Backend, at: str) -> None:
    """while others write, a reader gets one whole content, and that one's entry"""
    written: dict[str, bytes] = {}
    read: list[tuple[bytes, Entry]] = []
    written[await one.write(at + "a", pieces(b"." * 300_000, 50_000))] = b"." * 300_000
    busy = True

    async def reader(backend: Backend) -> None:
        while busy:
            read.append(await read_whole(backend, at + "a", most=400_000))
            read.extend((await backend.read_many([at + "a"], most=400_000)).values())

    async with create_task_group() as group:
        group.start_soon(reader, one)
        group.start_soon(reader, other)
        for number in range(8):
            data = b"%d" % number * (300_000 + number)
            written[await (one, other)[number % 2].write(at + "a", pieces(data, 50_000))] = data
        busy = False
    for data, entry in read:
        promise(written.get(entry.tag) == data, "read: beside a write, the old bytes or the new with their tag", entry)
        promise(entry.size == len(data), "read: beside a write, the size of the bytes it gave", (entry, len(data)))


async def the_cancelled_leave_nothing_half_done(one: Backend, other: Backend, at: str) -> None:
    """a write that is cancelled in the middle of its body happened or did not"""
    old, new = b"old", pattern(BIG)
    for key, before in (at + "a", old), (at + "missing", None):
        if before is not None:
            await one.write(key, Body.of(before))
        begun, go_on = threading.Event(), threading.Event()

        def chunks(begun: threading.Event = begun, go_on: threading.Event = go_on) -> Iterator[Chunk]:
            yield new[: BIG // 2]
            begun.set()
            go_on.wait()
            yield new[BIG // 2 :]

        async with create_task_group() as group:
            group.start_soon(one.write, key, Body(BIG, chunks))
            while not begun.is_set():
                await checkpoint()
            group.cancel_scope.cancel()
            go_on.set()
        found = await one.read_many([key], most=BIG)
        data = found[key][0] if found else None
        promise(data in (before, new), "write: cancelled, leaves the old bytes or the new", data)
        listed = [entry.key for entry in await other.list(at)]
        promise(listed == sorted({at + "a", *found}), "list: nothing else is left by a write that was cancelled", listed)
        again = await other.write(key, Body.of(b"again"))
        await is_there(one, key, b"again", again)


PROMISES: tuple[Callable[[Backend, Backend, str], Awaitable[None]], ...] = (
    nothing_is_there_at_first,
    what_is_written_is_read,
    it_happens_in_worker_threads,
    what_is_removed_is_missing,
    tags_tell_contents_apart,
    conditions_are_kept,
    one_of_many_is_first,
    nothing_is_lost_in_counting,
    lists_are_whole_and_in_order,
    many_are_read_at_once,
    readers_take_no_more_than_they_said,
    errors_of_sinks_come_through,
    bodies_are_what_they_say,
    keys_that_cannot_be_are_refused,
    readers_see_the_old_or_the_new,
    the_cancelled_leave_nothing_half_done,
)
