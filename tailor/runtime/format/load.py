"""Loads a model from a file, a package or bytes; whatever is wrong with it is one ``MLFormatError``."""

from __future__ import annotations

import os
import re
from pathlib import Path

from google.protobuf.message import DecodeError

from ..errors import MLFormatError
from .package import package_model
from .schema.model_pb2 import Model
from .validate import check_model
from .wire import BrokenOff, NotWire, wire_fields

_LOOKS: tuple[tuple[bytes, str], ...] = (
    (rb"PK\x03\x04", "a zip archive: unpack it first"),
    (rb"version https://git-lfs", "a Git LFS pointer: the model itself was not downloaded"),
    (rb"(?i)\s*<(!doctype|html)", "an HTML page"),
    (rb"\s*<\?xml", "XML"),
    (rb'\s*[{\[]\s*["{\[\]}]', "JSON"),
    (rb"\x80[\x02-\x05]", "a Python pickle"),
    (rb"\x1f\x8b", "a gzip file"),
    (rb"\x89HDF", "an HDF5 file"),
    (rb"\x93NUMPY", "a NumPy array"),
    (rb"\x89PNG|\xff\xd8\xff", "an image"),
    (rb"(?s)\x08.\x12.{0,3}(pytorch|onnx|tf2onnx|keras2onnx|skl2onnx)", "an ONNX model"),
)


def load_model(source: str | os.PathLike[str] | bytes) -> Model:
    """The model in a ``.mlmodel`` file, in a ``.mlpackage`` folder (its specification; weights of an ML Program stay in the
    package), or in ``bytes`` as such a file has them. Unknown fields are kept.

    Raises ``MLFormatError`` that names the file, what was expected and what came: nothing there, no permission, empty, cut
    off, something else, a compiled model, a version newer than the schema, or a message that is not a model (see
    ``validate``).
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _parse(bytes(source), "model")
    if not isinstance(source, (str, os.PathLike)):
        raise MLFormatError(f"model: expected a path or bytes, got {type(source).__name__}")
    path = Path(source)
    try:
        data = package_model(path).read_bytes() if path.is_dir() else path.read_bytes()
    except (OSError, ValueError) as error:
        raise MLFormatError(f"{path.name}: expected a Core ML model file, got {_reason(error)}") from error
    return _parse(data, path.name)


def _parse(data: bytes, who: str) -> Model:
    if not data:
        raise MLFormatError(f"{who}: expected a Core ML model, got nothing (0 bytes)")
    try:
        model = Model.FromString(data)
    except (DecodeError, ValueError, RecursionError) as error:
        # ValueError and RecursionError: protobuf's pure Python implementation lets them through.
        what = f"{len(data)} bytes that cannot be read as one ({_looks(data)})"
        raise MLFormatError(f"{who}: expected a Core ML model, got {what}") from error
    try:
        check_model(model, who)
    except MLFormatError as error:
        if any(re.match(pattern, data[:64]) for pattern, _ in _LOOKS):
            raise MLFormatError(f"{who}: expected a Core ML model, got {len(data)} bytes of something else ({_looks(data)})") from error
        raise
    return model


def _looks(data: bytes) -> str:
    """What the bytes seem to be, for people."""
    for pattern, words in _LOOKS:
        if re.match(pattern, data[:64]):
            return f"it looks like {words}"
    try:
        if next(wire_fields(data)).number == 1:
            for _ in wire_fields(data):
                pass
            return "written for another version of the format, or damaged"
    except BrokenOff as error:
        if error.field in Model.DESCRIPTOR.fields_by_number:
            name = Model.DESCRIPTOR.fields_by_number[error.field].name
            return f"cut off: {error.missing} or more bytes of its {name} are missing"
    except NotWire:
        pass
    return f"it begins with {data[:8].hex(' ')}"


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "nothing: there is no such file"
    return f"an error: {getattr(error, 'strerror', None) or error}"
