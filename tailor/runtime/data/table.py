"""A ``.csv`` file: a header of feature names, then one example a row.

A multi-array of several numbers takes as many columns: ``name_0``, ``name_1`` ... or ``name[0]``, ``name[1]`` ...; an
image is a path relative to the file.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MLFeatureError
from ..values import MLExampleOrigin, MLFeatureDescription, MLFeatureType, MLMultiArrayConstraint
from .origin import ORIGIN_COLUMNS, as_text, origin_of
from .values import from_json, number, shaped, whole_number
from .wanted import Wanted


@dataclass(frozen=True, slots=True)
class Field:
    """One feature of a table: the columns it is in, and its values, flat: numbers as eight bytes each, or text."""

    described: MLFeatureDescription
    places: list[int]
    numbers: array[Any]
    texts: list[str] = field(default_factory=list)

    @property
    def is_text(self) -> bool:
        """Whether its values are text: labels and paths."""
        return self.described.type in (MLFeatureType.STRING, MLFeatureType.IMAGE)


class Table:
    """The rows of a table as examples."""

    def __init__(
        self, path: Path, fields: Mapping[str, Field], origins: Mapping[str, list[str]], lines: array[int], within: Path | None
    ) -> None:
        self._path = path
        self._fields = fields
        self._origins = origins
        self._lines = lines
        self._within = within

    @property
    def count(self) -> int:
        """The number of rows under the header."""
        return len(self._lines)

    def features_at(self, index: int) -> Mapping[str, object]:
        """One row."""
        return {name: self._value(field, index) for name, field in self._fields.items()}

    def origin_at(self, index: int) -> MLExampleOrigin:
        """What the row says of where the example came from, unless features are called so."""
        told = {name: cells[index] for name, cells in self._origins.items()}
        return origin_of(told, as_text(self._path.name), f"{self._path}, {self.place(index)}")

    def place(self, index: int) -> str:
        """The line of the file in which the row ends, counted from 1 as editors do."""
        return f"line {self._lines[index]}"

    def _value(self, field: Field, index: int) -> object:
        if field.described.type is MLFeatureType.MULTI_ARRAY:
            width = len(field.places)
            row = np.frombuffer(field.numbers, np.float64, width, index * width * 8)
            return shaped(field.described, row)
        if field.described.type is MLFeatureType.IMAGE:
            where = f"{self._path}, {self.place(index)}"
            return from_json(field.described, field.texts[index], self._path.parent, where, self._within)
        return field.texts[index] if field.is_text else field.numbers[index]


def open_table(path: Path, wanted: Wanted, within: Path | None = None) -> Table:
    """The rows of a ``.csv`` file in UTF-8.

    Raises ``MLFeatureError`` naming line and column of the first cell that does not fit, and for a header that does not
    have the features that are wanted.
    """
    lines: array[int] = array("q")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            fields = _fields(header, wanted, str(path))
            origins: dict[str, list[str]] = {name: [] for name in ORIGIN_COLUMNS if name in header and name not in wanted.all}
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                where = f"{path}, line {reader.line_num}"
                if len(row) != len(header):
                    raise MLFeatureError(f"{where}: expected {len(header)} cells, as in the header, got {len(row)}")
                for one in fields.values():
                    _keep(one, row, header, where)
                for name, cells in origins.items():
                    cells.append(row[header.index(name)].strip())
                lines.append(reader.line_num)
    except (UnicodeDecodeError, csv.Error) as error:
        raise MLFeatureError(f"{path}: expected comma-separated values in UTF-8, got a file that cannot be read so: {error}") from None
    return Table(path, fields, origins, lines, within)


def _fields(header: list[str], wanted: Wanted, where: str) -> dict[str, Field]:
    """Where the header has each feature."""
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise MLFeatureError(f"{where}: expected each column once, got {', '.join(map(repr, repeated))} several times")
    places: dict[str, list[int]] = {}
    taken: set[int] = set()
    for name, described in wanted.all.items():
        if described.type in (MLFeatureType.DICTIONARY, MLFeatureType.SEQUENCE):
            if name in wanted.must and not described.optional:
                raise MLFeatureError(f"{where}: {name!r}: {described.phrase} cannot be kept in a .csv file: use .jsonl")
            continue
        found = [header.index(name)] if name in header else _numbered(name, described, header, where)
        if found:
            places[name] = found
            taken.update(found)
    unknown = [name for place, name in enumerate(header) if place not in taken]
    wanted.check_names([*places, *unknown], where, ORIGIN_COLUMNS)
    whole = MLFeatureType.INT64
    return {name: Field(wanted.all[name], found, array("q" if wanted.all[name].type is whole else "d")) for name, found in places.items()}


def _numbered(name: str, described: MLFeatureDescription, header: list[str], where: str) -> list[int]:
    """The columns ``name_0``, ``name_1`` ... or ``name[0]``, ``name[1]`` ... of a multi-array, in that order."""
    constraint = described.constraint
    if described.type is not MLFeatureType.MULTI_ARRAY or not isinstance(constraint, MLMultiArrayConstraint):
        return []
    for form in ("{}_{}", "{}[{}]"):
        found: list[int] = []
        while (column := form.format(name, len(found))) in header:
            found.append(header.index(column))
        if found:
            wanted = math.prod(constraint.shape)
            if not constraint.allows((len(found),)) and len(found) != wanted:
                last = form.format(name, wanted - 1)
                raise MLFeatureError(f"{where}: expected {wanted} columns from {form.format(name, 0)!r} to {last!r}, got {len(found)}")
            return found
    return []


def _keep(one: Field, row: list[str], header: list[str], where: str) -> None:
    """Keeps one row's values of a feature."""
    read = whole_number if one.described.type is MLFeatureType.INT64 else number
    for place in one.places:
        cell = row[place].strip()
        if one.is_text:
            one.texts.append(cell)
        else:
            one.numbers.append(read(cell, one.described, f"{where}, column {header[place]!r}"))
