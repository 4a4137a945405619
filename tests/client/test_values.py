"""Features as they are sent, and answers as they come."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from PIL import Image

from tailor import MLFeatureError, MLMultiArray
from tailor.client import NewExample, digest_of, to_wire
from tailor.client.batches import MOST_BYTES, example_parts, input_parts
from tailor.client.values import from_wire

PIXELS = np.array([[0, 128, 255], [7, 8, 9]], np.uint8)

ARRAYS: list[tuple[str, Any, dict[str, Any]]] = [
    ("float32", np.array([[1.5, -2.0]], np.float32), {"shape": [1, 2], "dtype": "float32", "data": bytes.fromhex("0000c03f000000c0")}),
    ("big-endian", np.array([1], ">i4"), {"shape": [1], "dtype": "int32", "data": b"\x01\0\0\0"}),
    ("in F order", np.asfortranarray([[1, 2], [3, 4]]).astype(np.int8), {"shape": [2, 2], "dtype": "int8", "data": b"\x01\x02\x03\x04"}),
    ("booleans", np.array([True, False]), {"shape": [2], "dtype": "uint8", "data": b"\x01\0"}),
    ("unsigned", np.array([65535], np.uint16), {"shape": [1], "dtype": "int32", "data": b"\xff\xff\0\0"}),
    ("no axes", np.array(2.0, np.float16), {"shape": [], "dtype": "float16", "data": b"\x00\x40"}),
    ("no numbers", np.zeros((0, 3)), {"shape": [0, 3], "dtype": "float64", "data": b""}),
    ("of Core ML", MLMultiArray(np.array([1.0], np.float32)), {"shape": [1], "dtype": "float32", "data": b"\0\0\x80\x3f"}),
]


@pytest.mark.parametrize(("given", "sent"), [row[1:] for row in ARRAYS], ids=[row[0] for row in ARRAYS])
def test_arrays_are_their_bytes(given: Any, sent: dict[str, Any]) -> None:
    assert to_wire({"x": given}, "it") == {"x": sent}


def test_the_rest_is_itself() -> None:
    given = {
        "n": np.int64(3),
        "f": np.float32(0.5),
        "t": "text",
        "none": None,
        "list": (1, [2.5]),
        "by": {np.int64(7): np.float64(1.0), "a": 2},
    }
    assert to_wire(given, "it") == {"n": 3, "f": 0.5, "t": "text", "none": None, "list": [1, [2.5]], "by": {7: 1.0, "a": 2}}


def sent_image(value: Any) -> Image.Image:
    data = to_wire({"x": value}, "it")["x"]
    assert isinstance(data, bytes)
    return Image.open(io.BytesIO(data), formats=["PNG", "JPEG"])


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "RGBa", "I", "F", "I;16"]


def image_of(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(PIXELS.astype(np.uint16))
    grey = Image.fromarray(PIXELS)
    through = {"LAB": "RGB", "HSV": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "RGBa": "RGBA"}.get(mode, "L")
    return grey.convert(through).convert(mode)


@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_any_mode_is_a_png(mode: str) -> None:
    image = image_of(mode)
    sent = sent_image(image)
    assert sent.format == "PNG" and sent.size == (3, 2)
    assert np.array_equal(np.asarray(sent.convert("L")), PIXELS) or mode in ("1", "LAB", "I;16")  # two of which hold no such grey
    if mode == "I;16":
        assert np.asarray(sent).tolist() == PIXELS.tolist()


def test_files_are_read_here_and_png_and_jpeg_go_as_they_are(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        Image.fromarray(PIXELS).save(tmp_path / name)
        assert to_wire({"x": tmp_path / name}, "it")["x"] == (tmp_path / name).read_bytes()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    Image.fromarray(PIXELS).save(tmp_path / "a.tiff", exif=exif)
    turned = sent_image(tmp_path / "a.tiff")
    assert turned.format == "PNG" and np.array_equal(np.asarray(turned), np.rot90(PIXELS, -1))


REFUSED: list[tuple[str, Any, str]] = [
    ("text", np.array(["a"]), "expected an array of numbers, got one of <U1"),
    ("complex", np.array([1j]), "expected an array of numbers"),
    ("objects", np.array([object()]), "expected an array of numbers"),
    ("an object", object(), "expected a number, text, array, image, path of an image, dictionary or list, got a object"),
    ("a set", {1}, "expected a number, .* got a set"),
    ("bright pixels", Image.fromarray(np.array([[300.0]], np.float32)), "expected an image of pixels from 0 to 255"),
]


@pytest.mark.parametrize(("given", "told"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_cannot_be_sent_is_named(given: Any, told: str) -> None:
    with pytest.raises(MLFeatureError, match=f"^here, 'x': {told}"):
        to_wire({"x": given}, "here")


def test_files_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "a.bmp").write_bytes(b"BM nothing")
    with pytest.raises(MLFeatureError, match=r"'x': expected an image, got '.*a\.bmp', .*: its format is not known$"):
        to_wire({"x": tmp_path / "a.bmp"}, "it")
    with pytest.raises(FileNotFoundError, match="absent"):
        to_wire({"x": tmp_path / "absent.png"}, "it")


def test_parts_are_bounded_in_number_and_bytes_and_lose_nothing() -> None:
    parts = list(example_parts(({"x": float(number)} for number in range(2500)), "b"))
    assert [(first, len(raws)) for first, raws in parts] == [(0, 1000), (1000, 1000), (2000, 500)]
    told = [msgpack.unpackb(bytes(raw)) for _, raws in parts for raw in raws]
    assert [(one["id"], one["features"]) for one in told] == [(f"b-{number}", {"x": float(number)}) for number in range(2500)]
    large = np.zeros(3 << 20, np.uint8)
    assert [(first, len(raws)) for first, raws in input_parts([{"x": large}] * 5)] == [(0, 2), (2, 2), (4, 1)]
    assert [len(raws) for _, raws in input_parts([{"x": np.zeros(MOST_BYTES + 1, np.uint8)}] * 2)] == [1, 1]
    assert list(example_parts([], "b")) == []


@pytest.mark.parametrize("given", [3, "text", ["x"], {"x": 2**70}, {"x": "\ud800"}])
def test_an_example_that_is_none_is_named_by_its_number(given: Any) -> None:
    with pytest.raises(MLFeatureError, match="^example 1"):
        list(example_parts([{"x": 1}, given], "b"))


def test_an_id_of_ones_own_stays() -> None:
    [(_, [raw])] = example_parts([NewExample(features={"x": np.float32(1)}, id="mine", source="cam")], "b")
    assert msgpack.unpackb(bytes(raw)) == {"features": {"x": 1.0}, "id": "mine", "source": "cam", "time": None}


def test_a_digest_is_of_the_content_only() -> None:
    assert digest_of({"a": 1, "b": {"c": [2]}}) == digest_of({"b": {"c": [2]}, "a": 1}) != digest_of({"a": 1, "b": {"c": [3]}})


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "PNG")
    return buffer.getvalue()


def test_answers_have_arrays_and_images() -> None:
    told = {"a": {"shape": [2, 1], "dtype": "float32", "data": b"\0\0\x80\x3f\0\0\0\x40"}, "p": {"cat": 0.5}, "l": "cat", "i": png((3, 2))}
    got = from_wire(told, "answer 0")
    assert got["a"].dtype == np.float32 and got["a"].tolist() == [[1.0], [2.0]] and got["a"].flags.writeable
    assert (got["p"], got["l"], got["i"].size) == ({"cat": 0.5}, "cat", (3, 2))


HOSTILE: list[tuple[str, Any]] = [
    ("too few bytes", {"shape": [3], "dtype": "float64", "data": b"1"}),
    ("a shape of negative sizes", {"shape": [-1, -8], "dtype": "uint8", "data": b"12345678"}),
    ("a shape that overflows", {"shape": [2**47, 2**47], "dtype": "uint8", "data": b""}),
    ("objects", {"shape": [1], "dtype": "object", "data": b"12345678"}),
    ("a shape that is none", {"shape": "1", "dtype": "uint8", "data": b"1"}),
    ("no image", b"GIF89a"),
    ("half an image", png((9, 9))[:-30]),
    ("a bomb", png((1, 1))[:16] + b"\x00\x01\x00\x00\x00\x01\x00\x00" + png((1, 1))[24:]),
]


@pytest.mark.parametrize("told", [row[1] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_answers_that_are_none_are_refused(told: Any) -> None:
    with pytest.raises(ValueError, match="^answer 0, 'x': expected "):
        from_wire({"x": told}, "answer 0")
