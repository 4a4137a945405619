"""What opens an encrypted store: a passphrase, or a secret in a file."""

from __future__ import annotations

import os
import re
import secrets
import stat
import unicodedata
from dataclasses import dataclass, field
from typing import TypeAlias

from ..atomic import SYSTEM
from ..errors import EncryptionError
from .primitives import hkdf, scrypt

WRAPPING_BYTES = 64
SECRET_BYTES = 32
LINE = re.compile(rb"tailor-key-1 ([0-9a-f]{64})\r?\n?")
PURPOSE = b"tailor key file 1"


@dataclass(frozen=True, slots=True)
class ScryptCost:
    """What guessing one passphrase costs (RFC 7914): ``2 ** log2_n`` blocks of ``128 r`` bytes, ``p`` times.

    By default 128 MiB and about half a second, as OWASP advises. Raises ``EncryptionError`` for more than 512 MiB, or 16 times the
    default's work: whoever opens a store has to pay it; and for ``log2_n`` of 16 r or more, for which there is no scrypt.
    """

    log2_n: int = 17
    r: int = 8
    p: int = 1

    def __post_init__(self) -> None:
        there_is = 1 <= self.r <= 255 and 1 <= self.p <= 255 and 1 <= self.log2_n < min(31, 16 * self.r)
        if not there_is or self.memory > MOST_MEMORY or self.work > MOST_WORK:
            what = f"at most {MOST_MEMORY} bytes of memory (128 r 2^log2_n), r p 2^log2_n of at most {MOST_WORK} and log2_n below 16 r"
            raise EncryptionError(f"scrypt: expected {what}, got log2_n={self.log2_n}, r={self.r}, p={self.p}")

    @property
    def memory(self) -> int:
        """In bytes."""
        return 128 * self.r << self.log2_n

    @property
    def work(self) -> int:
        """In blocks of 128 bytes that are mixed."""
        return self.r * self.p << self.log2_n


MOST_MEMORY = 2**29
MOST_WORK = 2**24


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase of any characters, in Unicode's form NFC, so that it does not matter how a keyboard composes an accent.

    Raises ``EncryptionError`` for an empty one, and for half characters (surrogates).
    """

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise EncryptionError(f"passphrase: expected text, got {type(self.text).__name__}")
        if not self.text:
            raise EncryptionError("passphrase: expected at least one character, got none")
        if any(0xD800 <= ord(character) < 0xE000 for character in self.text):
            raise EncryptionError("passphrase: expected Unicode text, got a surrogate")

    def wrapping_key(self, salt: bytes, cost: ScryptCost) -> bytes:
        """64 bytes. Takes the time and the memory of ``cost``; raises ``EncryptionError`` where there is less memory."""
        text = unicodedata.normalize("NFC", self.text).encode("utf-8")
        try:
            return scrypt(text, salt, n=1 << cost.log2_n, r=cost.r, p=cost.p, length=WRAPPING_BYTES)
        except MemoryError:
            raise EncryptionError(f"passphrase: expected {cost.memory >> 20} MiB of memory for scrypt, got less") from None


@dataclass(frozen=True, slots=True)
class SecretKey:
    """32 random bytes, as a key file holds them."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.secret, bytes) or len(self.secret) != SECRET_BYTES:
            got = f"{len(self.secret)} bytes" if isinstance(self.secret, bytes) else type(self.secret).__name__  # never the secret itself
            raise EncryptionError(f"secret key: expected {SECRET_BYTES} bytes, got {got}")

    def wrapping_key(self, salt: bytes) -> bytes:
        """64 bytes."""
        return hkdf(self.secret, salt, PURPOSE, WRAPPING_BYTES)


StoreKey: TypeAlias = Passphrase | SecretKey


def check_store_key(key: StoreKey) -> None:
    """Raises ``EncryptionError`` for anything else, such as a text that nobody has called a passphrase."""
    if not isinstance(key, (Passphrase, SecretKey)):
        raise EncryptionError(f"key: expected a Passphrase or a SecretKey, got {type(key).__name__}")


def write_key_file(path: str | os.PathLike[str]) -> SecretKey:
    """Makes a new secret and a file with it, readable by its owner only. Without it what it alone opens is lost: keep a copy.

    Raises ``FileExistsError``, and leaves what is there, for a path that exists; other ``OSError``.
    """
    key = SecretKey(secrets.token_bytes(SECRET_BYTES))
    name = os.fspath(path)
    file = SYSTEM.create(name, 0o600)
    try:
        try:
            SYSTEM.permit(file, 0o600)
            left = memoryview(f"tailor-key-1 {key.secret.hex()}\n".encode())
            while left:
                left = left[SYSTEM.write(file, left) :]
            SYSTEM.flush(file)
        finally:
            SYSTEM.close(file)
    except BaseException:
        SYSTEM.remove(name)
        raise
    SYSTEM.flush_folder(os.path.dirname(os.path.realpath(name)))
    return key


def read_key_file(path: str | os.PathLike[str]) -> SecretKey:
    """The secret of a key file.

    Raises ``EncryptionError`` for a file that others than its owner may read or write, as ssh does, and for one that is no key file;
    ``OSError``. Where the system has no such permissions (Windows) they are not asked for.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if os.name != "nt" and mode & 0o077:
            raise EncryptionError(f"{name}: expected a key file that only its owner can read (chmod 600), got permissions {mode:04o}")
        found = LINE.fullmatch(file.read(1024))
    if found is None:
        raise EncryptionError(f"{name}: expected a key file: one line 'tailor-key-1' and 64 hex digits, got something else")
    return SecretKey(bytes.fromhex(found[1].decode()))
