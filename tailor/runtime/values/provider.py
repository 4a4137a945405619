"""Where features come from: one example's by name, and many examples by index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, overload, runtime_checkable

from ..errors import MLFeatureError
from .feature import MLFeatureValue
from .origin import NO_ORIGIN, MLExampleOrigin, origins
from .wording import wording


@runtime_checkable
class MLFeatureProvider(Protocol):
    """One example's features by name. A mapping from names to values will do wherever one is asked for."""

    @property
    def feature_names(self) -> Iterable[str]:
        """The names of the features that this provider has."""
        ...

    def feature_value_for(self, name: str) -> object:
        """The named feature: an ``MLFeatureValue`` or a plain value, ``None`` where there is none."""
        ...


@runtime_checkable
class MLBatchProvider(Protocol):
    """Many examples, each read when it is asked for, maybe from a worker thread, and maybe more than once.

    A provider that answers otherwise on each reading, because it augments its examples, says so by an attribute
    ``augments = True``; then nothing that was computed from an example is kept. Without it, it is taken for ``False``.

    A provider that knows where its examples came from has a method ``origin_at(index)``, which gives an ``MLExampleOrigin``, or
    ``None`` where one example's is not known. Nearest neighbour classifiers keep it beside the example.
    """

    @property
    def count(self) -> int:
        """The number of examples."""
        ...

    def features_at(self, index: int) -> MLFeatureProvider | Mapping[str, object]:
        """The features of one example, ``0 <= index < count``."""
        ...


class MLDictionaryFeatureProvider(Mapping[str, object]):
    """One example's features, from a mapping (copied, not deeply) from names to plain values or ``MLFeatureValue``."""

    __slots__ = ("_features",)

    def __init__(self, features: Mapping[str, object]) -> None:
        if not isinstance(features, Mapping):
            raise MLFeatureError(f"MLDictionaryFeatureProvider: expected a mapping from feature names to values, got {wording(features)}")
        for name in features:
            if not isinstance(name, str):
                raise MLFeatureError(f"MLDictionaryFeatureProvider: expected feature names as strings, got {wording(name)}")
        self._features = dict(features)

    @property
    def feature_names(self) -> frozenset[str]:
        """The names of the features."""
        return frozenset(self._features)

    def feature_value_for(self, name: str) -> MLFeatureValue | None:
        """The named feature, its type inferred where it was given plain; ``None`` where there is none."""
        return MLFeatureValue(self._features[name]) if name in self._features else None

    def __getitem__(self, name: str) -> object:
        return self._features[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)

    def __repr__(self) -> str:
        return f"<MLDictionaryFeatureProvider {', '.join(f'{name}: {wording(value)}' for name, value in self._features.items())}>"


def as_mapping(features: object) -> Mapping[str, object]:
    """A mapping from names to values over a feature provider; a mapping as it is. Features are read when asked for.

    Raises ``MLFeatureError`` for anything else.
    """
    if isinstance(features, Mapping):
        return features
    if isinstance(features, MLFeatureProvider):
        return _ProviderMapping(features)
    raise MLFeatureError(f"expected features as a mapping from names to values or as a provider, got {wording(features)}")


