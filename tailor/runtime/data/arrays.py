"""An ``.npz`` file: one array a feature, its first axis the examples."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MLFeatureError, MLModelError
from ..values import MLExampleOrigin, MLFeatureDescription, MLFeatureType
from .npy import read_array, read_header
from .origin import as_text
from .wanted import Wanted

_LOCAL_HEADER = 30  # bytes of a zip entry's header in front of its name
_TYPES = {
    MLFeatureType.INT64: ("biuf", "whole numbers"),
    MLFeatureType.DOUBLE: ("biuf", "numbers"),
    MLFeatureType.STRING: ("UiuS", "text, or whole numbers that stand for it"),
    MLFeatureType.MULTI_ARRAY: ("biuf", "numbers"),
    MLFeatureType.IMAGE: ("biuf", "pixels"),
}


class Arrays:
    """Columns as examples."""

    def __init__(self, path: Path, columns: Mapping[str, NDArray[Any]], described: Mapping[str, MLFeatureDescription]) -> None:
        self._path = path
        self._columns = columns
        self._described = described

    @property
    def count(self) -> int:
        """The number of examples."""
        return min((len(column) for column in self._columns.values()), default=0)

    def features_at(self, index: int) -> Mapping[str, object]:
        """One row of each array."""
        return {name: _value(self._described[name], column[index]) for name, column in self._columns.items()}

    def origin_at(self, index: int) -> MLExampleOrigin:
        """The file is the source."""
        return MLExampleOrigin(source=as_text(self._path.name))

    def place(self, index: int) -> str:
        """The row, counted from 0 as NumPy does."""
        return f"[{index}]"


def open_arrays(path: Path, wanted: Wanted, within: Path | None = None) -> Arrays:
    """The arrays of an ``.npz`` file. Those that are not compressed stay on disk until they are read, but for those ``within`` a folder
    that others write to: there a file may get shorter, which would end the process.

    Raises ``MLFeatureError`` where the file is none, its names or types do not fit, or its arrays differ in length.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            wanted.check_names(entries, str(path))
            columns = {name: _array(path, archive, entry, mapped=within is None) for name, entry in entries.items()}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OverflowError, RuntimeError) as error:
        if isinstance(error, MLModelError):
            raise
        raise MLFeatureError(f"{path}: expected an .npz file of plain arrays, got one that cannot be read: {error}") from None
    for name, column in columns.items():
        _check(wanted.all[name], column, f"{path}: array {name!r}")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} has {length}" for name, length in lengths.items())
        raise MLFeatureError(f"{path}: expected arrays with equally many examples, but {told}")
    return Arrays(path, columns, wanted.all)


def _array(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, *, mapped: bool) -> NDArray[Any]:
    """One array of the file: mapped where that may be and it is stored as it is, else read."""
    with archive.open(entry) as stream:
        if entry.compress_type != zipfile.ZIP_STORED or not mapped:
            return read_array(stream, entry.file_size)
        shape, fortran, dtype = read_header(stream, entry.file_size)
        begin = stream.tell()
    if 0 in shape:
        return np.empty(shape, dtype)
    with path.open("rb") as file:
        file.seek(entry.header_offset + _LOCAL_HEADER - 4)
        name, extra = np.frombuffer(file.read(4), "<u2")
    offset = entry.header_offset + _LOCAL_HEADER + int(name) + int(extra) + begin
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")


def _check(described: MLFeatureDescription, column: NDArray[Any], where: str) -> None:
    if described.type not in _TYPES:
        raise MLFeatureError(f"{where}: {described.phrase} cannot be kept in an .npz file: use .jsonl")
    kinds, expected = _TYPES[described.type]
    single = described.type in (MLFeatureType.INT64, MLFeatureType.DOUBLE, MLFeatureType.STRING)
    if column.ndim == 0 or column.dtype.kind not in kinds or (single and column.size != len(column)):
        shape = "one value an example" if single else "the examples along its first axis"
        raise MLFeatureError(f"{where}: expected {expected}, {shape}, got {column.dtype} of shape {list(column.shape)}")


def _value(described: MLFeatureDescription, value: Any) -> object:
    if described.type is MLFeatureType.STRING:
        item = np.asarray(value).reshape(()).item()
        return item.decode() if isinstance(item, bytes) else str(item)
    if described.type in (MLFeatureType.INT64, MLFeatureType.DOUBLE):
        return np.asarray(value).reshape(()).item()
    return np.asarray(value)
