"""What callers give a model to predict with, as the columns that its predictor takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from .errors import MLFeatureError
from .models import TAKES_ABSENCE, TAKES_NAN, Columns, inputs_to
from .values import MLFeatureDescription, MLFeatureType, MLFeatureValue, accept_column, default_value

Row: TypeAlias = Mapping[str, object]


class Inputs:
    """The inputs of a model; several threads may use one.

    An optional input that an example lacks is its declared default; else it stays absent, where its model does without;
    else it is NaN, if it is a double and NaN means something to its model. Any other that is lacking is refused.
    """

    def __init__(self, spec: Any, described: Mapping[str, MLFeatureDescription], who: str) -> None:
        self._described = described
        self._who = who
        self._nan = inputs_to(spec, TAKES_NAN)
        self._absent = inputs_to(spec, TAKES_ABSENCE)

    def grouped(self, rows: Sequence[Row], single: bool) -> Iterator[tuple[list[int], Columns]]:
        """The columns of ``rows``, with the numbers of their examples: those that lack the same inputs together, nearly always all.

        ``single``: there is but one, which errors do not number. Raises ``MLFeatureError`` naming the input that does not fit.
        """
        self._check_names(rows, single)
        values: dict[str, list[Any]] = {}
        lacking: list[tuple[str, ...]] = [()] * len(rows)
        for name, description in self._described.items():
            values[name] = [_given(row.get(name)) for row in rows]
            places = [place for place, value in enumerate(values[name]) if value is None]
            if not places:
                continue
            filler = self._filler(description, rows, places[0], single)
            for place in places:
                values[name][place] = filler
                if filler is None:
                    lacking[place] += (name,)
        for absent in dict.fromkeys(lacking):
            numbers = [number for number, names in enumerate(lacking) if names == absent]
            yield numbers, {name: self._column(name, column, numbers, single) for name, column in values.items() if name not in absent}

    def _column(self, name: str, column: list[Any], numbers: list[int], single: bool) -> Any:
        given = column if len(numbers) == len(column) else [column[number] for number in numbers]
        return accept_column(self._described[name], given, "input", None if single else numbers, finite=name not in self._nan)

    def _filler(self, description: MLFeatureDescription, rows: Sequence[Row], place: int, single: bool) -> Any:
        """What stands for an input that an example lacks; ``None`` where nothing does, and nothing has to."""
        if description.optional:
            default = default_value(description)
            if default is not None or description.name in self._absent:
                return default
            if description.type is MLFeatureType.DOUBLE and description.name in self._nan:
                return float("nan")
        given = [repr(other) for other, value in rows[place].items() if value is not None]
        got = "None" if description.name in rows[place] else ", ".join(given) or "nothing"
        raise MLFeatureError(f"{_where(place, single)}{self._who}: expected input {description.name!r}, got {got}")

    def _check_names(self, rows: Sequence[Row], single: bool) -> None:
        for place, row in enumerate(rows):
            for name in row:
                if name not in self._described:
                    known = ", ".join(map(repr, self._described))
                    raise MLFeatureError(f"{_where(place, single)}{self._who}: expected inputs among {known}, got {name!r}")


def _given(value: object) -> object:
    """A value, ``None`` where it is undefined."""
    return None if isinstance(value, MLFeatureValue) and value.is_undefined else value


def _where(place: int, single: bool) -> str:
    return "" if single else f"example {place}: "
