"""Where a daemon is looked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tailor import MLModelError
from tailor.client import Client, as_place, default_socket, default_state


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TAILOR_DAEMON", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/ana")


SOCKETS = [
    ({}, "/home/ana/.local/state/tailor/daemon.sock"),
    ({"XDG_STATE_HOME": "/state"}, "/state/tailor/daemon.sock"),
    ({"XDG_STATE_HOME": "not/absolute"}, "/home/ana/.local/state/tailor/daemon.sock"),
    ({"XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/state"}, "/run/user/7/tailor/daemon.sock"),
    ({"XDG_RUNTIME_DIR": "run"}, "/home/ana/.local/state/tailor/daemon.sock"),
    ({"XDG_RUNTIME_DIR": "/run/user/7", "TAILOR_DAEMON": "/srv/d.sock"}, "/srv/d.sock"),
    ({"TAILOR_DAEMON": "~/d.sock"}, "/home/ana/d.sock"),
]


@pytest.mark.parametrize(("told", "socket"), SOCKETS)
def test_the_socket_where_nobody_says_another(monkeypatch: pytest.MonkeyPatch, told: dict[str, str], socket: str) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert str(as_place()) == socket
    assert str(as_place("/other.sock")) == "/other.sock"


def test_a_state_folder_of_ones_own_has_its_own_socket() -> None:
    assert default_state() == Path("/home/ana/.local/state/tailor")
    assert default_socket(Path("/srv/tailor")) == Path("/srv/tailor/daemon.sock")


@pytest.mark.parametrize("place", ["http://127.0.0.1:8765", "http://[::1]:8765", "http://localhost:1", "http://127.9.9.9:2"])
def test_a_port_of_this_machine(place: str) -> None:
    assert (as_place(place).url, as_place(place + "/").url) == (place, place)


@pytest.mark.parametrize(
    "place",
    [
        "https://127.0.0.1:8765", "http://127.0.0.1", "http://127.0.0.1:99999", "http://:8765", "http://127.0.0.1:8765/v1", "ftp://x:1",
        "http://user@127.0.0.1:8765", "http://127.0.0.1:8765?x", "http://[::1:8765", "http://127.0.0.1:0",
    ],
)  # fmt: skip
def test_what_is_no_place(place: str) -> None:
    with pytest.raises(MLModelError, match=r"daemon: expected the path of a socket or http://127\.0\.0\.1:PORT, got"):
        Client(place)


def test_a_path_that_no_socket_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 107 if sys.platform == "linux" else 103  # unix(7), and macOS' sys/un.h
    assert as_place("/" + "a" * (longest - 1)).socket is not None
    told = rf"daemon: expected the path of a Unix socket, of at most {longest} bytes, got one of {longest + 1}: /a+$"
    with pytest.raises(MLModelError, match=told):
        Client("/" + "a" * longest)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/" + "b" * longest)
    with pytest.raises(MLModelError, match="got one of"):
        Client()


@pytest.mark.parametrize("place", ["http://example.org:8765", "http://192.168.1.7:8765", "http://127.0.0.1.example.org:1"])
def test_another_machine_is_not_asked(place: str) -> None:
    with pytest.raises(MLModelError, match="on its own machine only"):
        Client(place)
