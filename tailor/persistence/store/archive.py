"""A store, or a part of one, in one file (``FORMAT.md``, "Archive"): how it is written, and reading it with every check that it allows."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from ..errors import RecordError, RecordVersionError, StoreError, brief
from ..records import LIMITS, VERSION_BYTES, Chunk, Head, Limits, RecordCheck, Replacement, Version, parse_record
from .history import Links
from .names import HEADS, OBJECTS, PRUNED, REPLACED, TAGS, name_of, object_key, pruned_key

MAGIC = b"\x89tlrarch\r\n\x1a\n"
LAYOUT = 1
KEY_LENGTH, SIZE = struct.Struct("<H"), struct.Struct("<Q")
DIGEST_BYTES = 32
CHUNK_BYTES = 2**20
LONGEST_KEY = 900
MOST_ENTRIES = 2**22

MARK = re.compile(r"(pruned|replaced)/([0-9a-f]{64})")
OBJECT = re.compile(r"objects/[0-9a-f]{2}/([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """What an archive has under a key, and where in the file its bytes are."""

    key: str
    start: int
    size: int


@dataclass
class ArchiveContents:
    """What an archive holds: ``entries`` without heads and tags in order, each after all that it refers to; then those."""

    entries: list[ArchiveEntry] = field(default_factory=list)
    versions: dict[str, Links] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    models: dict[str, str | None] = field(default_factory=dict)
    pruned: set[str] = field(default_factory=set)
    replaced: dict[str, str] = field(default_factory=dict)
    heads: list[Head] = field(default_factory=list)
    tags: list[Head] = field(default_factory=list)


def archive_chunks(entries: Iterable[tuple[str, int, Iterable[Chunk]]]) -> Iterator[Chunk]:
    """An archive's file in chunks, of keys, sizes and bytes that come in the order that the format asks for."""
    digest, count = hashlib.sha256(), 0

    def framed() -> Iterator[Chunk]:
        nonlocal count
        yield MAGIC + bytes((LAYOUT,))
        for key, size, chunks in entries:
            yield KEY_LENGTH.pack(len(key)) + key.encode("ascii") + SIZE.pack(size)
            yield from chunks
            count += 1
        yield KEY_LENGTH.pack(0) + SIZE.pack(count)

    for chunk in framed():
        digest.update(chunk)
        yield chunk
    yield digest.digest()


def read_archive(file: BinaryIO, source: str, size: int, *, progress: Callable[[int], object], limits: Limits = LIMITS) -> ArchiveContents:
    """Reads all of an archive of ``size`` bytes once and checks every byte and every reference, in memory of a few MiB and what the
    keys take; ``progress`` is told how far it is, and may raise.

    Raises ``RecordError`` naming ``source``, what is wrong and where, ``RecordVersionError`` for a layout that is not known.
    """
    reader = _Reader(file, size, limits, progress)
    try:
        return reader.read()
    except RecordError as error:
        raise error.of(source) from None


