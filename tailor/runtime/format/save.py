"""Writes a model: always the same bytes for the same model, replacing a file whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from google.protobuf.message import EncodeError

from tailor.persistence import write_atomically

from ..errors import MLFormatError
from .schema.model_pb2 import Model


def model_bytes(model: Model) -> bytes:
    """``model`` as the bytes of a ``.mlmodel`` file: fields by number, maps by key, unknown fields kept.

    Raises ``MLFormatError`` where it cannot be written, as with more than 2 GB.
    """
    try:
        return model.SerializeToString(deterministic=True)
    except (EncodeError, ValueError) as error:
        raise MLFormatError(f"model: expected a message of at most 2 GB, got one that cannot be written: {error}") from error


def model_hash(model: Model) -> str:
    """SHA-256 (hex) of ``model_bytes(model)``."""
    return hashlib.sha256(model_bytes(model)).hexdigest()


def save_model(model: Model, path: str | os.PathLike[str]) -> None:
    """Writes ``model`` to the file ``path``, replacing what was there only once all is written.

    Raises ``MLFormatError`` where ``path`` is a folder or a package, its folder does not exist, or writing fails; the old
    file is untouched then.
    """
    target = Path(path)
    if target.suffix in (".mlpackage", ".mlmodelc"):
        raise MLFormatError(f"{target.name}: expected the name of a .mlmodel file, got a {target.suffix}")
    try:
        if target.is_dir():
            raise MLFormatError(f"{target.name}: expected the path of a file to write, got a folder")
        if not target.parent.is_dir():
            raise MLFormatError(f"{target.name}: expected an existing folder to write to, got {str(target.parent)!r}")
        write_atomically(target, model_bytes(model))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MLFormatError(f"{target.name}: expected to write a file, got an error: {reason}") from error
