"""Images from files, Pillow and arrays; Pillow is the reference for conversions."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tailor.runtime.errors import MLFeatureError
from tailor.runtime.values import MLFeatureDescription, MLFeatureValue, MLMultiArray, SizeRange, accept

from .described import image

WIDTH, HEIGHT = 6, 4
COLOURS = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
PICTURE = Image.fromarray(COLOURS)
GRAYS = np.asarray(PICTURE.convert("L"))
GRAY, RGB, BGR, HALF = (image(WIDTH, HEIGHT, colors) for colors in ("GRAYSCALE", "RGB", "BGR", "GRAYSCALE_FLOAT16"))


def png_of_size(width: int, height: int) -> bytes:
    """A PNG file that says it is this large, and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\x00" * 64)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_every_mode_of_pillow(mode: str) -> None:
    through = {"La": "LA", "PA": "P", "RGBa": "RGBA"}.get(mode)
    picture = PICTURE.convert(through).convert(mode) if through else PICTURE.convert(mode)
    straight = picture.convert(through) if through and through != "P" else picture
    assert np.array_equal(accept(RGB, picture), np.asarray(straight.convert("RGB")))
    assert np.array_equal(accept(BGR, picture), np.asarray(straight.convert("RGB")))
    assert np.array_equal(accept(GRAY, picture), np.asarray(straight.convert("L")))


def test_alpha_is_dropped_not_blended() -> None:
    faint = np.dstack([COLOURS, np.full((HEIGHT, WIDTH), 3, dtype=np.uint8)])
    for value in (faint, Image.fromarray(faint), MLFeatureValue.image(faint)):
        assert np.array_equal(accept(RGB, value), COLOURS)


def test_a_palette_with_transparency(tmp_path: Path) -> None:
    PICTURE.convert("P").save(tmp_path / "palette.png", transparency=b"\x00\x7f\xff")
    assert np.array_equal(accept(RGB, tmp_path / "palette.png"), np.asarray(PICTURE.convert("P").convert("RGB")))


def test_sixteen_bits_of_gray_become_eight() -> None:
    deep = Image.fromarray(np.array([[0, 128, 257, 25700, 65406, 65535]], dtype=np.uint16))
    assert accept(image(6, 1), deep).tolist() == [[0, 0, 1, 100, 254, 255]]


@pytest.mark.parametrize(
    ("described", "value", "pixels"),
    [
        (GRAY, GRAYS, GRAYS),
        (GRAY, GRAYS[..., None], GRAYS),
        (GRAY, COLOURS, GRAYS),
        (GRAY, COLOURS.astype(np.int64), GRAYS),
        (GRAY, GRAYS.tolist(), GRAYS),
        (GRAY, GRAYS.astype(np.float64) + 0.4, GRAYS),
        (GRAY, MLMultiArray(GRAYS), GRAYS),
        (GRAY, MLFeatureValue(GRAYS), GRAYS),
        (GRAY, MLFeatureValue.image(PICTURE), GRAYS),
        (GRAY, GRAYS > 99, np.where(GRAYS > 99, 255, 0)),
        (GRAY, Image.fromarray(GRAYS.astype(np.int32)), GRAYS),
        (GRAY, Image.fromarray(GRAYS.astype(np.float32)), GRAYS),
        (RGB, COLOURS, COLOURS),
        (RGB, GRAYS, np.dstack([GRAYS] * 3)),
        (HALF, GRAYS, GRAYS),
        (HALF, COLOURS, GRAYS),
        (HALF, GRAYS / 255 - 3, (GRAYS / 255 - 3).astype(np.float16)),
        (HALF, Image.fromarray(GRAYS.astype(np.float32) * 8), GRAYS.astype(np.float16) * 8),
        (HALF, GRAYS > 99, np.where(GRAYS > 99, 255, 0)),
    ],
)
def test_pixels_in_arrays(described: MLFeatureDescription, value: Any, pixels: Any) -> None:
    accepted = accept(described, value)
    assert accepted.dtype == (np.float16 if described is HALF else np.uint8)
    assert np.array_equal(accepted, pixels)


def test_floats_are_rounded_to_the_nearest_level() -> None:
    assert accept(image(4, 1), [[0.4, 0.6, 254.5, 255.0]]).tolist() == [[0, 1, 254, 255]]


