"""Which reader a path gets: folders of images, ``.npz``, ``.csv``, ``.jsonl``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from ..errors import MLFeatureError
from ..values import MLExampleOrigin
from .arrays import open_arrays
from .folder import open_folder
from .lines import open_lines
from .table import open_table
from .wanted import Wanted


class DataSource(Protocol):
    """Examples in a folder or file: an ``MLBatchProvider`` that can say where an example stands.

    Everything that can be checked without keeping the values is checked when it is opened; a value that turns out not to
    fit raises ``MLFeatureError`` naming its place when it is read.
    """

    @property
    def count(self) -> int:
        """The number of examples."""
        ...

    def features_at(self, index: int) -> Mapping[str, object]:
        """The features of one example, ``0 <= index < count``."""
        ...

    def origin_at(self, index: int) -> MLExampleOrigin:
        """Where the example came from, as far as the data says; what it was read from is the source where it says none."""
        ...

    def place(self, index: int) -> str:
        """Where the example stands, for people: ``cat/12.png``, ``line 7``."""
        ...


READERS: dict[str, Callable[[Path, Wanted, Path | None], DataSource]] = {
    ".npz": open_arrays,
    ".csv": open_table,
    ".jsonl": open_lines,
    ".ndjson": open_lines,
}


def open_data(path: Path, wanted: Wanted, within: Path | None = None) -> DataSource:
    """The examples at ``path``, read as its name says. ``within``: a folder that others write to; paths that the data names lead below it.

    Raises ``MLFeatureError`` where there is nothing, it is of no known kind, it holds no examples, or they do not have the
    features that are wanted.
    """
    if path.is_dir():
        source: DataSource = open_folder(path, wanted)
    elif path.is_file():
        reader = READERS.get(path.suffix.lower())
        if reader is None:
            raise MLFeatureError(f"{path}: expected a folder of images, or a file ending in {', '.join(READERS)}")
        source = reader(path, wanted, within)
    else:
        raise MLFeatureError(f"{path}: expected a folder or file with examples, and there is none")
    if source.count == 0:
        raise MLFeatureError(f"{path}: expected at least one example, found none")
    return source
