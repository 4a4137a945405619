"""A reader of encrypted stores made from ENCRYPTION.md alone, with cryptography's primitives: what other languages would have."""

from __future__ import annotations

import base64
import hashlib
import struct
import unicodedata

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

CHARACTERS = "-./0123456789=_abcdefghijklmnopqrstuvwxyz"


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt or bytes(32), info).derive(secret)


class Reader:
    """``kept``: everything, by the server's keys; opened by a passphrase or by the text of a key file."""

    def __init__(self, kept: dict[str, bytes], passphrase: str | None = None, key_file: str | None = None) -> None:
        self.kept = kept
        ring = kept["encryption/keyring"]
        assert ring[:9] == b"\x89tailkey\x01" and hashlib.sha256(ring[:-32]).digest() == ring[-32:]
        end = 10 + 84 * ring[9]
        masters = [self.unwrap(ring[at : at + 84], passphrase, key_file) for at in range(10, end, 84)]
        (master,) = [found for found in masters if found is not None]
        locked = AESSIV(hkdf(master, b"", b"tailor keyring 1", 64)).decrypt(ring[end:-32], [ring[:end]])
        self.names = AESSIV(locked[:64])
        rows = [locked[at : at + 41] for at in range(64, len(locked), 41)]
        self.keys = {row[:8]: (AESGCM if row[8] == 1 else ChaCha20Poly1305, row[9:]) for row in rows}
        assert {row[8] for row in rows} <= {1, 2}

    @staticmethod
    def unwrap(slot: bytes, passphrase: str | None, key_file: str | None) -> bytes | None:
        kind, log2_n, r, p = slot[:4]
        if kind == 1 and passphrase is not None:
            wrapping = Scrypt(slot[4:36], 64, 2**log2_n, r, p).derive(unicodedata.normalize("NFC", passphrase).encode())
        elif kind == 2 and key_file is not None:
            word, secret = key_file.split()
            assert word == "tailor-key-1" and (log2_n, r, p) == (0, 0, 0)
            wrapping = hkdf(bytes.fromhex(secret), slot[4:36], b"tailor key file 1", 64)
        else:
            return None
        return AESSIV(wrapping).decrypt(slot[36:], [slot[:36]])

    def name(self, key: str) -> str:
        """The server's key for a logical one."""

        def hidden(text: str, lengths: range, *about: bytes) -> str:
            bits = "".join(f"{CHARACTERS.index(character) + 1:06b}" for character in text)
            length = next(length for length in lengths if 8 * length >= len(bits))
            packed = int(bits.ljust(8 * length, "0"), 2).to_bytes(length, "big")
            return base64.b32encode(self.names.encrypt(packed, list(about))).decode().lower()

        folder, slash, rest = key.partition("/")
        if not slash:
            folder, rest = "", key
        text = hidden(rest, range(54, 1000, 60), b"name", *([folder.encode()] if folder else []))
        pieces = [text[at : at + 200] for at in range(0, len(text), 200)]
        return "/".join([hidden(folder, range(9, 200, 15), b"folder"), *pieces] if folder else pieces)

    def contents(self, key: str) -> bytes:
        data = self.kept[self.name(key)]
        header, rest = data[:57], data[57:]
        assert header[:9] == b"\x89tailobj\x01"
        cipher, data_key = self.keys[header[9:17]]
        (size,) = struct.unpack("<Q", header[49:])
        count = max(1, -(-size // 262144))
        assert len(data) == 57 + size + 16 * count
        made = hkdf(data_key, header[17:49], b"tailor object 1", 39)
        text = b""
        for number in range(count):
            nonce = made[32:] + struct.pack("<I", number) + bytes([number == count - 1])
            segment = rest[number * 262160 : (number + 1) * 262160]
            text += cipher(made[:32]).decrypt(nonce, segment, header + key.encode())
        assert len(text) == size
        return text
