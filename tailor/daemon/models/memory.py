"""What is dear to load, kept in memory up to a number and a size: what was used longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from anyio import Lock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST_LIGHT = 10_000


class Weighed(NamedTuple, Generic[V]):
    """A value, and about how many bytes it takes; one that takes none is light."""

    value: V
    bytes: int


class Memory(Generic[K, V]):
    """Values by key, at most ``most`` of them and ``most_bytes``, but for the last one that was asked for; and ``MOST_LIGHT`` light ones.

    Who asks for one that is being loaded waits for it. What cannot be loaded is not kept, nor what was forgotten while it was being
    loaded: whoever asks after ``forget`` gets what is there after it.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self.bytes = 0
        self._most, self._most_bytes = most, most_bytes
        self._heavy: OrderedDict[K, Weighed[V]] = OrderedDict()
        self._light: OrderedDict[K, V] = OrderedDict()
        self._loading: dict[K, object] = {}  # who loads it, if nobody has forgotten it since
        self._turns: WeakValueDictionary[K, Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._heavy)

    async def of(self, key: K, load: Callable[[], Awaitable[Weighed[V]]]) -> V:
        """The value of ``key``, which ``load`` gives where it is not kept. Raises what that raises."""
        if self._has(key):
            return self._used(key)
        async with self._turns.setdefault(key, Lock()):
            if self._has(key):  # somebody has loaded it meanwhile
                return self._used(key)
            self._loading[key] = who = object()
            try:
                loaded = await load()
                if self._loading.get(key) is who:
                    self._keep(key, loaded)
                return loaded.value
            finally:
                if self._loading.get(key) is who:
                    del self._loading[key]

    def forget(self, key: K) -> None:
        """Lets go of the value of ``key``."""
        self._loading.pop(key, None)
        self._light.pop(key, None)
        if key in self._heavy:
            self.bytes -= self._heavy.pop(key).bytes

    def forget_all(self, which: Callable[[K], bool]) -> None:
        """Lets go of all values whose keys are such."""
        for key in filter(which, [*self._heavy, *self._light, *self._loading]):
            self.forget(key)

    def limit(self, most: int, most_bytes: int) -> None:
        """Other bounds, from now on."""
        self._most, self._most_bytes = most, most_bytes
        self._make_room()

    def _has(self, key: K) -> bool:
        return key in self._heavy or key in self._light

    def _used(self, key: K) -> V:
        if key in self._light:
            self._light.move_to_end(key)
            return self._light[key]
        self._heavy.move_to_end(key)
        return self._heavy[key].value

    def _keep(self, key: K, loaded: Weighed[V]) -> None:
        if loaded.bytes:
            self._heavy[key] = loaded
            self.bytes += loaded.bytes
        else:
            self._light[key] = loaded.value
        self._make_room()

    def _make_room(self) -> None:
        while len(self._heavy) > 1 and (len(self._heavy) > self._most or self.bytes > self._most_bytes):
            _, gone = self._heavy.popitem(last=False)
            self.bytes -= gone.bytes
        while len(self._light) > MOST_LIGHT:
            self._light.popitem(last=False)
