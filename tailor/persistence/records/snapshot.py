"""What is kept of a personalised model: all of it, or what changed against a base (``FORMAT.md`` section 3)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np

from ..errors import RecordError, brief, path_of
from .change import Change
from .file_bytes import FileBytes
from .limits import DEEPEST

Plain: TypeAlias = "bool | int | float | str | Sequence[Plain] | Mapping[str, Plain] | None"

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
class FullSnapshot:
    """The whole model file, byte for byte; ``base`` only tells what it came from.

    ``whole`` as read from a file is a read-only view, not a copy; ``bytes(whole)`` makes one. As ``FileBytes`` it is read from the
    model's file when the snapshot is written, and never in memory all at once.
    """

    metadata: Metadata
    whole: bytes | memoryview | FileBytes
    base: str | None = None

    def __post_init__(self) -> None:
        check_metadata(self.metadata)
        if not isinstance(self.whole, bytes | memoryview | FileBytes):
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
                raise RecordError(path_of(["values", name]), "SetValue, AppendRows or EditRows", brief(change))


# Equal content gives equal bytes; compare snapshots by ``snapshot_hash``, since arrays have no single truth value.
Snapshot: TypeAlias = FullSnapshot | DeltaSnapshot


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
