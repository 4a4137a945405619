"""Where a model comes from, and where from there the models are that it links to.

Source: ``LinkedModel.proto`` of the format. A search path is part of a model, which may be anybody's, so it is not trusted:
it leads to files in the model's own folder and in the folders that the caller names, and nowhere else, also not through
symbolic links.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..errors import MLFormatError

_SHOWN = 8
"""How many places an error lists."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The ``folder`` of a model's file, where it was read from one, and the other folders ``allowed`` for what it links to."""

    folder: Path | None = None
    allowed: tuple[Path, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders that a link may lead into, without symbolic links, the model's own first."""
        given = self.allowed if self.folder is None else (self.folder, *self.allowed)
        return tuple(dict.fromkeys(Path(os.path.realpath(folder)) for folder in given))

    def find(self, file_name: str, search_path: str, who: str) -> Path:
        """The file (or package) of a linked model, its path without symbolic links.

        ``search_path``: paths separated by ``:``, in the order in which they are searched, each from the folders of this
        origin on. ``$BUNDLE_MAIN`` and ``$BUNDLE_IDENTIFIER(...)`` stand for the allowed folders: there are no bundles here.
        ``X.mlmodelc``, a compiled model, is found as the ``X.mlmodel`` or ``X.mlpackage`` that it was made from.

        Raises ``MLFormatError``, beginning with ``who``, where the name is none, where there is no folder to look in, where
        a path leads out of the folders, and where there is no such file: it lists the places then.
        """
        names = _file_names(file_name, who)
        if not self.folders:
            raise MLFormatError(
                f"{who}: expected a folder to look for {file_name!r} in, got none: the model that links to it was not read from a file; "
                "name folders in MLModelConfiguration.linked_model_folders"
            )
        looked: list[Path] = []
        for entry in search_path.split(":"):
            for path in (place / name for place in self._places(entry, who) for name in names):
                looked.append(path)
                found = Path(os.path.realpath(path))
                if not self.holds(found):
                    raise MLFormatError(f"{who}: expected a file in {_listed(self.folders)}, got {path}, which leads to {found}")
                if os.path.exists(found):
                    return found
        raise MLFormatError(f"{who}: expected a file {' or '.join(names)}, got none; looked for {_listed(looked)}")

    def _places(self, entry: str, who: str) -> list[Path]:
        """The folders that one path of a search path means, those that do not lead out."""
        if "\0" in entry:
            raise MLFormatError(f"{who}: linkedModelSearchPath: expected paths, got {entry!r}")
        if entry.startswith("$"):
            return [Path(os.path.realpath(folder)) for folder in self.allowed]
        places = list(dict.fromkeys(Path(os.path.realpath(folder / entry)) for folder in self.folders))
        inside = [place for place in places if self.holds(place)]
        if not inside:
            raise MLFormatError(
                f"{who}: linkedModelSearchPath: expected paths that stay in {_listed(self.folders)}, got {entry!r}, "
                f"which leads to {places[0]}; other folders are named in MLModelConfiguration.linked_model_folders"
            )
        return inside

    def holds(self, path: Path) -> bool:
        """Whether ``path``, which has no symbolic links in it, is in one of the folders."""
        return any(path.is_relative_to(folder) for folder in self.folders)


NOWHERE = Origin()
"""The origin of a model that is not from a file, and links to nothing."""


def _file_names(file_name: str, who: str) -> list[str]:
    """What the file may be called."""
    if file_name in ("", ".", "..") or any(character in file_name for character in "/\\\0"):
        raise MLFormatError(f"{who}: linkedModelFileName: expected the name of a file, without folders, got {file_name!r}")
    if file_name.endswith((".mlmodel", ".mlpackage")):
        return [file_name]
    stem = file_name.removesuffix(".mlmodelc")
    return [f"{stem}.mlmodel", f"{stem}.mlpackage"]


def _listed(paths: Sequence[Path]) -> str:
    shown = ", ".join(map(str, islice(paths, _SHOWN)))
    return shown if len(paths) <= _SHOWN else f"{shown} and {len(paths) - _SHOWN} more"
