"""What psutil tells of the machine, from tables of its answers; and the machine that the tests run on."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from datetime import UTC, time
from typing import Any, cast

import psutil
import pytest

from tailor.scheduler import Conditions, PsutilSensors, QuietHours, Surroundings
from tailor.scheduler.testing import FakeSensors

Battery = namedtuple("Battery", "percent secsleft power_plugged")
State = namedtuple("State", "isup")
Address = namedtuple("Address", "address")
Times = namedtuple("Times", "user system idle iowait guest guest_nice", defaults=(0.0, 0.0))
Own = namedtuple("Own", "user system children_user children_system")


class Process:
    """psutil's of this process, or of a child."""

    def __init__(self, *used: float, children: tuple[Any, ...] = (), gone: bool = False) -> None:
        self.used, self._children, self._gone = Own(*used), children, gone

    def cpu_times(self) -> Own:
        if self._gone:
            raise psutil.NoSuchProcess(1)
        return self.used

    def children(self, recursive: bool) -> tuple[Any, ...]:
        assert recursive
        return self._children


def raising(error: Exception) -> Callable[[], Any]:
    def ask() -> Any:
        raise error

    return ask


@pytest.mark.parametrize(
    ("battery", "plugged", "level"),
    [
        (lambda: None, None, None),
        (lambda: Battery(31.0, 100, False), False, 0.31),
        (lambda: Battery(100, -1, True), True, 1.0),
        (lambda: Battery(102.5, -1, None), None, 1.0),
        (raising(FileNotFoundError()), None, None),
        (raising(psutil.AccessDenied()), None, None),
        (None, None, None),
    ],
    ids=["no battery", "on battery", "plugged in", "cannot be told", "no file", "not ours to see", "not on this system"],
)
def test_power_and_battery(
    battery: Callable[[], Any] | None, plugged: bool | None, level: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if battery is None:
        monkeypatch.delattr(psutil, "sensors_battery", raising=False)
    else:
        monkeypatch.setattr(psutil, "sensors_battery", battery, raising=False)
    around = PsutilSensors().read()
    assert (around.external_power, around.battery) == (plugged, level)


@pytest.mark.parametrize(
    ("interfaces", "network"),
    [
        ({}, False),
        ({"lo": (True, ["127.0.0.1", "::1"])}, False),
        ({"lo": (True, ["127.0.0.1"]), "eth0": (True, ["192.0.2.7", "02:00:00:00:00:01"])}, True),
        ({"lo": (True, ["127.0.0.1"]), "eth0": (False, ["192.0.2.7"])}, False),
        ({"wlan0": (True, ["2001:db8::7"])}, True),
        ({"wlan0": (True, ["fe80::1%wlan0", "169.254.3.4", "02-00-00-00-00-01"])}, False),
        ({"sit0": (True, ["0.0.0.0"])}, False),
    ],
    ids=["none", "loopback", "cable", "unplugged", "sixth version", "link-local", "unspecified"],
)
def test_a_network_is_an_interface_that_is_up_and_leads_out(
    interfaces: dict[str, tuple[bool, list[str]]], network: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "net_if_stats", lambda: {name: State(up) for name, (up, _) in interfaces.items()})
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {name: list(map(Address, given)) for name, (_, given) in interfaces.items()})
    assert PsutilSensors().read().network is network


@pytest.mark.parametrize(
    ("after", "use"),
    [
        ((Times(4.0, 2.0, 6.0, 0.0), Process(0, 0, 0, 0)), 0.5),  # 6 of 12 seconds
        ((Times(4.0, 2.0, 4.0, 2.0), Process(0, 0, 0, 0)), 0.5),  # to wait for a disk is no work
        ((Times(4.0, 2.0, 6.0, 0.0), Process(2, 1, 0, 0)), 0.25),  # half of it is our own
        ((Times(4.0, 2.0, 6.0, 0.0), Process(1, 0, 1, 1)), 0.25),
        ((Times(4.0, 2.0, 6.0, 0.0), Process(0, 0, 0, 0, children=(Process(1, 0, 1, 0), Process(1, 0, 0, 0)))), 0.25),
        ((Times(4.0, 2.0, 6.0, 0.0), Process(0, 0, 0, 0, children=(Process(5, 0, 0, 0, gone=True),))), 0.5),
        ((Times(4.0, 2.0, 6.0, 0.0), Process(9, 0, 0, 0)), 0.0),
        ((Times(6.0, 0.0, 6.0, 0.0, 4.0, 2.0), Process(0, 0, 0, 0)), 0.5),  # Linux counts guests as user, too
        ((Times(0.0, 0.0, 12.0, 0.0), Process(0, 0, 0, 0)), 0.0),
        ((Times(0.1, 0.1, 0.1, 0.0), Process(0, 0, 0, 0)), None),  # too short to tell
    ],
)
def test_processor_use_is_what_others_do(after: tuple[Times, Process], use: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda: 4)
    monkeypatch.setattr(psutil, "cpu_times", lambda: Times(0.0, 0.0, 0.0, 0.0))
    process = Process(0, 0, 0, 0)
    monkeypatch.setattr(psutil, "Process", lambda: process)
    sensors = PsutilSensors()
    assert sensors.read().processor_use is None  # between no two moments
    monkeypatch.setattr(psutil, "cpu_times", lambda: after[0])
    monkeypatch.setattr(process, "used", after[1].used)
    monkeypatch.setattr(process, "_children", after[1]._children)
    for _ in range(2):  # a second look right after the first tells the same
        assert sensors.read().processor_use == (None if use is None else pytest.approx(use))