def test_torch_images_are_arrays() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert np.array_equal(accept(GRAY, torch.from_numpy(GRAYS.copy())), GRAYS)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.full((HEIGHT, WIDTH), 256), r"0\.\.255, got 256 at index \[0, 0\]"),
        (np.array([[0, -1]]), r"0\.\.255, got -1 at index \[0, 1\]"),
        (np.array([[0.0, 255.5]]), r"0\.\.255, got 255\.5"),
        (np.array([[[0.0, np.nan, 0.0]]]), r"0\.\.255, got nan at index \[0, 0, 1\]"),
        (np.zeros((1, HEIGHT, WIDTH)), r"\[H, W\], .*\[H, W, 4\], got a float64 array of shape \[1, 4, 6\]"),
        (np.zeros((HEIGHT, WIDTH, 2)), r"\[4, 6, 2\]"),
        (np.zeros(5), r"\[5\]"),
        (np.zeros((0, 5)), r"\[0, 5\]"),
        (5, r"got"),
        (None, r"got nothing \(None\)"),
        (b"png", "got a bytes"),
        ({"a": 1}, "got a dict of 1"),
        ([["a"]], "<U1"),
        (MLFeatureValue(["cat"]), "<U3"),
        (Image.new("LAB", (WIDTH, HEIGHT)), "of mode LAB"),
        (Image.new("F", (WIDTH, HEIGHT), 300.0), r"0\.\.255, got 300\.0"),
    ],
)
def test_what_is_no_image_is_refused(value: object, told: str) -> None:
    with pytest.raises(MLFeatureError, match=rf"^input 'drawing': expected .*{told}"):
        accept(GRAY, value)


def test_half_float_pixels_must_be_finite() -> None:
    with pytest.raises(MLFeatureError, match=r"finite pixels that fit float16, got 70000\.0 at index \[0, 1\]"):
        accept(image(2, 1, "GRAYSCALE_FLOAT16"), [[1.0, 70000.0]])


@pytest.mark.parametrize(
    ("flexible", "given_size", "size"),
    [
        ({}, (6, 4), (6, 4)),
        ({}, (12, 8), (6, 4)),
        ({}, (3, 9), (6, 4)),
        ({"enumerated_sizes": ((6, 4), (12, 8))}, (12, 8), (12, 8)),
        ({"enumerated_sizes": ((6, 4), (12, 8))}, (8, 12), (6, 4)),
        ({"width_range": SizeRange(5), "height_range": SizeRange(2, 9)}, (50, 9), (50, 9)),
        ({"width_range": SizeRange(5), "height_range": SizeRange(2, 9)}, (50, 10), (6, 4)),
    ],
)
def test_sizes_that_are_not_allowed_are_scaled_to_the_default(
    flexible: dict[str, Any], given_size: tuple[int, int], size: tuple[int, int]
) -> None:
    picture = PICTURE.resize(given_size)
    accepted = accept(image(6, 4, "RGB", **flexible), picture)
    assert accepted.shape == (size[1], size[0], 3)
    reference = np.asarray(picture.resize(size, Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(accepted - reference).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tiff", "webp"])
def test_image_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"drawing.{suffix}"
    Image.fromarray(GRAYS).save(path, **({"lossless": True} if suffix == "webp" else {}))
    for value in (path, str(path), MLFeatureValue(path), MLFeatureValue.image(str(path))):
        assert np.array_equal(accept(GRAY, value), GRAYS)


@pytest.mark.parametrize(
    ("orientation", "turned"), [(1, COLOURS), (3, COLOURS[::-1, ::-1]), (6, np.rot90(COLOURS, -1)), (2, COLOURS[:, ::-1])]
)
def test_the_orientation_in_exif_is_applied(tmp_path: Path, orientation: int, turned: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    PICTURE.save(tmp_path / "turned.png", exif=exif)
    height, width, _ = turned.shape
    assert np.array_equal(accept(image(width, height, "RGB"), tmp_path / "turned.png"), turned)
    with Image.open(tmp_path / "turned.png") as lazy:
        assert np.array_equal(accept(image(width, height, "RGB"), lazy), turned)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("absent.png", None, "absent.png', where there is no file"),
        ("folder", "folder", "folder', where there is a folder"),
        ("notes.png", b"not an image at all", "notes.png', a file that is no image that can be read"),
        ("empty.png", b"", "a file that is no image"),
        ("cut.png", png_of_size(600, 400)[:60], "cannot be decoded|cannot be read"),
        ("large.png", png_of_size(10_000, 10_000), "89478485 pixels"),
        ("bomb.png", png_of_size(60_000, 60_000), "89478485 pixels"),
        ("page.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n", "a file that is no image"),
        ("bad\0name.png", None, "no file"),
    ],
)
def test_files_that_are_no_images(tmp_path: Path, name: str, content: Any, told: str) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(MLFeatureError, match=rf"^example 3: input 'drawing': expected an image 6x4 grayscale.*(?:{told})"):
        accept(GRAY, str(path), "example 3: input")


def test_a_large_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png_of_size(9_460, 9_460))
    with pytest.warns(Image.DecompressionBombWarning):
        lazy = Image.open(tmp_path / "bomb.png")
    with lazy, pytest.raises(MLFeatureError, match="1 to 89478485 pixels, got an image 9460x9460"):
        accept(GRAY, lazy)


def test_the_callers_picture_and_array_stay_as_they_are() -> None:
    picture, pixels = PICTURE.copy(), COLOURS.copy()
    accept(image(3, 3), picture)
    accept(image(3, 3), pixels)
    assert picture == PICTURE
    assert np.array_equal(pixels, COLOURS)
