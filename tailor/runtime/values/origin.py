"""Where a training example came from, so that it can be told, and forgotten, later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..errors import MLFeatureError
from .wording import wording

LONGEST_TEXT = 1000
"""Characters that an id or a source may have."""


@dataclass(frozen=True, slots=True)
class MLExampleOrigin:
    """Where one training example came from; nearest neighbour classifiers keep it beside the example.

    ``id``: what the example is called; several may be called the same, and are forgotten together. One that has none gets an
    id made of its content. ``source``: where it came from: a file, a device, a person. ``time``: when, with a time zone.

    Raises ``MLFeatureError`` for an empty id, for text of more than 1000 characters or that UTF-8 cannot hold, and for a time
    without a time zone or outside of the years 1 to 9999 of UTC.
    """

    id: str | None = None
    source: str | None = None
    time: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("id", "source"):
            text = getattr(self, name)
            if text is not None and not (isinstance(text, str) and 0 < len(text) <= LONGEST_TEXT and _encodes(text)):
                got = wording(text) if not isinstance(text, str) else f"{len(text)} characters" if len(text) > LONGEST_TEXT else repr(text)
                raise MLFeatureError(f"origin of an example: {name}: expected text of 1 to {LONGEST_TEXT} characters, got {got}")
        if self.time is not None:
            if not isinstance(self.time, datetime) or self.time.utcoffset() is None:
                raise MLFeatureError(f"origin of an example: time: expected a datetime with a time zone, got {self.time!r}")
            try:
                object.__setattr__(self, "time", self.time.astimezone(UTC))
            except OverflowError:
                got = self.time.isoformat()
                raise MLFeatureError(f"origin of an example: time: expected one in the years 1 to 9999 of UTC, got {got}") from None


NO_ORIGIN = MLExampleOrigin()


def origins(
    count: int, ids: Sequence[str | None] | None, sources: str | Sequence[str | None] | None, times: Sequence[datetime | None] | None
) -> list[MLExampleOrigin] | None:
    """The origins of ``count`` examples from columns, of which any may be absent; ``None`` where all are. One source may be for all.

    Raises ``MLFeatureError`` naming column and example.
    """
    if ids is None and sources is None and times is None:
        return None
    columns = {"ids": ids, "sources": [sources] * count if isinstance(sources, str) else sources, "times": times}
    rows: dict[str, list[object]] = {}
    for name, column in columns.items():
        if isinstance(column, (str, bytes)):
            raise MLFeatureError(f"{name}: expected one for each of {count} examples, got {wording(column)}")
        rows[name] = [None] * count if column is None else list(column)
        if len(rows[name]) != count:
            raise MLFeatureError(f"{name}: expected one for each of {count} examples, got {len(rows[name])}")
    made = []
    for number, row in enumerate(zip(*rows.values(), strict=True)):
        try:
            made.append(MLExampleOrigin(*row))
        except MLFeatureError as error:
            raise error.of_example(number) from None
    return made


def _encodes(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
