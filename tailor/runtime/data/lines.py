"""A ``.jsonl`` file: one JSON object a line, an example by feature names."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import MLFeatureError
from ..values import MLExampleOrigin
from .origin import ORIGIN_COLUMNS, as_text, origin_of
from .values import from_json
from .wanted import Wanted


class Lines:
    """The lines of a file as examples; only where each begins is kept in memory."""

    def __init__(self, path: Path, wanted: Wanted, begins: array[int], numbers: array[int], within: Path | None) -> None:
        self._path = path
        self._described = wanted.all
        self._begins = begins
        self._numbers = numbers
        self._within = within

    @property
    def count(self) -> int:
        """The number of lines that hold an example."""
        return len(self._begins)

    def features_at(self, index: int) -> Mapping[str, object]:
        """The example on one line; paths are relative to the file."""
        row, where = self._row(index)
        known = {name: value for name, value in row.items() if name in self._described}
        return {name: from_json(self._described[name], value, self._path.parent, where, self._within) for name, value in known.items()}

    def origin_at(self, index: int) -> MLExampleOrigin:
        """What the line says of where the example came from, unless features are called so."""
        row, where = self._row(index)
        told = {name: row[name] for name in ORIGIN_COLUMNS if name in row and name not in self._described}
        return origin_of(told, as_text(self._path.name), where)

    def _row(self, index: int) -> tuple[dict[str, Any], str]:
        """The object on one line, and where that is."""
        where = f"{self._path}, {self.place(index)}"
        with self._path.open("rb") as file:
            file.seek(self._begins[index])
            return _object(file.readline(), where), where

    def place(self, index: int) -> str:
        """The line, counted from 1 as editors do."""
        return f"line {self._numbers[index]}"


def open_lines(path: Path, wanted: Wanted, within: Path | None = None) -> Lines:
    """The examples of a ``.jsonl`` file; empty lines are passed over.

    Raises ``MLFeatureError`` naming the first line that is no JSON object or has not the features that are wanted.
    """
    begins, numbers = array("q"), array("q")
    position = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                where = f"{path}, line {number}"
                wanted.check_names(_object(line, where), where, ORIGIN_COLUMNS)
                begins.append(position)
                numbers.append(number)
            position += len(line)
    return Lines(path, wanted, begins, numbers, within)


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MLFeatureError(f"{where}: expected a JSON object, got a line that is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise MLFeatureError(f"{where}: expected a JSON object by feature names, got {str(row)[:60]!r}")
    return row