class _ProviderMapping(Mapping[str, object]):
    """A provider seen as a mapping."""

    def __init__(self, provider: MLFeatureProvider) -> None:
        self._provider = provider
        self._names = dict.fromkeys(provider.feature_names)

    def __getitem__(self, name: str) -> object:
        if name not in self._names:
            raise KeyError(name)
        return self._provider.feature_value_for(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class MLArrayBatchProvider:
    """Examples held in memory.

    Either a list of examples (mappings or feature providers), or a mapping from feature names to columns: an array (or a
    list) whose leading axis is the examples. Columns are not copied. ``ids``, ``sources`` and ``times`` say where the examples
    came from, as ``MLExampleOrigin`` has it: one for each example, ``None`` where one is not known; ``sources`` may be one for all.

    Raises ``MLFeatureError`` where an example is neither, a column is not one, or columns are of different lengths.
    """

    augments = False

    def __init__(
        self,
        examples: Sequence[Mapping[str, object] | MLFeatureProvider] | Mapping[str, Any],
        *,
        ids: Sequence[str | None] | None = None,
        sources: str | Sequence[str | None] | None = None,
        times: Sequence[datetime | None] | None = None,
    ) -> None:
        if isinstance(examples, Mapping):
            self._columns: dict[str, Any] = {name: _column(name, column) for name, column in examples.items()}
            self._rows: list[Mapping[str, object]] | None = None
            lengths = {name: len(column) for name, column in self._columns.items()}
            if len(set(lengths.values())) > 1:
                told = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
                raise MLFeatureError(f"MLArrayBatchProvider: expected columns with equally many examples, got {told}")
            self._count = next(iter(lengths.values()), 0)
        else:
            self._columns = {}
            self._rows = _rows(examples)
            self._count = len(self._rows)
        try:
            self._origins = origins(self._count, ids, sources, times)
        except MLFeatureError as error:
            raise MLFeatureError(f"MLArrayBatchProvider: {error}") from None

    @property
    def count(self) -> int:
        """The number of examples."""
        return self._count

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features of the first example, or of the columns, in the order given."""
        if self._rows is None:
            return tuple(self._columns)
        return tuple(self._rows[0]) if self._rows else ()

    def features_at(self, index: int) -> Mapping[str, object]:
        """The features of one example; raises ``IndexError`` outside ``0 <= index < count``."""
        self._check(index)
        if self._rows is not None:
            return self._rows[index]
        return {name: column[index] for name, column in self._columns.items()}

    def origin_at(self, index: int) -> MLExampleOrigin:
        """Where one example came from, as far as it was said; raises ``IndexError`` outside ``0 <= index < count``."""
        self._check(index)
        return NO_ORIGIN if self._origins is None else self._origins[index]

    def _check(self, index: int) -> None:
        if not 0 <= index < self._count:
            raise IndexError(f"expected an example index in 0..{self._count - 1}, got {index}")

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Mapping[str, object]: ...

    @overload
    def __getitem__(self, index: slice) -> MLArrayBatchProvider: ...

    def __getitem__(self, index: int | slice) -> Mapping[str, object] | MLArrayBatchProvider:
        if isinstance(index, slice):
            some = {name: column[index] for name, column in self._columns.items()}
            part = MLArrayBatchProvider(some if self._rows is None else self._rows[index])
            part._origins = None if self._origins is None else self._origins[index]
            return part
        return self.features_at(index + self._count if index < 0 else index)

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        return (self.features_at(index) for index in range(self._count))

    def __repr__(self) -> str:
        return f"<MLArrayBatchProvider {self._count} examples of {', '.join(self.feature_names) or 'nothing'}>"


def _rows(examples: object) -> list[Mapping[str, object]]:
    if isinstance(examples, (str, bytes)) or not isinstance(examples, Iterable):
        raise MLFeatureError(f"MLArrayBatchProvider: expected a list of examples or a mapping of columns, got {wording(examples)}")
    rows = []
    for index, example in enumerate(examples):
        try:
            rows.append(as_mapping(example))
        except MLFeatureError as error:
            raise MLFeatureError(f"MLArrayBatchProvider: example {index}: {error}") from error
    return rows


def _column(name: object, column: Any) -> Any:
    if not isinstance(name, str):
        raise MLFeatureError(f"MLArrayBatchProvider: expected feature names as strings, got {wording(name)}")
    shape = getattr(column, "shape", None)
    if isinstance(column, (str, bytes, Mapping)) or shape == () or not (hasattr(column, "__len__") and hasattr(column, "__getitem__")):
        expected = "a list, or an array with the examples in front"
        raise MLFeatureError(f"MLArrayBatchProvider: column {name!r}: expected {expected}, got {wording(column)}")
    return column
