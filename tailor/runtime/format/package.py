"""Finds the model's specification inside a ``.mlpackage`` folder.

Such a folder has a ``Manifest.json``, which lists items by identifier with their paths below ``Data/``, and says which is
the root model. What it says is not trusted: a path must stay inside the folder.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import MLFormatError

_MANIFEST_LIMIT = 1 << 20


def package_model(folder: Path) -> Path:
    """The path of the specification in ``folder``. Raises ``MLFormatError`` where ``folder`` is not a package or its
    manifest does not lead to a file inside it; ``OSError`` where it cannot be read."""
    manifest = folder / "Manifest.json"
    if not manifest.is_file():
        compiled = folder.suffix == ".mlmodelc" or (folder / "coremldata.bin").is_file()
        found = "a compiled model: the model it was made from is needed" if compiled else "a folder without Manifest.json"
        raise MLFormatError(f"{folder.name}: expected a .mlmodel file or a .mlpackage folder, got {found}")
    who = f"{folder.name}/Manifest.json"
    size = manifest.stat().st_size
    if size > _MANIFEST_LIMIT:
        raise MLFormatError(f"{who}: expected at most {_MANIFEST_LIMIT} bytes, got {size}")
    try:
        content = json.loads(manifest.read_bytes())
    except (ValueError, RecursionError) as error:
        raise MLFormatError(f"{who}: expected JSON, got something else: {error}") from error
    path = _root_path(content, who)
    data = (folder / "Data").resolve()
    target = (data / path).resolve()
    if not target.is_relative_to(data) or target == data:
        raise MLFormatError(f"{who}: expected a path inside the package, got {path!r}")
    if not target.is_file():
        raise MLFormatError(f"{who}: expected a model at Data/{path}, got nothing: there is no such file")
    return target


def _root_path(content: object, who: str) -> str:
    if not isinstance(content, dict):
        raise MLFormatError(f"{who}: expected an object, got {type(content).__name__}")
    root = content.get("rootModelIdentifier")
    items = content.get("itemInfoEntries")
    if not isinstance(root, str):
        raise MLFormatError(f"{who}: expected rootModelIdentifier to be a string, got {type(root).__name__}")
    item = items.get(root) if isinstance(items, dict) else None
    path = item.get("path") if isinstance(item, dict) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise MLFormatError(f"{who}: expected itemInfoEntries to have the path of the root model {root!r}, got {path!r}")
    return path
