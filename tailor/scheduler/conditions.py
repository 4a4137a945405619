"""Conditions: what must hold around a job while it runs, and what of it does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import time
from typing import TypeVar

Bound = TypeVar("Bound", int, float)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The machine at one moment. ``None``: it cannot be told, or there is none (a battery).

    ``processor_use``, ``battery``  from 0 to 1. ``free_memory``  bytes. ``clock``  the local time of day.
    """

    external_power: bool | None = None
    network: bool | None = None
    processor_use: float | None = None
    free_memory: int | None = None
    battery: float | None = None
    clock: time | None = None

    def __post_init__(self) -> None:
        if self.clock is not None:
            _check_local("surroundings: clock", self.clock)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From ``begin`` up to ``end``, local time, in which nothing is to run; over midnight where the end is the earlier one.

    Raises ``ValueError`` for what is no time of day, for one with a zone, and where both are the same.
    """

    begin: time
    end: time

    def __post_init__(self) -> None:
        _check_local("quiet hours: begin", self.begin)
        _check_local("quiet hours: end", self.end)
        if self.begin == self.end:
            raise ValueError(f"quiet hours: expected an end that is not the beginning, got {self.begin} for both")

    def hold(self, clock: time) -> bool:
        """Whether ``clock`` lies in them."""
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end


@dataclass(frozen=True, slots=True)
class Unmet:
    """A condition that does not hold: its ``name``, what was ``expected``, what there is (``got``); ``str`` makes a sentence of it."""

    name: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.name}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold for a job to run; none by default.

    A machine that tells neither of its power supply nor of a battery has none, and so is on external power; a network
    that cannot be told is there. Whatever else cannot be told does not hold. Raises ``ValueError`` for a bound that makes no sense.
    """

    external_power: bool = False
    network: bool = False
    most_processor_use: float | None = None
    least_free_memory: int | None = None
    least_battery: float | None = None
    quiet_hours: tuple[QuietHours, ...] = ()

    def __post_init__(self) -> None:
        for name, most in (("most_processor_use", 1.0), ("least_battery", 1.0), ("least_free_memory", math.inf)):
            bound = getattr(self, name)
            if bound is not None and not (isinstance(bound, int | float) and 0 <= bound <= most):
                raise ValueError(f"conditions: {name}: expected {'0 to 1' if most == 1 else '0 or more'}, got {bound!r}")
        for name in ("external_power", "network"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"conditions: {name}: expected True or False, got {getattr(self, name)!r}")
        if not isinstance(self.quiet_hours, list | tuple) or not all(isinstance(hours, QuietHours) for hours in self.quiet_hours):
            raise ValueError(f"conditions: quiet_hours: expected a tuple of QuietHours, got {self.quiet_hours!r}")
        object.__setattr__(self, "quiet_hours", tuple(self.quiet_hours))

    def with_those_of(self, other: Conditions) -> Conditions:
        """What must hold where both are asked for: of each bound the tighter one."""
        return Conditions(
            self.external_power or other.external_power,
            self.network or other.network,
            _tighter(min, self.most_processor_use, other.most_processor_use),
            _tighter(max, self.least_free_memory, other.least_free_memory),
            _tighter(max, self.least_battery, other.least_battery),
            tuple(dict.fromkeys(self.quiet_hours + other.quiet_hours)),
        )

    def unmet(self, around: Surroundings) -> tuple[Unmet, ...]:
        """What does not hold in these surroundings."""
        found = []
        if self.external_power and (around.external_power is False or (around.external_power is None and around.battery is not None)):
            got = "it runs on battery" if around.external_power is False else "it has a battery, and its supply cannot be told"
            found.append(Unmet("external power", "the machine to be plugged in", got))
        if self.network and around.network is False:
            found.append(Unmet("network", "a connection", "none"))
        if self.most_processor_use is not None and not _known(around.processor_use) <= self.most_processor_use:
            found.append(Unmet("idle processors", f"at most {self.most_processor_use:.0%} in use", _share(around.processor_use)))
        if self.least_free_memory is not None and (around.free_memory is None or around.free_memory < self.least_free_memory):
            got = "an amount that cannot be told" if around.free_memory is None else f"{around.free_memory:,} bytes"
            found.append(Unmet("free memory", f"at least {self.least_free_memory:,} bytes", got))
        if self.least_battery is not None and around.battery is not None and around.battery < self.least_battery:
            found.append(Unmet("battery", f"at least {self.least_battery:.0%}", _share(around.battery)))
        for hours in self.quiet_hours:
            if around.clock is None or hours.hold(around.clock):
                got = "a time that cannot be told" if around.clock is None else f"{around.clock:%H:%M}"
                found.append(Unmet("quiet hours", f"a time outside {hours.begin:%H:%M} to {hours.end:%H:%M}", got))
        return tuple(found)


def _check_local(name: str, moment: object) -> None:
    """Raises for what cannot be compared with a local time of day: a scheduler would only find out in the middle of its decisions."""
    if not isinstance(moment, time) or moment.tzinfo is not None:
        raise ValueError(f"{name}: expected a local time of day (datetime.time without a zone), got {moment!r}")


def _tighter(choose: Callable[[Bound, Bound], Bound], one: Bound | None, other: Bound | None) -> Bound | None:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)


def _known(use: float | None) -> float:
    return math.inf if use is None else use


def _share(part: float | None) -> str:
    return "a share that cannot be told" if part is None else f"{part:.0%}"
