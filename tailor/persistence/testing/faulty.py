"""A backend that fails when it is told to: for tests of whatever stands on one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from anyio.lowlevel import checkpoint

from ..backends import Backend, Body, Chunk, Entry, Expected
from ..errors import BackendError, StoreError

T = TypeVar("T")


class Fault(Enum):
    """What comes of an operation."""

    ERROR = "error"
    """``BackendError``, before anything happened."""
    LOST = "lost"
    """It happens, then ``BackendError``: the answer is lost."""
    TEAR = "tear"
    """A write or a read stops in the middle of its bytes with ``BackendError``; any other operation is an ``ERROR``."""
    KILL = "kill"
    """The process is gone: this operation and all after it do nothing and raise ``Killed``; so do those under way, whatever they did."""


class Killed(BaseException):
    """The process is gone. Whatever cleans up behind it cannot change anything any more."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What was asked: a method's name, the keys (one for most, the prefix for ``list``), and what was made of it."""

    method: str
    keys: tuple[str, ...]
    fault: Fault | None


class FaultyBackend:
    """``inner``, with faults by ``plan``: from an operation's number, counted from 0 as they begin, to what comes of it.

    Each call of a method but ``aclose`` is an operation. ``log`` has all of them, ``len(log)`` is how many there were. To stop
    at every operation of some work, on one place after another::

        for n in itertools.count():
            inner = MemoryBackend()
            ...                                            # what was there before
            faulty = FaultyBackend(inner, {n: Fault.KILL})
            try:
                await work(faulty)
            except* (Killed, BackendError):                # alone, or in a task group's ExceptionGroup
                pass
            await check(inner)                             # reopened: the old state or the new one, whole
            if not faulty.failed:
                break                                      # the work has only n operations

    A process that is killed after operation n is one that is killed at n + 1. Several faults make a plan of several numbers; no plan
    at all counts and logs only.
    """

    def __init__(self, inner: Backend, plan: Mapping[int, Fault] | None = None) -> None:
        self.inner = inner
        self.log: list[Operation] = []
        self._plan = dict(plan or {})
        self._killed = False

    @property
    def name(self) -> str:
        """The inner one's."""
        return self.inner.name

    @property
    def conditional(self) -> bool:
        """The inner one's."""
        return self.inner.conditional

    @property
    def failed(self) -> bool:
        """Whether a fault has come."""
        return any(operation.fault for operation in self.log)

    async def read(self, key: str, sink: Callable[[Chunk], object], *, most: int | None = None) -> Entry:
        """See ``Backend.read``."""

        async def torn() -> Entry:
            await self.inner.read(key, lambda chunk: _tear(chunk, sink), most=most)
            raise BackendError(f"{self.name}: {key}: torn, with no bytes to stop in the middle of")

        return await self._do("read", (key,), lambda: self.inner.read(key, sink, most=most), torn)

    async def read_many(self, keys: Sequence[str], *, most: int) -> dict[str, tuple[bytes, Entry]]:
        """See ``Backend.read_many``."""
        return await self._do("read_many", tuple(keys), lambda: self.inner.read_many(keys, most=most))

    async def write(self, key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        """See ``Backend.write``."""

        async def torn() -> str:
            return await self.inner.write(key, Body(body.size, lambda: _half(key, body)), expected=expected)

        return await self._do("write", (key,), lambda: self.inner.write(key, body, expected=expected), torn)

    async def look(self, key: str) -> Entry | None:
        """See ``Backend.look``."""
        return await self._do("look", (key,), lambda: self.inner.look(key))

    async def list(self, prefix: str) -> list[Entry]:
        """See ``Backend.list``."""
        return await self._do("list", (prefix,), lambda: self.inner.list(prefix))

    async def remove(self, key: str) -> None:
        """See ``Backend.remove``."""
        await self._do("remove", (key,), lambda: self.inner.remove(key))

    async def aclose(self) -> None:
        """See ``Backend.aclose``. Once killed, does nothing: the dead close no files."""
        if not self._killed:
            await self.inner.aclose()

    async def _do(
        self, method: str, keys: tuple[str, ...], operation: Callable[[], Awaitable[T]], torn: Callable[[], Awaitable[T]] | None = None
    ) -> T:
        number = len(self.log)
        fault = Fault.KILL if self._killed else self._plan.get(number)
        self.log.append(Operation(method, keys, fault))
        self._killed = fault is Fault.KILL
        what = f"{self.name}: {method} {', '.join(keys):.100}: operation {number} was to fail ({'' if fault is None else fault.value})"
        await checkpoint()
        try:
            if self._killed:
                raise Killed(what)
            if fault is Fault.ERROR or (fault is Fault.TEAR and torn is None):
                raise BackendError(what)
            answer = await (torn if torn is not None and fault is Fault.TEAR else operation)()
        except Exception as error:  # of whatever kind: the dead hear no answer
            self._check_alive(what)
            if fault is Fault.LOST and isinstance(error, StoreError):
                raise BackendError(what) from None
            raise
        self._check_alive(what)
        if fault is Fault.LOST:
            raise BackendError(what)
        return answer

    def _check_alive(self, what: str) -> None:
        if self._killed:
            raise Killed(what)

    def __repr__(self) -> str:
        return f"<FaultyBackend {self.name}: {len(self.log)} operations{', killed' if self._killed else ''}>"


def _tear(chunk: Chunk, sink: Callable[[Chunk], object]) -> None:
    sink(chunk[: len(chunk) // 2])
    raise BackendError("torn: stopped in the middle")


def _half(key: str, body: Body) -> Iterator[Chunk]:
    left = body.size // 2
    for chunk in body.chunks():
        if len(chunk) > left:
            yield chunk[:left]
            break
        left -= len(chunk)
        yield chunk
    raise BackendError(f"{key}: torn: stopped in the middle")
