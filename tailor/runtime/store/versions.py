"""What a store tells of a version of somebody's model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tailor.persistence import Name, Version


@dataclass(frozen=True, slots=True)
class MLVersion:
    """One version of a personalised model, as ``MLModelStore`` tells of it.

    ``identifier``  64 hex digits; equal content and past have an equal one, on every device.
    ``parents``     identifiers of those it was made of: none for the first, two or more for a merge.
    ``metadata``    everything else that is kept of it (``FORMAT.md`` section 3), as plain data.
    ``pruned``      whether its model was removed by ``prune``; told by ``MLModelStore.log`` alone.
    """

    identifier: str
    model: str
    user: str
    branch: str
    created_at: datetime
    parents: tuple[str, ...]
    device: str
    message: str
    metrics: Mapping[str, Any]
    parameters: Mapping[str, Any]
    metadata: Mapping[str, Any]
    pruned: bool = False

    @classmethod
    def of(cls, name: Name, identifier: str, version: Version, *, pruned: bool = False) -> MLVersion:
        """A version of the persistence room, of this name."""
        told = version.metadata
        device, message = (text if isinstance(text, str) else "" for text in (told.extra.get("device"), told.extra.get("message")))
        return cls(
            identifier,
            name.model,
            name.user,
            name.branch,
            told.created_at,
            version.parents,
            device,
            message,
            told.metrics,
            told.parameters,
            {name: value for name, value in told.extra.items() if name not in ("device", "message")},
            pruned,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data, by the names of the fields."""
        return {
            "identifier": self.identifier,
            "model": self.model,
            "user": self.user,
            "branch": self.branch,
            "created_at": self.created_at.isoformat(),
            "parents": list(self.parents),
            "device": self.device,
            "message": self.message,
            "metrics": dict(self.metrics),
            "parameters": dict(self.parameters),
            "metadata": dict(self.metadata),
            "pruned": self.pruned,
        }
