"""Image files made by hand, part by part, as the PNG specification and ITU-T T.81 have them."""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, data: bytes = b"") -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def header(width: int, height: int) -> bytes:
    """Eight bits of grey, not interlaced."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def png(width: int, height: int, *between: bytes, rows: bytes | None = None) -> bytes:
    """A black PNG file with chunks ``between`` header and pixels; ``rows``: in place of the pixels' bytes."""
    pixels = bytes((width + 1) * height) if rows is None else rows
    return b"".join((SIGNATURE, header(width, height), *between, chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND")))


def exif(orientation: int, kind: int = 3) -> bytes:
    """EXIF data, big-endian, that says but one thing. ``kind`` 3 is what the standard asks for: a short."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, kind, 1, orientation, 0, 0)
