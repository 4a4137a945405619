"""``write_atomically``: the old file or the new one, whole, wherever it fails; and nothing left behind."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tailor.persistence import Files, write_atomically

OLD = b"old content"
NEW: list[bytes | memoryview] = [b"new ", memoryview(b"content"), b"", b", longer than the old one"]
NEW_WHOLE = b"new content, longer than the old one"
STEPS = ["create", "write", "write", "write", "permit", "flush", "close", "replace", "flush_folder"]

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits of this kind")


class Faulty(Files):
    """Does what it is asked to, but for the step with number ``fails_at``, which raises."""

    def __init__(self, fails_at: int | None = None, failure: BaseException | None = None, cannot_remove: bool = False) -> None:
        self.steps: list[str] = []
        self.failed = False
        self.removed = 0
        self.opened: set[int] = set()
        self._fails_at = fails_at
        self._failure = failure or OSError(errno.EIO, "it broke")
        self._cannot_remove = cannot_remove

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if len(self.steps) - 1 == self._fails_at:
            self.failed = True
            raise self._failure

    def create(self, path: str, mode: int) -> int:
        self._step("create")
        file = super().create(path, mode)
        self.opened.add(file)
        return file

    def permit(self, file: int, mode: int) -> None:
        self._step("permit")
        super().permit(file, mode)

    def write(self, file: int, data: memoryview) -> int:
        self._step("write")
        return super().write(file, data)

    def flush(self, file: int) -> None:
        self._step("flush")
        super().flush(file)

    def close(self, file: int) -> None:
        self.opened.remove(file)
        super().close(file)  # a file whose close fails is closed all the same
        if not self.failed:
            self._step("close")

    def replace(self, source: str, target: str) -> None:
        self._step("replace")
        super().replace(source, target)

    def flush_folder(self, path: str) -> None:
        self._step("flush_folder")
        super().flush_folder(path)

    def remove(self, path: str) -> None:
        if self._cannot_remove:
            raise PermissionError(errno.EACCES, "not yours", path)
        self.removed += 1
        super().remove(path)


def test_the_steps_are_in_the_order_that_makes_it_safe(tmp_path: Path) -> None:
    files = Faulty()
    write_atomically(tmp_path / "a", NEW, mode=0o600, files=files)
    assert files.steps == STEPS
    assert files.removed == 0 and not files.opened
    assert (tmp_path / "a").read_bytes() == NEW_WHOLE


FAILURES: dict[str, Callable[[], BaseException]] = {
    "error": lambda: OSError(errno.ENOSPC, "no space left on device"),
    "interrupt": KeyboardInterrupt,
    "memory": MemoryError,
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("there", [True, False], ids=["replaced", "new"])
@pytest.mark.parametrize("fails_at", range(len(STEPS)), ids=[f"{at}-{name}" for at, name in enumerate(STEPS)])
def test_a_failure_anywhere_leaves_the_old_or_the_new_file_and_nothing_else(
    fails_at: int, there: bool, failure: str, tmp_path: Path
) -> None:
    path, raised = tmp_path / "a", FAILURES[failure]()
    if there:
        path.write_bytes(OLD)
    files = Faulty(fails_at, raised)
    with pytest.raises(type(raised)) as caught:
        write_atomically(path, NEW, mode=0o600, files=files)
    assert caught.value is raised
    assert files.steps == STEPS[: fails_at + 1], "nothing is done after the failure"
    assert not files.opened
    if STEPS[fails_at] == "flush_folder":
        assert path.read_bytes() == NEW_WHOLE
    elif there:
        assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == (["a"] if there or STEPS[fails_at] == "flush_folder" else [])
    if isinstance(raised, OSError):
        assert raised.filename == str(path)


def test_a_failure_in_cleaning_up_is_noted_on_the_first(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="it broke") as caught:
        write_atomically(tmp_path / "a", NEW, files=Faulty(2, cannot_remove=True))
    assert any("not yours" in note for note in caught.value.__notes__)


def test_an_iterable_that_raises_leaves_the_old_file_and_its_own_error(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a part"
        raise FileNotFoundError(errno.ENOENT, "no source", "source")

    path = tmp_path / "a"
    path.write_bytes(OLD)
    with pytest.raises(FileNotFoundError, match="source"):
        write_atomically(path, chunks())
    assert path.read_bytes() == OLD and os.listdir(tmp_path) == ["a"]


class Short(Files):
    """A system that never writes more than ``most`` bytes at once."""

    def __init__(self, most: int) -> None:
        self._most = most

    def write(self, file: int, data: memoryview) -> int:
        return super().write(file, data[: self._most])


def test_short_writes_are_gone_on_with(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", NEW, files=Short(3))
    assert (tmp_path / "a").read_bytes() == NEW_WHOLE


def test_a_system_that_writes_nothing_is_an_error_not_a_loop(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nothing was written"):
        write_atomically(tmp_path / "a", NEW, files=Short(0))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", b""),
        ([], b""),
        (b"ab", b"ab"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd").cast("H"), b"abcd"),
        (iter([b"a", b"b"]), b"ab"),
    ],
)
def test_data_may_be_bytes_or_chunks(data: Any, expected: bytes, tmp_path: Path) -> None:
    write_atomically(str(tmp_path / "a"), data)
    assert (tmp_path / "a").read_bytes() == expected


@posix
@pytest.mark.parametrize(
    ("before", "mode", "umask", "after"),
    [
        (None, None, 0o022, 0o644),
        (None, None, 0o077, 0o600),
        (None, 0o600, 0o022, 0o600),
        (None, 0o640, 0o077, 0o640),
        (0o640, None, 0o022, 0o640),
        (0o666, 0o600, 0o022, 0o666),
        (0o400, None, 0o022, 0o400),
    ],
)
def test_permissions(before: int | None, mode: int | None, umask: int, after: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    if before is not None:
        path.write_bytes(OLD)
        path.chmod(before)
    previous = os.umask(umask)
    try:
        write_atomically(path, NEW, mode=mode)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == after
    assert path.read_bytes() == NEW_WHOLE


@posix
def test_content_is_private_until_its_permissions_are_set(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watching(Files):
        def write(self, file: int, data: memoryview) -> int:
            seen.append(stat.S_IMODE(os.fstat(file).st_mode))
            return super().write(file, data)

    write_atomically(tmp_path / "a", b"x", mode=0o644, files=Watching())
    assert seen == [0o600]


@posix
def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").write_bytes(OLD)
    (tmp_path / "link").symlink_to("there/a")
    write_atomically(tmp_path / "link", NEW)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there" / "a").read_bytes() == NEW_WHOLE
    assert sorted(os.listdir(tmp_path)) == ["link", "there"] and os.listdir(tmp_path / "there") == ["a"]


def test_a_folder_that_is_missing_or_is_the_target_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(tmp_path / "absent" / "a", NEW)
    assert caught.value.filename == str(tmp_path / "absent" / "a")
    with pytest.raises(IsADirectoryError) as refused:
        write_atomically(tmp_path, NEW)
    assert refused.value.filename == str(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes, which this system does not have")
def test_what_is_not_a_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        write_atomically(tmp_path / "pipe", NEW)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and os.listdir(tmp_path) == ["pipe"]


def test_a_path_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomically("a", NEW)
    assert (tmp_path / "a").read_bytes() == NEW_WHOLE


@posix
@pytest.mark.parametrize(("number", "raised"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_flush_folders_is_put_up_with(
    number: int, raised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(number, os.strerror(number))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    if raised:
        with pytest.raises(OSError, match=os.strerror(number)):
            write_atomically(tmp_path / "a", NEW)
    else:
        write_atomically(tmp_path / "a", NEW)
    assert (tmp_path / "a").read_bytes() == NEW_WHOLE


def test_a_file_can_be_given_its_name_in_another_way(tmp_path: Path) -> None:
    def refuse(source: str, target: str) -> None:
        assert Path(source).read_bytes() == NEW_WHOLE and target == str(tmp_path / "a")
        raise LookupError("not now")

    (tmp_path / "a").write_bytes(OLD)
    with pytest.raises(LookupError):
        write_atomically(tmp_path / "a", NEW, replace=refuse)
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == OLD
    write_atomically(tmp_path / "a", NEW, replace=os.replace)
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == NEW_WHOLE
