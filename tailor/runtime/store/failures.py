"""The errors of a store, and of the place it is kept in, as tailor's own: translated where they come into the roof."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tailor.persistence import ConflictError, RecordError, StoreError

from ..errors import MLStoreConflictError, MLStoreError


@contextmanager
def at_the_door() -> Iterator[None]:
    """The pillar's and the system's errors as ours; of several that happened at the same time, the first."""
    try:
        yield
    except ConflictError as error:
        raise MLStoreConflictError(str(error)) from error
    except (StoreError, RecordError, ModuleNotFoundError) as error:  # the last: an extra that is not installed, which it names
        raise MLStoreError(str(error)) from error
    except OSError as error:
        named = f"{error.filename}: " if error.filename is not None else ""
        raise MLStoreError(f"{named}expected a file or folder that can be read and written, got {error.strerror or error}") from error
    except BaseExceptionGroup as group:
        first = _first(group)
        if not isinstance(first, Exception):
            raise
        with at_the_door():
            raise first from group


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
