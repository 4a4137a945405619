"""The check that a backend keeps its promises: for a test of whoever writes one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from ..backends import Backend
from .promises import PROMISES, promise


async def check_backend(make: Callable[[], AbstractAsyncContextManager[Backend]], *, prefix: str = "conformance/") -> None:
    """Holds a backend to all that ``Backend`` promises. Raises ``AssertionError`` with the promise that was broken, and how.

    ``make`` opens the same place each time, in a handle of its own that is closed at the end: for a class with ``aclose`` it is
    ``lambda: contextlib.aclosing(DirectoryBackend(path))``. There must be nothing below ``prefix``, where everything happens and
    nothing stays. Some 1,000 operations and 40 MB, up to 20 at a time. Where ``conditional`` is false, two handles are not asked to keep
    each other from writing. What only other processes can show (one that is killed, one that competes) is not asked here.
    """
    async with make() as one, make() as other:
        promise(bool(one.name) and one.name == other.name, "name: it is not empty, and the same for the same place", (one.name, other.name))
        promise(await one.list(prefix) == [], f"before the check: nothing is below {prefix}", "something")
        try:
            for check in PROMISES:
                try:
                    await check(one, other, f"{prefix}{check.__name__}/")
                except Exception as error:  # of whatever kind: it is raised on, with a note
                    error.add_note(f"while it was checked that {check.__doc__}")
                    raise
        finally:
            for entry in await one.list(prefix):
                await other.remove(entry.key)
        promise(await other.list(prefix) == [], "remove: what is removed by one handle is not listed by another", "something")
