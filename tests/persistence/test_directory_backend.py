"""A folder as a backend: what it leaves on the disk, what it refuses, and what a disk that fails does to it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest

from tailor.persistence import BackendError, Body, ConflictError, DirectoryBackend, Expected, Files
from tailor.persistence.backends import folder, read_whole, waiting

pytestmark = pytest.mark.anyio

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits and links of this kind")


def files_in(path: Path) -> dict[str, bytes]:
    """All files below, the locks aside."""
    found = {each.relative_to(path).as_posix(): each for each in path.rglob("*")}
    return {name: each.read_bytes() for name, each in found.items() if each.is_file() and not name.startswith(".locks/")}


@posix
async def test_files_and_folders_are_private_whatever_the_umask_and_whatever_was_there(tmp_path: Path) -> None:
    backend = DirectoryBackend(tmp_path / "store")
    previous = os.umask(0)
    try:
        await backend.write("a/b", Body.of(b"1"))
        (tmp_path / "store/a/b").chmod(0o666)
        await backend.write("a/b", Body.of(b"2"), expected=Expected.ANYTHING)
    finally:
        os.umask(previous)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "store", *(tmp_path / "store").rglob("*"))}
    assert {mode for name, mode in modes.items() if (tmp_path / "store" / "a" / name).is_file() or len(name) == 2} == {0o600}
    assert {modes[name] for name in ("store", "a", ".locks")} == {0o700}


async def test_a_folder_that_is_missing_is_empty_and_stays_missing_until_a_write(tmp_path: Path) -> None:
    backend = DirectoryBackend(tmp_path / "new/store")
    await backend.remove("a/b")
    assert (await backend.list("a/"), await backend.look("a/b"), await backend.sweep(0), os.listdir(tmp_path)) == ([], None, 0, [])
    await backend.write("a/b", Body.of(b"1"))
    assert files_in(tmp_path) == {"new/store/a/b": b"1"} | {name: b"" for name in files_in(tmp_path) if ".locks" in name}


async def test_a_removed_key_leaves_no_folder_that_tells_its_name(tmp_path: Path) -> None:
    backend = DirectoryBackend(tmp_path)
    await backend.write("heads/m/alice/main", Body.of(b"1"))
    await backend.write("heads/m/bob/main", Body.of(b"1"))
    with pytest.raises(ConflictError):
        await backend.write("heads/m/carol/main", Body.of(b"1"), expected="no-such-tag")
    await backend.remove("heads/m/alice/main")
    assert os.listdir(tmp_path / "heads/m") == ["bob"]


async def test_writers_beside_removers_of_the_same_folder_do_not_fail(tmp_path: Path) -> None:
    backends = DirectoryBackend(tmp_path), DirectoryBackend(tmp_path)

    async def busy(number: int) -> None:
        for _ in range(10):
            await backends[number % 2].write(f"a/b/{number}", Body.of(b"%d" % number))
            await backends[number % 2].remove(f"a/b/{number}")

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(busy, number)
    assert [name for name in os.listdir(tmp_path) if name != ".locks"] == []


@posix
@pytest.mark.parametrize("place", ["a", "a/b", "a/b/c"])
@pytest.mark.parametrize("link", [True, False], ids=["link", "pipe"])
async def test_what_is_neither_file_nor_folder_is_refused_and_not_followed(place: str, link: bool, tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "store"
    (outside / "b").mkdir(parents=True)
    (outside / "b" / "c").write_bytes(b"secret")
    backend = DirectoryBackend(root)
    await backend.write("x/y", Body.of(b"1"))
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    if link:
        (root / place).symlink_to(outside / place.removeprefix("a").lstrip("/"))
    else:
        os.mkfifo(root / place)
    asked: list[Callable[[], Awaitable[object]]] = [
        *(lambda: backend.read("a/b/c", bytes), lambda: backend.look("a/b/c"), lambda: backend.read_many(["a/b/c"], most=9)),
        *(lambda: backend.write("a/b/c", Body.of(b"mine")), lambda: backend.remove("a/b/c"), lambda: backend.list("a/b/")),
    ]
    kind = "a symbolic link" if link else "neither"
    for ask in asked:
        with pytest.raises(BackendError, match=f"{root / place}: expected a file or a folder, got {kind}"):
            await ask()
    assert files_in(outside) == {"b/c": b"secret"}


async def test_other_files_are_overlooked(tmp_path: Path) -> None:
    backend = DirectoryBackend(tmp_path)
    await backend.write("a/b", Body.of(b"1"))
    for name in (".DS_Store", "a/Thumbs.db", "a/read me", "a/.tailor-0123456789abcdef.tmp", "a/B/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"?")
    assert [entry.key for entry in await backend.list("a/")] == ["a/b"]


async def test_a_sweep_removes_what_killed_writers_left_and_nothing_younger_or_other(tmp_path: Path) -> None:
    backend = DirectoryBackend(tmp_path, clock=lambda: 10_000.0)
    left = ".tailor-0123456789abcdef.tmp"
    (tmp_path / "a").mkdir()
    for name, modified in (f"a/{left}", 9_000), (left, 9_990), ("a/.tailor-0.tmp", 0), ("a/old", 0):
        (tmp_path / name).write_bytes(b"?")
        os.utime(tmp_path / name, (modified, modified))
    assert await backend.sweep(11) == 1
    assert sorted(files_in(tmp_path)) == [left, "a/.tailor-0.tmp", "a/old"]


async def test_tags_differ_where_clock_size_and_number_of_the_file_do_not(tmp_path: Path) -> None:
    backend = DirectoryBackend(tmp_path, clock=lambda: 1e9)
    tags = [await backend.write("a", Body.of(b"%03d" % number)) for number in range(60)]
    assert len(set(tags)) == len(tags)
    entry = await backend.look("a")
    assert entry is not None and abs(entry.modified - 1e9) < 1e-3


@pytest.mark.parametrize(("there", "key"), [("file", "file/b"), ("folder/b", "folder")])
async def test_a_file_in_a_folders_place_is_said(there: str, key: str, tmp_path: Path) -> None:
    backend = DirectoryBackend(tmp_path)
    await backend.write(there, Body.of(b"1"))
    with pytest.raises(BackendError, match=f"cannot write {key}: (Not|Is) a directory"):
        await backend.write(key, Body.of(b"2"))
    assert await backend.look(key) is None
    assert await read_whole(backend, there, most=1)


async def test_a_path_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    backend = DirectoryBackend(tmp_path / "file")
    for asked in backend.list("a/"), backend.look("a"), backend.write("a", Body.of(b"1")):
        with pytest.raises(BackendError, match=r"file: cannot (list|read|write) a.*: (Not a directory|File exists)"):
            await asked
    assert files_in(tmp_path) == {"file": b"mine"}


STEPS = ["flush_folder", "create", "write", "permit", "flush", "replace", "flush_folder"]


class Failing(Files):
    """Fails at one of its steps, or at none; counts them."""

    def __init__(self, fails_at: int, number: int) -> None:
        self.steps: list[str] = []
        self._fails_at, self._number = fails_at, number

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if len(self.steps) - 1 == self._fails_at:
            raise OSError(self._number, os.strerror(self._number))

    def create(self, path: str, mode: int) -> int:
        self._step("create")
        return super().create(path, mode)

    def write(self, file: int, data: memoryview) -> int:
        self._step("write")
        return super().write(file, data)

    def permit(self, file: int, mode: int) -> None:
        self._step("permit")
        super().permit(file, mode)

    def flush(self, file: int) -> None:
        self._step("flush")
        super().flush(file)

    def replace(self, source: str, target: str) -> None:
        self._step("replace")
        super().replace(source, target)

    def flush_folder(self, path: str) -> None:
        self._step("flush_folder")
        super().flush_folder(path)


@pytest.mark.parametrize(("fails_at", "number"), [*((at, errno.ENOSPC) for at in range(len(STEPS))), (1, errno.EROFS), (1, errno.EACCES)])
async def test_a_disk_that_fails_is_said_and_leaves_the_old_or_the_new(fails_at: int, number: int, tmp_path: Path) -> None:
    await DirectoryBackend(tmp_path).write("a/b", Body.of(b"old"))
    files = Failing(fails_at, number)
    backend = DirectoryBackend(tmp_path, files=files)
    with pytest.raises(BackendError, match=f"cannot write a/b: {os.strerror(number)}") as caught:
        await backend.write("a/b", Body.of(b"new"))
    assert isinstance(caught.value.__cause__, OSError) and files.steps == STEPS[: fails_at + 1]
    assert files_in(tmp_path) == {"a/b": b"new" if fails_at == len(STEPS) - 1 else b"old"}


async def test_new_folders_are_on_the_disk_before_a_write_returns(tmp_path: Path) -> None:
    flushed: list[str] = []

    class Watching(Files):
        def flush_folder(self, path: str) -> None:
            flushed.append(os.path.relpath(path, tmp_path))
            super().flush_folder(path)

    backend = DirectoryBackend(tmp_path / "p/store", files=Watching())
    for _ in range(2):
        await backend.write("a/b/c", Body.of(b"1"))
    new = [".", "p", "p/store", "p/store/a"]
    assert flushed == [*new, "p/store/a/b", "p/store/a/b"], "each new folder's name, the file's, and in the second write the file's only"


@posix
async def test_who_waits_for_a_lock_can_be_cancelled_and_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    backend = DirectoryBackend(tmp_path)
    await backend.write("a", Body.of(b"old"))
    (lock,) = (tmp_path / ".locks").iterdir()
    with lock.open("w") as held, anyio.CancelScope() as scope:
        fcntl.flock(held, fcntl.LOCK_EX)
        pauses: list[float] = []
        monkeypatch.setattr(waiting, "time", SimpleNamespace(sleep=pauses.append))
        with pytest.raises(BackendError, match="the lock of a: expected to have it in 60 seconds"):
            await backend.write("a", Body.of(b"new"))
        assert sum(pauses) == pytest.approx(60, abs=0.1) and max(pauses) == 0.05
        monkeypatch.setattr(waiting, "time", SimpleNamespace(sleep=lambda pause: anyio.from_thread.run_sync(scope.cancel)))
        await backend.write("a", Body.of(b"new"))
    assert scope.cancelled_caught
    assert files_in(tmp_path) == {"a": b"old"}


async def test_a_large_write_or_read_that_is_cancelled_stops_at_the_next_chunk(tmp_path: Path) -> None:
    backend = DirectoryBackend(tmp_path)
    await backend.write("a", Body(3 << 20, lambda: (bytes(1 << 20) for _ in range(3))))
    taken: list[int] = []
    with anyio.CancelScope() as scope:
        await backend.read("a", lambda chunk: (taken.append(len(chunk)), anyio.from_thread.run_sync(scope.cancel)))
    assert taken == [1 << 20]


async def test_a_system_that_replaces_no_file_while_it_is_read_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy(Files):
        refusals = 3

        def replace(self, source: str, target: str) -> None:
            self.refusals -= 1
            if self.refusals >= 0:
                raise PermissionError(errno.EACCES, "it is being used by another process")
            super().replace(source, target)

    monkeypatch.setattr(folder, "WINDOWS", True)
    await DirectoryBackend(tmp_path, files=Busy()).write("a", Body.of(b"1"))
    assert files_in(tmp_path) == {"a": b"1"}
