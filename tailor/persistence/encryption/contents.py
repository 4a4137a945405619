"""Contents that a server can neither read nor change: segments of authenticated encryption, bound to their key and to each other.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizar: "Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance", 2015), under a key for each object. ``ENCRYPTION.md`` has it byte by byte.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator

from ..backends import Body, Chunk, check_size, exact_chunks
from ..errors import ForgedError
from .keyring import ID_BYTES, DataKey, Keyring
from .primitives import TAG_BYTES, Aead, Data, NotAuthentic, aead, hkdf

MAGIC = b"\x89tailobj"
VERSION = 1
SALT_BYTES = 32
SIZE_BYTES = 8
BEFORE_SALT = len(MAGIC) + 1 + ID_BYTES
BEFORE_SIZE = BEFORE_SALT + SALT_BYTES
HEADER_BYTES = BEFORE_SIZE + SIZE_BYTES
SEGMENT_BYTES = 2**18
PREFIX_BYTES = 7
COUNTER_BYTES = 4
MOST_BYTES = SEGMENT_BYTES << 8 * COUNTER_BYTES
PURPOSE = b"tailor object 1"


def sealed_size(size: int) -> int:
    """How many bytes become of ``size`` bytes."""
    return HEADER_BYTES + size + TAG_BYTES * _segments(size)


def opened_size(size: int) -> int:
    """How many bytes became ``size`` bytes; 0 for a size that cannot be, which is refused where the object is read."""
    inside = size - HEADER_BYTES
    return max(0, inside - TAG_BYTES * _segments(inside, SEGMENT_BYTES + TAG_BYTES))


def _segments(size: int, length: int = SEGMENT_BYTES) -> int:
    return max(1, -(-size // length))


class _Object:
    """One object's cipher: each of its segments has a nonce of its own, and is good only there, under that name, in that object."""

    def __init__(self, data_key: DataKey, header: bytes, name: str, size: int) -> None:
        made = hkdf(data_key.secret, header[BEFORE_SALT:BEFORE_SIZE], PURPOSE, 32 + PREFIX_BYTES)
        self._prefix = made[32:]
        self._about = header + name.encode("ascii")
        self._last = _segments(size) - 1
        self.aead: Aead = aead(data_key.cipher, made[:32])

    def encrypt(self, number: int, text: Data) -> bytes:
        return self.aead.encrypt(self._nonce(number), text, self._about)

    def decrypt(self, number: int, data: Data) -> bytes:
        return self.aead.decrypt(self._nonce(number), data, self._about)

    def _nonce(self, number: int) -> bytes:
        return self._prefix + number.to_bytes(COUNTER_BYTES, "little") + bytes((number == self._last,))


def seal(body: Body, name: str, data_key: DataKey) -> Iterator[bytes]:
    """The bytes to keep under ``name``, segment by segment; others at each call, for each has a key of its own.

    Raises ``BackendError`` for a body of another size than it says, or of more than ``MOST_BYTES``.
    """
    check_size(name, body.size, MOST_BYTES)
    header = MAGIC + bytes((VERSION,)) + data_key.id + secrets.token_bytes(SALT_BYTES) + body.size.to_bytes(SIZE_BYTES, "little")
    yield header
    cipher = _Object(data_key, header, name, body.size)
    for number, piece in enumerate(_pieces(exact_chunks(name, body))):
        yield cipher.encrypt(number, piece)
    if not body.size:
        yield cipher.encrypt(0, b"")


def _pieces(chunks: Iterable[Chunk]) -> Iterator[Data]:
    """The same bytes in pieces of a segment each, the last one shorter; copied only where a chunk's border is inside."""
    held = bytearray()
    for chunk in chunks:
        view = memoryview(chunk).cast("B") if len(chunk) else memoryview(b"")
        if held:
            missing = SEGMENT_BYTES - len(held)
            held += view[:missing]
            view = view[missing:]
            if len(held) < SEGMENT_BYTES:
                continue
            yield held
            held = bytearray()
        whole = len(view) - len(view) % SEGMENT_BYTES
        for start in range(0, whole, SEGMENT_BYTES):
            yield view[start : start + SEGMENT_BYTES]
        held += view[whole:]
    if held:
        yield held


class Opening:
    """An object that is being read: fed what is kept, in chunks of any size, it gives what was sealed, each byte once it is authenticated.

    ``name`` is the key it is read under, in the store ``source``; what is kept is known to be of ``most`` bytes at most, sealed. Raises
    ``ForgedError`` for whatever was not sealed under that name with one of the keyring's keys.
    """

    def __init__(self, keyring: Keyring, name: str, source: str, most: int | None = None) -> None:
        self._keyring, self._name, self._source = keyring, name, source
        self._most = MOST_BYTES if most is None else min(most, MOST_BYTES)
        self._held = bytearray()
        self._need = HEADER_BYTES
        self._object: _Object | None = None
        self._number = 0
        self._left = 0
        self.size = 0

    def feed(self, chunk: Chunk) -> Iterator[bytes]:
        """What has come out so far; to be taken to its end before more is fed."""
        view = memoryview(chunk)
        while len(view):
            if not self._need:
                raise self._forged(f"{sealed_size(self.size)} bytes", "more")
            part = view[: self._need - len(self._held)]
            view = view[len(part) :]
            piece: Data = part
            if self._held or len(part) < self._need:
                self._held += part
                if len(self._held) < self._need:
                    return
                piece, self._held = self._held, bytearray()
            if self._object is None:
                self._object = self._begin(bytes(piece))
            else:
                yield self._segment(self._object, piece)
            self._need = min(self._left, SEGMENT_BYTES) + TAG_BYTES if self._left or not self._number else 0

    def finish(self) -> None:
        """Raises ``ForgedError`` where something is missing at the end."""
        if self._need:
            begun = self._object is not None
            raise self._forged(f"{sealed_size(self.size)} bytes" if begun else "the header of an encrypted object", "fewer bytes")

    def _begin(self, header: bytes) -> _Object:
        if not header.startswith(MAGIC) or header[len(MAGIC)] != VERSION:
            raise self._forged(f"an encrypted object of version {VERSION}", header[: len(MAGIC) + 1].hex(" "))
        self.size = self._left = int.from_bytes(header[BEFORE_SIZE:], "little")
        if self.size > self._most:
            raise self._forged(f"a header with a size of at most {self._most}", str(self.size))
        identity = header[len(MAGIC) + 1 : BEFORE_SALT]
        for key in self._keyring.data_keys:
            if key.id == identity:
                return _Object(key, header, self._name, self.size)
        expected = "a data key of the keyring as it was when this store was opened"
        raise self._forged(expected, f"{identity.hex()}: keys were rotated since, the keyring was put back, or this is another's")

    def _segment(self, cipher: _Object, piece: Data) -> bytes:
        try:
            text = cipher.decrypt(self._number, piece)
        except NotAuthentic:
            expected = f"segment {self._number} as it was encrypted under this key"
            raise self._forged(expected, "another: damaged, or put there by somebody else") from None
        self._number += 1
        self._left -= len(text)
        return text

    def _forged(self, expected: str, got: str) -> ForgedError:
        return ForgedError(self._name, expected, got, self._source)
