"""What is kept of a personalised model: all of it, or what changed against a base (``FORMAT.md`` section 3)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np

from .errors import RecordError, brief, path_of
from .limits import DEEPEST
from .tensor import NAMES, Array, stored_dtype

Plain: TypeAlias = "bool | int | float | str | Sequence[Plain] | Mapping[str, Plain] | None"
Content: TypeAlias = "Array | Sequence[str] | Sequence[int]"

HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Metadata:
    """Describes a snapshot; never decides what is restored.

    ``created_at``  with a time zone; kept in UTC. Passed in: nothing here reads a clock.
    ``model``       the model's name.
    ``producer``    program and version that made the snapshot.
    ``parameters``  the parameters used, ``metrics`` what was measured: plain values by name.
    ``extra``       everything else, kept as it is; an application's own names should have a dot in them.

    Raises ``RecordError`` for a time without a zone, or a name in ``extra`` that has a field of its own.
    """

    created_at: datetime
    model: str = ""
    producer: str = ""
    parameters: Mapping[str, Plain] = field(default_factory=dict)
    metrics: Mapping[str, Plain] = field(default_factory=dict)
    extra: Mapping[str, Plain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.created_at, datetime) or self.created_at.utcoffset() is None:
            raise RecordError("metadata.created_at", "a datetime with a time zone", repr(self.created_at))
        try:
            object.__setattr__(self, "created_at", self.created_at.astimezone(UTC))
        except OverflowError:
            raise RecordError("metadata.created_at", "a time that UTC can write", repr(self.created_at)) from None
        for name in ("model", "producer"):
            if not isinstance(getattr(self, name), str):
                raise RecordError(f"metadata.{name}", "a string", brief(getattr(self, name)))
        for name in ("parameters", "metrics", "extra"):
            if not isinstance(getattr(self, name), Mapping):
                raise RecordError(f"metadata.{name}", "a map", brief(getattr(self, name)))
            object.__setattr__(self, name, plain(getattr(self, name), ["metadata", name]))
        for name in ("created_at", "metrics", "model", "parameters", "producer"):
            if name in self.extra:
                raise RecordError(f"metadata.extra.{name}", "a name that is not a field of metadata", "one that is")


@dataclass(frozen=True, slots=True, eq=False)
class SetValue:
    """The value replaces the base's. A tensor (not copied: leave it alone), or strings, or integers.

    Raises ``RecordError`` for anything else.
    """

    value: Content

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", content(self.value, "value"))

    def __repr__(self) -> str:
        return f"SetValue({brief(self.value)})"


@dataclass(frozen=True, slots=True, eq=False)
class AppendRows:
    """The value's rows come behind the base's, of which there are exactly ``count``.

    A row is what the first axis counts, or an item of a list. Raises ``RecordError`` for a tensor of rank 0.
    """

    value: Content
    count: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", content(self.value, "value"))
        if isinstance(self.value, np.ndarray) and self.value.ndim == 0:
            raise RecordError("value", "a tensor of rank 1 at least", brief(self.value))
        if not isinstance(self.count, int) or isinstance(self.count, bool) or not 0 <= self.count < 2**63:
            raise RecordError("count", "an integer from 0 to 2^63 - 1", brief(self.count))

    def __repr__(self) -> str:
        return f"AppendRows({brief(self.value)}, count={self.count})"


Change: TypeAlias = SetValue | AppendRows


@dataclass(frozen=True, slots=True, eq=False)
class FullSnapshot:
    """The whole model file, byte for byte; ``base`` only tells what it came from.

    ``whole`` as read from a file is a read-only view, not a copy; ``bytes(whole)`` makes one.
    """

    metadata: Metadata
    whole: bytes | memoryview
    base: str | None = None

    def __post_init__(self) -> None:
        check_metadata(self.metadata)
        if not isinstance(self.whole, bytes | memoryview):
            raise RecordError("whole", "bytes", brief(self.whole))
        if self.base is not None:
            check_hash(self.base)

    def __repr__(self) -> str:
        return f"FullSnapshot({self.metadata}, {brief(self.whole)}, base={self.base!r})"


@dataclass(frozen=True, slots=True, eq=False)
class DeltaSnapshot:
    """What changed, by name, against the base model whose canonical bytes have the SHA-256 ``base`` (64 hex digits)."""

    metadata: Metadata
    base: str
    values: Mapping[str, Change]

    def __post_init__(self) -> None:
        check_metadata(self.metadata)
        check_hash(self.base)
        object.__setattr__(self, "values", dict(self.values))
        for name, change in self.values.items():
            if not isinstance(name, str) or not name:
                raise RecordError("values", "names that are non-empty strings", brief(name))
            if not isinstance(change, Change):
                raise RecordError(path_of(["values", name]), "SetValue or AppendRows", brief(change))


# Equal content gives equal bytes; compare snapshots by ``snapshot_hash``, since arrays have no single truth value.
Snapshot: TypeAlias = FullSnapshot | DeltaSnapshot


def content(value: object, where: str) -> Array | tuple[str, ...] | tuple[int, ...]:
    """A change's value as it is kept: a tensor as it is, a list as a tuple of ``str`` or of ``int``."""
    if isinstance(value, np.ndarray):
        if stored_dtype(value) is None:
            raise RecordError(where, f"a tensor of dtype {NAMES}, or a list of strings or integers", brief(value))
        return value
    if not isinstance(value, list | tuple):
        raise RecordError(where, "a tensor or a list", brief(value))
    if all(isinstance(item, str) for item in value):
        return tuple(value)
    if all(isinstance(item, int | np.integer) and not isinstance(item, bool) for item in value):
        numbers = tuple(int(item) for item in value)
        if min(numbers) >= -(2**63) and max(numbers) < 2**63:
            return numbers
        raise RecordError(where, "integers from -2^63 to 2^63 - 1", f"a list from {brief(min(numbers))} to {brief(max(numbers))}")
    odd = next((item for item in value if not isinstance(item, type(value[0]))), value[0])
    raise RecordError(where, "a list of strings or of integers only", f"one with {brief(odd)}")


