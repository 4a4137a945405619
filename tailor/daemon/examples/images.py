"""Images that strangers send: PNG and JPEG files, of which only the header is believed before their size is bounded.

Whoever decodes is given only what pixels are made of. Everything else in a file (text, profiles, previews, the rest of the EXIF data) may
itself grow to gigabytes when it is read, and changes no pixel; the orientation is read here. Sources: the PNG specification (W3C), sections
5 and 11; ITU-T T.81, annex B; EXIF 2.32, sections 4.5 and 4.6.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from tailor import MLFeatureError, MLFeatureValue

MOST_PARTS = 2**14
"""Chunks of a PNG file, segments of a JPEG file."""
MOST_SCANS = 64
"""Of a progressive JPEG file: each costs as much as a whole image."""


class Picture(NamedTuple):
    """A file without what is not needed for its pixels. ``orientation``: EXIF's number, ``None`` where it says nothing."""

    width: int
    height: int
    orientation: int | None
    data: bytes


class _BrokenError(Exception):
    """The file is not what it begins as; says why."""


def picture(data: bytes, where: str, phrase: str, pixels: int) -> MLFeatureValue:
    """A PNG or JPEG file of at most ``pixels`` pixels as a value of a model's image. Its pixels are decoded when they are needed.

    Raises ``MLFeatureError``, which ``where`` begins, for what is no such file, ends early in its header, or is larger.
    """
    kind = next((name for name, (start, _) in _KINDS.items() if data.startswith(start)), None)
    if kind is None:
        raise MLFeatureError(f"{where}: expected {phrase}, as a PNG or JPEG file, got {len(data)} bytes that are neither")
    try:
        read = _KINDS[kind][1](data)
    except (_BrokenError, struct.error) as error:
        told = error if isinstance(error, _BrokenError) else "it ends early"
        raise MLFeatureError(f"{where}: expected {phrase}, got a {kind} file that cannot be read: {told}") from None
    if not 0 < read.width * read.height <= pixels:
        raise MLFeatureError(f"{where}: expected {phrase} of 1 to {pixels} pixels, got a {kind} file of {read.width}x{read.height}")
    try:
        image = Image.open(BytesIO(read.data), formats=[kind])
        if image.size != (read.width, read.height):
            raise _BrokenError("it has two sizes")
        return MLFeatureValue.image(image, orientation=read.orientation)
    except Exception as error:  # decoders of broken files raise anything
        raise MLFeatureError(f"{where}: expected {phrase}, got a {kind} file that cannot be read: {error}") from None


def _png(data: bytes) -> Picture:
    """Chunks: a length, a name, so many bytes, a checksum."""
    width, height = 0, 0
    orientation: int | None = None
    kept = [data[:8]]
    at = 8
    for number in range(MOST_PARTS):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise _BrokenError("it ends early")
        if (name == b"IHDR") is not (number == 0) or (number == 0 and length != 13):
            raise _BrokenError("its header is not where it belongs")
        if number == 0:
            width, height = struct.unpack_from(">II", data, at + 8)
        elif name == b"eXIf" and orientation is None:
            orientation = _orientation(data[at + 8 : end - 4])
        if name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(data[at:end])
        if name == b"IEND":
            return Picture(width, height, orientation, b"".join(kept))
        at = end
    raise _BrokenError(f"it has more than {MOST_PARTS} chunks")


_MARKER = re.compile(rb"\xff{1,16}([^\xff])", re.DOTALL)
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DROPPED = (frozenset(range(0xE0, 0xF0)) | {0xFE}) - {0xE0, 0xEE}  # those two tell in which colours pixels are


def _jpeg(data: bytes) -> Picture:
    """Segments up to the first scan: a marker, a length, so many bytes."""
    width, height, frames = 0, 0, 0
    orientation: int | None = None
    kept = [data[:2]]
    at = 2
    for _ in range(MOST_PARTS):
        found = _MARKER.match(data, at)
        if found is None:
            raise _BrokenError("it ends early" if at >= len(data) else "a marker is missing")
        marker, start = found[1][0], found.end()
        if marker in _ALONE:
            at = start
            continue
        if marker == 0xDA:
            if frames != 1:
                raise _BrokenError(f"it has {frames} headers")
            if data.count(b"\xff\xda", at) > MOST_SCANS:
                raise _BrokenError(f"it has more than {MOST_SCANS} scans")
            return Picture(width, height, orientation, b"".join((*kept, data[at:])))
        (length,) = struct.unpack_from(">H", data, start)
        end = start + max(length, 2)
        if end > len(data):
            raise _BrokenError("it ends early")
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, start + 3)
            frames += 1
        elif marker == 0xE1 and orientation is None and data.startswith(b"Exif\0\0", start + 2):
            orientation = _orientation(data[start + 8 : end])
        if marker not in _DROPPED:
            kept.append(data[start - 2 : end])
        at = end
    raise _BrokenError(f"it has more than {MOST_PARTS} segments")


def _orientation(exif: bytes) -> int | None:
    """The orientation among the first entries of EXIF data, from 1 to 8; ``None`` where it says none."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for number in range(min(count, 512)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * number)
            if tag == 0x0112:
                return value if kind == 3 and 1 <= value <= 8 else None
    except struct.error:  # cut short: to other readers too it says nothing
        return None
    return None


_KINDS: dict[str, tuple[bytes, Callable[[bytes], Picture]]] = {"PNG": (b"\x89PNG\r\n\x1a\n", _png), "JPEG": (b"\xff\xd8\xff", _jpeg)}