def test_a_child_that_took_its_account_with_it_does_not_count_as_others_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda: 1)
    machine, process = Times(0.0, 0.0, 0.0, 0.0), Process(0, 0, 0, 0, children=(Process(50, 0, 0, 0),))
    monkeypatch.setattr(psutil, "cpu_times", lambda: machine)
    monkeypatch.setattr(psutil, "Process", lambda: process)
    sensors = PsutilSensors()
    machine = Times(2.0, 0.0, 8.0, 0.0)
    monkeypatch.setattr(process, "_children", ())
    assert sensors.read().processor_use == pytest.approx(0.2)


def test_what_a_system_does_not_tell_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cpu_times", "virtual_memory", "net_if_stats", "net_if_addrs"):
        monkeypatch.setattr(psutil, name, raising(NotImplementedError()))
    monkeypatch.setattr(psutil, "sensors_battery", raising(OSError()), raising=False)
    around = PsutilSensors().read()
    assert around == Surroundings(clock=around.clock) and isinstance(around.clock, time)


def test_this_machine_can_be_read() -> None:
    sensors = PsutilSensors()
    around = sensors.read()
    assert sensors.blocking
    assert around.free_memory is not None and 0 < around.free_memory <= psutil.virtual_memory().total
    assert around.battery is None or 0 <= around.battery <= 1
    assert around.network in (True, False)


def test_a_fake_tells_what_it_was_told() -> None:
    sensors = FakeSensors(Surroundings(network=True))
    sensors.set(external_power=False, battery=0.2)
    assert sensors.read() == Surroundings(network=True, external_power=False, battery=0.2)
    with pytest.raises(TypeError, match="wind"):
        sensors.set(wind=3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QuietHours(time(8, tzinfo=UTC), time(20)), "quiet hours: begin: expected a local time of day .* without a zone"),
        (lambda: QuietHours(time(8), cast(Any, 20)), "quiet hours: end: expected a local time of day .*got 20"),
        (lambda: Surroundings(clock=time(8, tzinfo=UTC)), "surroundings: clock: expected a local time of day"),
        (lambda: Conditions(most_processor_use=cast(Any, "0.3")), "most_processor_use: expected 0 to 1, got '0.3'"),
        (lambda: Conditions(external_power=cast(Any, "no")), "external_power: expected True or False, got 'no'"),
        (lambda: Conditions(network=cast(Any, 1)), "network: expected True or False, got 1"),
        (lambda: Conditions(quiet_hours=cast(Any, QuietHours(time(8), time(9)))), "quiet_hours: expected a tuple of QuietHours, got Quiet"),
        (lambda: Conditions(quiet_hours=cast(Any, ("8-9",))), "quiet_hours: expected a tuple of QuietHours, got .'8-9',."),
    ],
)
def test_what_could_not_be_compared_is_refused_before_anything_is_decided_by_it(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("around", "unmet"),
    [
        (Surroundings(), []),
        (
            Surroundings(battery=0.9),
            ["external power: expected the machine to be plugged in, got it has a battery, and its supply cannot be told"],
        ),
        (Surroundings(external_power=True, battery=0.1), []),
    ],
)
def test_a_battery_whose_supply_cannot_be_told_is_not_plugged_in(around: Surroundings, unmet: list[str]) -> None:
    assert [str(one) for one in Conditions(external_power=True).unmet(around)] == unmet


def test_of_two_conditions_the_tighter_bounds_hold() -> None:
    one = Conditions(external_power=True, most_processor_use=0.5, least_battery=0.2)
    other = Conditions(network=True, most_processor_use=0.3, least_free_memory=5)
    both = Conditions(external_power=True, network=True, most_processor_use=0.3, least_free_memory=5, least_battery=0.2)
    assert one.with_those_of(other) == other.with_those_of(one) == both
    assert one.with_those_of(Conditions()) == one
