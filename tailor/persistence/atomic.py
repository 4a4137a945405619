"""Files that are replaced whole: whatever stops the writer, the old file or the new one is there, never a part."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Data: TypeAlias = bytes | bytearray | memoryview

SOON_BYTES = 2**23  # written since the disk was last told to begin
TEMPORARY = (".tailor-", ".tmp")  # what a killed writer may leave behind: safe to remove once no writer runs


class Files:
    """The operations of the file system that a write is made of; tests put faults into them."""

    def create(self, path: str, mode: int) -> int:
        """Opens a new file for writing; one that exists, even as a link, is an error."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), mode)

    def permit(self, file: int, mode: int) -> None:
        """Sets a file's permissions, where the system has them."""
        if os.name != "nt":
            os.fchmod(file, mode)

    def write(self, file: int, data: memoryview) -> int:
        """Writes a beginning of ``data``; returns its length."""
        return os.write(file, data)

    def flush_soon(self, file: int, start: int, count: int) -> None:
        """Lets the disk begin with a part that was written, where the system can be told to, so that ``flush`` has less to wait for."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file, start, count, os.POSIX_FADV_DONTNEED)  # Linux writes what it is to forget

    def flush(self, file: int) -> None:
        """Waits until the file's bytes are on the disk."""
        if sys.platform == "darwin":
            import fcntl

            try:  # fsync there stops at the disk's own cache
                fcntl.fcntl(file, fcntl.F_FULLFSYNC)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                    raise
        os.fsync(file)

    def close(self, file: int) -> None:
        """Closes a file; it is closed even where this raises."""
        os.close(file)

    def replace(self, source: str, target: str) -> None:
        """Gives ``source`` the name ``target``, in one step."""
        os.replace(source, target)

    def flush_folder(self, path: str) -> None:
        """Waits until a folder's names are on the disk, where a folder can be asked to."""
        if os.name == "nt":
            return
        folder = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            os.fsync(folder)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
                raise
        finally:
            os.close(folder)

    def remove(self, path: str) -> None:
        """Removes a file."""
        os.remove(path)


SYSTEM = Files()


def write_atomically(
    path: str | os.PathLike[str],
    data: Data | Iterable[Data],
    *,
    mode: int | None = None,
    files: Files = SYSTEM,
    replace: Callable[[str, str], None] | None = None,
) -> None:
    """Makes ``data``, whole or in chunks, the content of the file at ``path``.

    A temporary file in the same folder is written, flushed to the disk, given the name, and the folder flushed. Until
    then readers see the old file, from then on the new one. On any failure, an exception from the iterable included,
    the temporary file is removed and the old file is as it was; only where flushing the folder fails is the new file
    there already, though perhaps not for certain after a power cut.

    ``mode``: the permissions of a new file (``None``: the umask's default). A file that exists keeps its own. A symbolic
    link stays, and what it points to is replaced.

    Raises ``OSError`` naming ``path``: among others ``FileNotFoundError`` where there is no such folder,
    ``IsADirectoryError``, and ``EINVAL`` where the target is no regular file (a device, a pipe). What the iterable
    raises comes through as it is.
    """
    name = os.fspath(path)
    target = os.path.realpath(name)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, secrets.token_hex(8).join(TEMPORARY))
    with _naming(name):
        kept = _permissions(target)
        wanted = mode if kept is None else kept
        file = files.create(temporary, 0o666 if wanted is None else 0o600)
    is_open = True
    written, begun = 0, 0
    try:
        for chunk in (data,) if isinstance(data, Data) else data:
            with _naming(name):
                written += _write(files, file, chunk)
                if written - begun >= SOON_BYTES:
                    files.flush_soon(file, begun, written - begun)
                    begun = written
        with _naming(name):
            if wanted is not None:
                files.permit(file, wanted)
            files.flush(file)
            is_open = False
            files.close(file)
            (replace or files.replace)(temporary, target)
    except BaseException as failure:
        with _noting(failure):
            if is_open:
                files.close(file)
        with _noting(failure):
            files.remove(temporary)
        raise
    with _naming(name):
        files.flush_folder(folder)


def _permissions(target: str) -> int | None:
    """The permissions of the file that is there; ``None`` if there is none."""
    try:
        found = os.stat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", target)
    return stat.S_IMODE(found.st_mode) & 0o777


def _write(files: Files, file: int, chunk: Data) -> int:
    left = memoryview(chunk).cast("B") if len(chunk) else memoryview(b"")
    size = len(left)
    while left:
        count = files.write(file, left)
        if count <= 0:
            raise OSError(errno.EIO, "nothing was written")
        left = left[count:]
    return size


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Lets an error name the file that was asked for, not a temporary one or none."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


@contextmanager
def _noting(failure: BaseException) -> Iterator[None]:
    """Keeps the first failure the one that is raised; one in cleaning up behind it becomes a note."""
    try:
        yield
    except OSError as error:
        failure.add_note(f"and in cleaning up: {error}")
