"""The ciphers and key derivations that everything here is made of; the only place that knows ``cryptography``.

It is imported when first used: the extra ``crypto`` installs it. Each function raises ``ModuleNotFoundError`` without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

Data: TypeAlias = bytes | bytearray | memoryview

TAG_BYTES = 16
"""By how much each of these ciphers makes its text longer."""


class Cipher(Enum):
    """What contents are encrypted with, by the number that the keyring holds."""

    AES_256_GCM = 1
    """NIST SP 800-38D: the faster one wherever the processor knows AES."""
    CHACHA20_POLY1305 = 2
    """RFC 8439: the faster one elsewhere."""


class Aead(Protocol):
    """Authenticated encryption with associated data, under one key."""

    def encrypt(self, nonce: bytes, data: Data, associated_data: bytes) -> bytes:
        """The text, and a tag of 16 bytes."""

    def decrypt(self, nonce: bytes, data: Data, associated_data: bytes) -> bytes:
        """The text. Raises ``NotAuthentic`` for anything that was not encrypted so."""


class NotAuthentic(Exception):
    """Bytes that were not encrypted under this key, or not as what they are given for."""


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        how = "pip install 'tailor[crypto]'"
        raise ModuleNotFoundError(f"encryption: cryptography is not installed; {how}", name=error.name) from error


@dataclass(frozen=True, slots=True)
class _Checked:
    cipher: Aead

    def encrypt(self, nonce: bytes, data: Data, associated_data: bytes) -> bytes:
        return self.cipher.encrypt(nonce, data, associated_data)

    def decrypt(self, nonce: bytes, data: Data, associated_data: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return self.cipher.decrypt(nonce, data, associated_data)
        except InvalidTag:
            raise NotAuthentic from None


def aead(cipher: Cipher, key: bytes) -> Aead:
    """One of the two ciphers, with a key of 32 bytes; nonces are of 12, and each is for one text only."""
    with _extra():
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
    return _Checked(AESGCM(key) if cipher is Cipher.AES_256_GCM else ChaCha20Poly1305(key))


class Siv:
    """AES-SIV (RFC 5297) with a key of 64 bytes: equal texts become equal bytes, 16 longer than the text, and no nonce is needed."""

    def __init__(self, key: bytes) -> None:
        with _extra():
            from cryptography.hazmat.primitives.ciphers.aead import AESSIV
        self._cipher = AESSIV(key)

    def encrypt(self, text: bytes, *about: bytes) -> bytes:
        """``text``, which is not empty, bound to what it is ``about``, none of which is empty either."""
        return self._cipher.encrypt(text, list(about))

    def decrypt(self, data: bytes, *about: bytes) -> bytes:
        """The text. Raises ``NotAuthentic`` for anything that was not encrypted so."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(data, list(about))
        except InvalidTag:
            raise NotAuthentic from None


def hkdf(secret: bytes, salt: bytes, purpose: bytes, length: int) -> bytes:
    """HKDF-SHA256 (RFC 5869): as many bytes as wanted, others for every salt and purpose."""
    with _extra():
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    return HKDF(SHA256(), length, salt, purpose).derive(secret)


def scrypt(secret: bytes, salt: bytes, *, n: int, r: int, p: int, length: int) -> bytes:
    """scrypt (RFC 7914), which takes 128 n r bytes of memory; other threads run meanwhile."""
    with _extra():
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    return Scrypt(salt, length, n, r, p).derive(secret)
