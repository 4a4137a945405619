"""Sensors: what tells the scheduler about the machine that it runs on."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

import anyio
from anyio import to_thread

from .conditions import Surroundings

Told = TypeVar("Told")

SENSE_SECONDS = 30.0
"""How often the machine is looked at."""

SHORTEST = 0.1
"""Seconds between two readings of the processors' use: systems count it in hundredths of a second."""


class Sensors(Protocol):
    """Reads the machine. ``blocking``: whether ``read`` may wait for the system, so that it belongs off the event loop."""

    @property
    def blocking(self) -> bool:
        """Whether ``read`` may take more than a moment."""
        ...

    def read(self) -> Surroundings:
        """The machine as it is now; ``None`` for what cannot be told. Raises nothing."""
        ...


async def reading(sensors: Sensors) -> Surroundings:
    """The machine as it is now."""
    return await to_thread.run_sync(sensors.read) if sensors.blocking else sensors.read()


async def keep_reading(sensors: Sensors, tell: Callable[[Surroundings], None]) -> None:
    """Tells of the machine again and again."""
    while True:
        await anyio.sleep(SENSE_SECONDS)
        tell(await reading(sensors))


class PsutilSensors:
    """Reads the machine through psutil, in a few milliseconds (a battery may take longer).

    ``processor_use`` is that of the whole machine between two readings, less what this process and its children used of it:
    work must not drive itself away by the load that it makes. ``network``: an interface is up that has an address of
    its own; whether anybody is at the other end of it is not asked, and a bridge to virtual machines looks the same.
    To be read from one thread at a time; others wait.
    """

    blocking = True

    def __init__(self) -> None:
        import psutil  # here, so that whoever does without conditions does without it

        self._psutil: Any = psutil
        self._process = psutil.Process()
        self._lock = threading.Lock()
        self._before = self._told(self._times)
        self._use: float | None = None

    def __repr__(self) -> str:
        return "<PsutilSensors>"

    def read(self) -> Surroundings:
        """The machine as it is now."""
        with self._lock:
            level, plugged = self._told(self._battery) or (None, None)
            return Surroundings(
                external_power=plugged,
                network=self._told(self._network),
                processor_use=self._processor_use(),
                free_memory=self._told(lambda: int(self._psutil.virtual_memory().available)),
                battery=level,
                clock=datetime.now().time(),
            )

    def _told(self, ask: Callable[[], Told]) -> Told | None:
        """What ``ask`` gives; ``None`` where this system has no such thing or does not let us look."""
        try:
            return ask()
        except (self._psutil.Error, OSError, NotImplementedError, AttributeError):  # psutil lacks the functions that a system lacks
            return None

    def _battery(self) -> tuple[float | None, bool | None]:
        battery = self._psutil.sensors_battery()
        if battery is None:
            return None, None
        return min(1.0, max(0.0, battery.percent / 100)), battery.power_plugged

    def _network(self) -> bool:
        up = {name for name, state in self._psutil.net_if_stats().items() if state.isup}
        return any(
            _leads_out(address.address) for name, addresses in self._psutil.net_if_addrs().items() if name in up for address in addresses
        )

    def _processor_use(self) -> float | None:
        now = self._told(self._times)
        if now is None or self._before is None:
            self._before, self._use = now, None
            return None
        time, busy, own = (after - before for after, before in zip(now, self._before, strict=True))
        if time >= SHORTEST * (self._psutil.cpu_count() or 1):
            # a child that was not waited for takes its account with it: nobody has worked for less than no time
            self._before, self._use = now, min(1.0, max(0.0, busy - max(0.0, own)) / time)
        return self._use

    def _times(self) -> tuple[float, float, float]:
        """Seconds of all processors together since some moment: passed, busy, and of these for this process and its children."""
        machine = self._psutil.cpu_times()._asdict()
        # Linux counts guests among user and nice too
        total = sum(machine.values()) - machine.get("guest", 0.0) - machine.get("guest_nice", 0.0)
        busy = total - machine["idle"] - machine.get("iowait", 0.0)
        own = _used(self._process) + sum(self._told(partial(_used, child)) or 0.0 for child in self._process.children(recursive=True))
        return total, busy, own


def _used(process: Any) -> float:
    """Seconds of processors that it and the children that it waited for have used."""
    return float(sum(process.cpu_times()[:4]))


def _leads_out(address: str) -> bool:
    """Whether an interface's address is one of a network, not of the machine or the cable alone."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a hardware address
        return False
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)
