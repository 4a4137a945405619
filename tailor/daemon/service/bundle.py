"""One file of many: a tar whose last member tells the SHA-256 of every other, and whose name tells that of itself."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import msgspec

from tailor import MLModelError
from tailor.persistence import write_atomically

CHUNK = 1 << 20
BLOCK = tarfile.BLOCKSIZE
LAYOUT = 1
MANIFEST = re.compile(r"manifest-([0-9a-f]{64})\.json")
MOST_MANIFEST = 64 << 20
PRIVATE = 0o600


class FileEntry(msgspec.Struct, frozen=True):
    """What is told of a file."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a backup.

    ``made_at``   when, ISO 8601. ``settings``: where the file of settings was; ``store``: where versions were, without secrets.
    ``heads``     model, user, branch, and the version that was the last one at that moment.
    """

    layout: int = LAYOUT
    made_at: str
    settings: str | None
    store: str
    heads: list[tuple[str, str, str, str]]
    files: dict[str, FileEntry] = {}


def write_bundle(output: Path, members: Mapping[str, Path], told: Manifest) -> int:
    """Writes the files ``members`` by their names, and what is ``told``, to ``output``, whole or not at all, for its owner only.

    Returns how many bytes. Raises ``OSError``.
    """
    if output.exists():
        output.chmod(PRIVATE)  # one that is replaced keeps its mode
    write_atomically(output, _written(members, told), mode=PRIVATE)
    return output.stat().st_size


def _written(members: Mapping[str, Path], told: Manifest) -> Iterator[bytes]:
    files: dict[str, FileEntry] = {}
    for name, path in members.items():
        with path.open("rb") as file:
            size, digest = os.fstat(file.fileno()).st_size, hashlib.sha256()
            yield _header(name, size)
            for chunk in _chunks(file, size, str(path)):
                digest.update(chunk)
                yield chunk
            yield bytes(-size % BLOCK)
        files[name] = FileEntry(size, digest.hexdigest())
    manifest = msgspec.json.encode(msgspec.structs.replace(told, files=files))
    yield _header(f"manifest-{hashlib.sha256(manifest).hexdigest()}.json", len(manifest))
    yield manifest + bytes(-len(manifest) % BLOCK + 2 * BLOCK)


def _header(name: str, size: int) -> bytes:
    made = tarfile.TarInfo(name)
    made.size, made.mode = size, PRIVATE
    return made.tobuf(tarfile.PAX_FORMAT)


def _chunks(file: IO[bytes], size: int, where: str) -> Iterator[bytes]:
    """So many bytes. Raises ``MLModelError`` where there are fewer."""
    while size:
        chunk = file.read(min(size, CHUNK))
        if not chunk:
            raise MLModelError(f"{where}: expected {size} bytes more, got the end of the file")
        size -= len(chunk)
        yield chunk


class Bundle:
    """What ``write_bundle`` wrote: ``with Bundle(path) as bundle``. ``told`` is as it was written; files are compared when they are read.

    Raises ``MLModelError`` for anything else, and for damage; ``OSError``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - the object is the context manager
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
            raise self._none(str(error)) from error
        try:
            self._members = self._listed()
            self.told = self._manifest()
            if [member.name for member in self._members[:-1]] != list(self.told.files):
                raise self._none("other files than it tells of")
        except BaseException:
            self._tar.close()
            raise

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def extract(self, name: str, to: Path) -> None:
        """Writes one of the files to a path where nothing is. Raises ``MLModelError`` where it is damaged, and nothing is left then."""
        write_atomically(to, self.read(name), mode=PRIVATE)

    def read(self, name: str) -> Iterator[bytes]:
        """One of the files, in chunks. Raises ``MLModelError`` behind the last of one that is damaged."""
        member = next(one for one in self._members if one.name == name)
        expected, digest = self.told.files[name], hashlib.sha256()
        try:
            file = self._tar.extractfile(member)
            assert file is not None
            for chunk in _chunks(file, member.size, f"{self._path}: {name}"):
                digest.update(chunk)
                yield chunk
        except tarfile.TarError as error:
            raise self._none(str(error)) from error
        got = FileEntry(member.size, digest.hexdigest())
        if got != expected:
            told = f"expected {expected.size} bytes with the SHA-256 {expected.sha256[:12]}..., got {got.size} with {got.sha256[:12]}..."
            raise MLModelError(f"{self._path}: {name}: {told}: damaged")

    def _listed(self) -> list[tarfile.TarInfo]:
        try:
            members = self._tar.getmembers()
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:  # of numbers that cannot be, headers of headers
            raise self._none(str(error)) from error
        if not members or any(member.type != tarfile.REGTYPE or member.issparse() for member in members):
            raise self._none("links, folders, holes, or nothing")
        return members

    def _manifest(self) -> Manifest:
        last = self._members[-1]
        named = MANIFEST.fullmatch(last.name)
        file = self._tar.extractfile(last)
        if named is None or file is None or last.size > MOST_MANIFEST:
            raise self._none("another file, or one that is cut off")
        data = file.read()
        if hashlib.sha256(data).hexdigest() != named[1]:
            raise self._none("one that is damaged")
        try:
            told = msgspec.json.decode(data, type=Manifest)
        except msgspec.MsgspecError as error:
            raise self._none(str(error)) from error
        if told.layout != LAYOUT:
            raise MLModelError(f"{self._path}: expected a backup of layout {LAYOUT}, got {told.layout}: a later tailor wrote it")
        return told

    def _none(self, got: str) -> MLModelError:
        return MLModelError(f"{self._path}: expected what 'tailor backup --daemon' wrote, got {got}")