class _Reader:
    def __init__(self, file: BinaryIO, size: int, limits: Limits, progress: Callable[[int], object]) -> None:
        self._file = file
        self._size = size
        self._limits = limits
        self._progress = progress
        self._at = 0
        self._digest = hashlib.sha256()
        self._found = ArchiveContents()
        self._seen: set[str] = set()

    def read(self) -> ArchiveContents:
        magic = self._take(len(MAGIC), "magic")
        if magic != MAGIC:
            raise RecordError("magic", "a tailor archive", f"{magic[:8].hex(' ')} ...")
        layout = self._take(1, "layout")[0]
        if layout != LAYOUT:
            raise RecordVersionError("layout", f"version {LAYOUT}", f"version {layout}, which this tailor does not know")
        while length := KEY_LENGTH.unpack(self._take(KEY_LENGTH.size, "key"))[0]:
            self._entry(length)
        count = SIZE.unpack(self._take(SIZE.size, "count"))[0]
        if count != len(self._seen):
            raise RecordError("count", f"{len(self._seen)} entries", str(count))
        expected = self._digest.digest()
        written = self._take(DIGEST_BYTES, "SHA-256")
        if written != expected:
            raise RecordError("SHA-256", f"{written.hex()}, as the file says", f"{expected.hex()}: damaged")
        if self._at != self._size:
            raise RecordError("size", f"{self._at} bytes", f"{self._size}: too long")
        return self._found

    def _take(self, count: int, what: str) -> bytes:
        data = self._file.read(count) if count <= self._size - self._at else b""
        if len(data) != count:
            raise RecordError(f"{what} (byte {self._at})", f"{count} bytes more", f"{max(0, self._size - self._at)}: truncated")
        self._at += count
        self._digest.update(data)
        return data

    def _chunks(self, size: int, what: str) -> Iterator[bytes]:
        if size > self._size - self._at:
            raise RecordError(f"{what} (byte {self._at})", f"{size} bytes more", f"{self._size - self._at}: truncated")
        while size:
            chunk = self._take(min(size, CHUNK_BYTES), what)
            size -= len(chunk)
            self._progress(self._at)
            yield chunk

    def _entry(self, length: int) -> None:
        where = f"key (byte {self._at})"
        if length > LONGEST_KEY:
            raise RecordError(where, f"at most {LONGEST_KEY} bytes", str(length))
        if len(self._seen) == MOST_ENTRIES:
            raise RecordError(where, f"at most {MOST_ENTRIES} entries", "more")
        raw = self._take(length, "key")
        key = raw.decode("ascii", "replace")
        if key in self._seen:
            raise RecordError(where, "keys that differ", f"{brief(key)} twice")
        self._seen.add(key)
        size = SIZE.unpack(self._take(SIZE.size, "size"))[0]
        entry = ArchiveEntry(key, self._at, size)
        try:
            if key.startswith((HEADS, TAGS)):
                self._pointer(entry)
                return
            if self._found.heads or self._found.tags:
                raise RecordError("key", "heads and tags last", "another after one")
            if key.startswith(OBJECTS):
                self._object(entry)
            elif key.startswith((PRUNED, REPLACED)):
                self._mark(entry)
            else:
                raise RecordError("key", "objects/, pruned/, replaced/, heads/ or tags/", "another")
            self._found.entries.append(entry)
        except RecordError as error:
            raise error.within(f"entry {key[:200]!r} (byte {entry.start})") from None
        except StoreError as error:
            raise RecordError(where, "the key of a head or a tag", str(error)) from None

    def _small(self, entry: ArchiveEntry, most: int) -> bytes:
        if entry.size > most:
            raise RecordError("size", f"at most {most} bytes", str(entry.size))
        return b"".join(self._chunks(entry.size, "bytes"))

    def _pointer(self, entry: ArchiveEntry) -> None:
        name = name_of(entry.key)
        head, _ = parse_record(self._small(entry, VERSION_BYTES), self._limits)
        if not isinstance(head, Head) or head.name != name:
            raise RecordError("record", f"the head of {name}", brief(head))
        if head.version not in self._found.versions:
            raise RecordError("version", "a version that is in the archive before it", head.version)
        (self._found.heads if entry.key.startswith(HEADS) else self._found.tags).append(head)

    def _mark(self, entry: ArchiveEntry) -> None:
        match = MARK.fullmatch(entry.key)
        if match is None:
            raise RecordError("key", "a mark under a hash", brief(entry.key))
        if entry.key == pruned_key(match[2]):
            self._small(entry, 0)
            self._found.pruned.add(match[2])
            return
        record, _ = parse_record(self._small(entry, VERSION_BYTES), self._limits)
        if not isinstance(record, Replacement):
            raise RecordError("record", "what a snapshot was replaced by", brief(record))
        self._snapshot(record.snapshot, "snapshot")
        self._found.replaced[match[2]] = record.snapshot

    def _object(self, entry: ArchiveEntry) -> None:
        match = OBJECT.fullmatch(entry.key)
        if match is None or entry.key != object_key(match[1]):
            raise RecordError("key", "objects/, two digits and a hash that begins with them", brief(entry.key))
        check = RecordCheck(entry.size, self._limits)
        for chunk in self._chunks(entry.size, "bytes"):
            check.update(chunk)
        found = check.finish()
        if found.hash != match[1]:
            raise RecordError("hash", match[1], found.hash)
        if found.version is not None:
            self._version(found.hash, found.version)
        elif found.kind in ("delta", "full"):
            self._found.kinds[found.hash] = found.kind
            self._found.models[found.hash] = found.model
        else:
            raise RecordError("kind", "a snapshot or a version", repr(found.kind))

    def _version(self, digest: str, version: Version) -> None:
        for place, parent in enumerate(version.parents):
            if parent not in self._found.versions:
                raise RecordError(f"parents[{place}]", "a version that is in the archive before it", parent)
        if digest not in self._found.pruned:
            kind = self._snapshot(version.snapshot, "snapshot")
            if kind == "delta" and (version.base is None or self._found.kinds.get(version.base) != "full"):
                raise RecordError("base", "a full snapshot that is in the archive before it", brief(version.base))
        self._found.versions[digest] = Links.of(version)

    def _snapshot(self, digest: str, where: str) -> str:
        """The kind of the snapshot that a hash stands for. Every mark was checked so, so that they lead to one."""
        found = digest
        while found not in self._found.kinds and found in self._found.replaced:
            found = self._found.replaced[found]
        if found not in self._found.kinds:
            raise RecordError(where, "a snapshot that is in the archive before it", digest)
        return self._found.kinds[found]
