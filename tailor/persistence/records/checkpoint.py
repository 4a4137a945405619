"""What is kept of work that goes on later, perhaps in another process (``FORMAT.md`` section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import RecordError, brief, path_of
from .change import Content, content
from .snapshot import Metadata, Plain, check_hash, check_metadata, plain


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Work on a model at a moment at which it can be left and taken up again.

    ``base``      SHA-256 (64 hex digits) of the canonical bytes of the model that the work began with.
    ``progress``  how far it is and what governs it: plain values by name.
    ``values``    what it has made so far: tensors (not copied: leave them alone) and lists by name.

    Unlike metadata, both decide how the work goes on. Raises ``RecordError`` for what a record cannot hold.
    """

    metadata: Metadata
    base: str
    progress: Mapping[str, Plain] = field(default_factory=dict)
    values: Mapping[str, Content] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_metadata(self.metadata)
        check_hash(self.base)
        for name in ("progress", "values"):
            if not isinstance(getattr(self, name), Mapping):
                raise RecordError(name, "a map", brief(getattr(self, name)))
        object.__setattr__(self, "progress", plain(self.progress, ["progress"]))
        for key in self.values:
            if not isinstance(key, str) or not key:
                raise RecordError("values", "names that are non-empty strings", brief(key))
        checked = {name: content(value, path_of(["values", name])) for name, value in self.values.items()}
        object.__setattr__(self, "values", checked)

    def __repr__(self) -> str:
        return f"Checkpoint({self.metadata}, base={self.base!r}, progress={brief(self.progress)}, values={brief(self.values)})"
