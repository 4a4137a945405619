"""A model's message, into which what updates added to it is written only when somebody asks for the whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .models import Taught


class ModelMessage:
    """A message, and what was taught since it was written; several threads may ask for either at the same time.

    ``outline``: the message as it was written last: all of the model but, maybe, examples that were added since. It costs nothing.
    """

    def __init__(self, outline: Any, added: Taught | None = None) -> None:
        self._outline = outline
        self._added = added
        self._writing = threading.Lock()

    @property
    def outline(self) -> Any:
        """See above."""
        return self._outline

    @property
    def whole(self) -> Any:
        """The message with all that was added; raises ``MLFormatError`` where that cannot be written."""
        with self._writing:
            if self._added is not None and self._added.batches:
                self._outline, self._added = copied(self._outline, self._added), None
            return self._outline

    def plus(self, taught: Taught | None = None) -> ModelMessage:
        """This message, and what was ``taught`` besides; this one stays as it is."""
        with self._writing:
            if self._added is None or taught is None:
                return ModelMessage(self._outline, taught or self._added)
            return ModelMessage(self._outline, self._added.plus(*taught.batches))

    def over(self, outline: Any) -> ModelMessage:
        """What was added to this message, over another outline of the same examples."""
        with self._writing:
            return ModelMessage(outline, self._added)

    @property
    def has_examples(self) -> bool:
        """Whether anything was added that the outline does not hold."""
        return self._added is not None and bool(self._added.batches)


def copied(spec: Any, write: Callable[[Any], None]) -> Any:
    """A copy of a message after ``write`` has changed it."""
    copy = type(spec)()
    copy.CopyFrom(spec)
    write(copy)
    return copy