def plain(value: object, path: list[str | int]) -> Plain:
    """A copy of a metadata value in ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` and ``None`` only."""
    match value:
        case None | bool():
            return value
        case np.bool_():
            return bool(value)
        case str():
            return str.__str__(value)
        case int() | np.integer():
            return int(value)
        case np.floating() if value.itemsize < 8:
            return plain(float(value), path)
        case float():
            if not math.isfinite(value):
                raise RecordError(path_of(path), "a finite number", repr(value))
            return float(value)
        case Mapping() | list() | tuple() if len(path) > DEEPEST:
            raise RecordError(path_of(path), f"at most {DEEPEST} lists and maps inside each other", "more")
        case Mapping():
            copy: dict[str, Plain] = {}
            for key, item in value.items():
                if not isinstance(key, str):
                    raise RecordError(path_of(path), "keys that are strings", brief(key))
                copy[str.__str__(key)] = plain(item, [*path, str.__str__(key)])
            return copy
        case list() | tuple():
            return [plain(item, [*path, index]) for index, item in enumerate(value)]
        case _:
            raise RecordError(path_of(path), "None, bool, int, float, str, list or map", brief(value))


def check_metadata(metadata: object) -> None:
    """Raises ``RecordError`` for anything but ``Metadata``."""
    if not isinstance(metadata, Metadata):
        raise RecordError("metadata", "Metadata", brief(metadata))


def check_hash(base: object) -> None:
    """Raises ``RecordError`` for anything but a hash."""
    if not isinstance(base, str) or not HASH.fullmatch(base):
        raise RecordError("base", "a SHA-256 of 64 lower-case hex digits", brief(base))
