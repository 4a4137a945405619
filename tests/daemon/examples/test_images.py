"""Image files of strangers: what Pillow reads in them where they are sound, and refused before they cost anything where they are not."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from tailor import MLFeatureError, MLFeatureType
from tailor.daemon.examples.images import MOST_SCANS, picture
from tailor.runtime.values import MLColorSpace, MLFeatureDescription, MLImageConstraint, accept

from .files import SIGNATURE, chunk, exif, header, png

PIXELS = 1 << 20
DRAWING = MLFeatureDescription("drawing", MLFeatureType.IMAGE, constraint=MLImageConstraint(19, 31, MLColorSpace.RGB))


def noise(mode: str) -> Image.Image:
    levels = np.random.default_rng(5).integers(0, 256, (23, 37, 3), dtype=np.uint8)
    return Image.fromarray(levels).convert("L" if mode == "I;16" else "RGB").convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def seen(data: bytes) -> Any:
    """The pixels that a model is given of a file."""
    return accept(DRAWING, picture(data, "input 'drawing'", DRAWING.phrase, PIXELS))


SOUND = [*(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")), *(("JPEG", mode) for mode in ("L", "RGB", "CMYK"))]


@pytest.mark.parametrize(("kind", "mode"), SOUND)
def test_pixels_are_those_that_pillow_reads(kind: str, mode: str) -> None:
    more = {"progressive": True, "comment": b"words", "dpi": (72, 72)} if kind == "JPEG" else {"interlace": 1}
    data = saved(noise(mode), kind, **more)
    with Image.open(BytesIO(data)) as image:
        assert np.array_equal(seen(data), accept(DRAWING, image))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_their_exif_data_says(kind: str, orientation: int) -> None:
    told = Image.Exif()
    told[0x0112], told[0x010F] = orientation, "a maker, to be skipped"
    data = saved(noise("RGB"), kind, exif=told)
    with Image.open(BytesIO(data)) as image:
        assert np.array_equal(seen(data), accept(DRAWING, ImageOps.exif_transpose(image)))


SENSELESS = {"9": exif(9), "0": exif(0), "text": exif(6, kind=2), "cut": exif(6)[:20], "none": b"", "far off": b"II*\0\xff\xff\xff\xff"}


@pytest.mark.parametrize("told", SENSELESS.values(), ids=SENSELESS)
def test_exif_data_that_makes_no_sense_turns_nothing(told: bytes) -> None:
    rows = zlib.compress(bytes([0, 255, 0, 0, 255, 255]))  # two rows of two pixels
    data = b"".join((SIGNATURE, header(2, 2), chunk(b"eXIf", told), chunk(b"IDAT", rows), chunk(b"IEND")))
    value = picture(data, "", "", PIXELS).value
    assert np.asarray(value).tolist() == [[255, 0], [255, 255]]


JPEG = saved(noise("RGB"), "JPEG", progressive=True)
SECOND_FRAME = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, 60000, 60000, 1) + b"\x01\x11\0"

HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "got 0 bytes that are neither"),
    "text": (b"<svg/>", "got 6 bytes that are neither"),
    "another kind": (saved(noise("P"), "GIF"), "as a PNG or JPEG file, got"),
    "gigapixels": (png(60_000, 60_000, rows=bytes(1 << 16)), "of 1 to 1048576 pixels, got a PNG file of 60000x60000"),
    "gigapixels, JPEG": (JPEG[:2] + SECOND_FRAME + b"\xff\xda" + bytes(8), "got a JPEG file of 60000x60000"),
    "no pixels": (png(0, 5, rows=b""), "got a PNG file of 0x5"),
    "two sizes": (png(2, 2, header(60_000, 60_000)), "its header is not where it belongs"),
    "two sizes, JPEG": (JPEG[:2] + SECOND_FRAME + JPEG[2:], "it has 2 headers"),
    "no size": (JPEG[:2] + b"\xff\xda" + bytes(8), "it has 0 headers"),
    "no header": (SIGNATURE + chunk(b"IDAT") + chunk(b"IEND"), "its header is not where it belongs"),
    "a long chunk": (SIGNATURE + struct.pack(">I", 2**31) + b"IHDR", "it ends early"),
    "many chunks": (png(2, 2, chunk(b"tEXt") * 16_400), "it has more than 16384 chunks"),
    "many segments": (JPEG[:2] + b"\xff\xe1\0\x02" * 16_400, "it has more than 16384 segments"),
    "filled": (JPEG[:2] + b"\xff" * 2_000_000, "a marker is missing"),
    "many scans": (JPEG + b"\xff\xda\0\x02" * MOST_SCANS, "it has more than 64 scans"),
    "pixels that lack": (png(64, 64, rows=bytes(100)), "cannot be decoded"),
    "pixels that are none": (SIGNATURE + header(2, 2) + chunk(b"IDAT", b"no") + chunk(b"IEND"), "cannot be decoded"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_sound_image_is_refused_at_little_cost(case: str) -> None:
    data, told = HOSTILE[case]
    tracemalloc.start()
    try:
        with pytest.raises(MLFeatureError, match="input 'drawing'") as raised:
            seen(data)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(data) + (1 << 20)
    finally:
        tracemalloc.stop()
    assert told in str(raised.value)


def test_files_that_are_cut_anywhere_are_refused() -> None:
    for whole in (JPEG, saved(noise("RGB"), "PNG")):
        for length in range(0, len(whole), 101):
            with pytest.raises(MLFeatureError, match=r"input 'drawing'"):
                seen(whole[:length])


ENTRIES = b"II*\0\x08\0\0\0\xff\xff" + b"".join(struct.pack("<HHII", 0x8000 + tag, 7, 60_000, 0) for tag in range(5000))
"""EXIF data with entries that all refer to the same bytes: whoever reads each has 300 megabytes."""

BURDENED = {
    "text": png(19, 31, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20))) * 60),
    "profile": png(19, 31, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 24)))),
    "EXIF": png(19, 31, chunk(b"eXIf", ENTRIES)),
    "EXIF, JPEG": JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(ENTRIES) + 8) + b"Exif\0\0" + ENTRIES + JPEG[2:],
}


@pytest.mark.parametrize("case", BURDENED)
def test_what_is_beside_the_pixels_is_not_read(case: str) -> None:
    tracemalloc.start()
    try:
        assert seen(BURDENED[case]).shape == (31, 19, 3)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(BURDENED[case]) + (1 << 19)
    finally:
        tracemalloc.stop()
