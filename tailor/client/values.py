"""Features between a program and the wire: numbers, arrays, images and their paths, in the forms that ``NewExample`` tells of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tailor import MLFeatureError

DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8")
"""Of arrays on the wire; others go as the first below that holds them."""
_WIDER = {"bool": "uint8", "uint16": "int32", "uint32": "int64", "uint64": "float64"}
_SENT_AS_IT_IS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_BRIDGES = {"RGBa": "RGBA", "La": "LA", "I;16L": "I;16", "I;16B": "I;16", "I;16N": "I;16"}
MOST_PIXELS = 1 << 26
"""Of an image in an answer."""


def to_wire(features: Mapping[str, object], where: str) -> dict[str, Any]:
    """Features by name as they are sent. Files are read here.

    Raises ``MLFeatureError``, which ``where`` begins, for what is neither number, text, array, image, path of an image, dictionary nor
    list, and ``OSError`` for a file that cannot be read.
    """
    return {name: _sent(value, f"{where}, {name!r}") for name, value in features.items()}


def _sent(value: Any, where: str) -> Any:
    if value is None or isinstance(value, (str, bool, int, float, bytes)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return _file(Path(value), where)
    if isinstance(value, Image.Image):
        return _image(value, where)
    if isinstance(value, Mapping):
        return {key.item() if isinstance(key, np.generic) else key: _sent(one, where) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sent(one, where) for one in value]
    if hasattr(value, "__array__"):
        return _array(np.asarray(value), where)
    raise MLFeatureError(
        f"{where}: expected a number, text, array, image, path of an image, dictionary or list, got a {type(value).__name__}"
    )


def _array(array: NDArray[Any], where: str) -> dict[str, Any]:
    kind = _WIDER.get(array.dtype.name, array.dtype.name)
    if kind not in DTYPES:
        raise MLFeatureError(f"{where}: expected an array of numbers, got one of {array.dtype}")
    told = array.astype(np.dtype(kind).newbyteorder("<"), copy=False)
    return {"shape": list(array.shape), "dtype": kind, "data": told.tobytes()}


def _file(path: Path, where: str) -> bytes:
    """The bytes of a PNG or JPEG file; another image as a PNG file."""
    data = path.read_bytes()
    if data.startswith(_SENT_AS_IT_IS):
        return data
    try:
        with Image.open(BytesIO(data)) as image:
            sent = _image(image, where)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MLFeatureError(f"{where}: expected an image, got {str(path)!r}, which cannot be read as one: {_why(error)}") from None
    return sent


def _image(image: Image.Image, where: str) -> bytes:
    """As a PNG file, turned upright."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I", "F"):
        pixels = np.asarray(upright)
        if not ((pixels >= 0) & (pixels <= 255)).all():
            raise MLFeatureError(f"{where}: expected an image of pixels from 0 to 255, got one of mode {upright.mode} with others")
        upright = Image.fromarray(np.rint(pixels).astype(np.uint8))
    elif upright.mode not in _PNG_MODES:
        upright = upright.convert(_BRIDGES.get(upright.mode, "RGB"))
    buffer = BytesIO()
    upright.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def digest_of(features: Mapping[str, Any]) -> str:
    """Of features as they are sent: 64 hex digits, the same for the same content."""
    return sha256(msgspec.msgpack.encode(features, order="deterministic")).hexdigest()


def from_wire(outputs: Mapping[str, Any], where: str) -> dict[str, Any]:
    """An answer's outputs by name: arrays, images, dictionaries, numbers and texts.

    Raises ``ValueError``, which ``where`` begins, for an array whose bytes do not fit it, and what is no image or a very large one.
    """
    return {name: _received(value, f"{where}, {name!r}") for name, value in outputs.items()}


def _received(value: Any, where: str) -> Any:
    if isinstance(value, bytes):
        return _picture(value, where)
    if not isinstance(value, dict) or value.keys() != {"shape", "dtype", "data"} or not isinstance(value["data"], bytes):
        return value
    shape, kind, data = value["shape"], value["dtype"], value["data"]
    if kind not in DTYPES or not isinstance(shape, list) or not all(type(size) is int and 0 <= size < 2**48 for size in shape):
        raise ValueError(f"{where}: expected an array, got one of {kind!r} and shape {str(shape)[:60]}")
    told = np.dtype(kind).newbyteorder("<")
    if prod(shape) * told.itemsize != len(data):
        raise ValueError(f"{where}: expected {prod(shape) * told.itemsize} bytes for {kind} {shape}, got {len(data)}")
    return np.frombuffer(data, told).reshape(shape).astype(kind)


def _picture(data: bytes, where: str) -> Image.Image:
    try:
        image = Image.open(BytesIO(data), formats=["PNG"])
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width}x{image.height} pixels are too many")
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{where}: expected an image, got {len(data)} bytes that cannot be read as one: {_why(error)}") from None
    return image


def _why(error: Exception) -> str:
    """What Pillow says; of a format that it does not know it would name an object of ours."""
    return "its format is not known" if isinstance(error, UnidentifiedImageError) else str(error)
