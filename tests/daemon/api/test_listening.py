"""Where a daemon listens: what it makes there, what it replaces, and what it leaves alone."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from tailor import MLConflictError, MLModelError
from tailor.daemon.service.listening import listening, places_of


def left_behind(path: Path) -> None:
    """The socket of a daemon that was killed."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))


@pytest.mark.parametrize("before", [lambda path: None, left_behind], ids=["nothing", "a dead socket"])
def test_a_socket_is_its_owners(before: object, tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    before(path)
    with listening(path, None) as sockets:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        assert places_of(sockets) == [str(path)]
    assert not path.exists()


def test_its_folder_is_made_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "run" / "tailor" / "daemon.sock"
    with listening(path, None):
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


OTHERS = {
    "a file": lambda path: path.write_text("mine"),
    "a folder": lambda path: path.mkdir(),
    "a link": lambda path: path.symlink_to(path.with_name("elsewhere")),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_no_socket_stays(other: str, tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    OTHERS[other](path)
    with pytest.raises(MLConflictError, match=f"expected a Unix socket or nothing, got {other}"), listening(path, None):
        pass
    assert os.path.lexists(path)


def test_the_socket_of_another_daemon_stays(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    with listening(path, None):
        with pytest.raises(MLConflictError, match="got one of another daemon"), listening(path, None):
            pass
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_path_has_to_fit(tmp_path: Path) -> None:
    # the bounds of sun_path: unix(7), and macOS' sys/un.h
    longest = {"linux": 107}.get(sys.platform, 103)
    path = tmp_path / ("d" * (longest - len(str(tmp_path)) - 1))
    with listening(path, None):
        assert path.exists()
    with pytest.raises(MLModelError, match=f"at most {longest} bytes.*, got {longest + 1}.*socket"), listening(Path(f"{path}d"), None):
        pass


def test_a_folder_that_others_write_to_is_none(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(MLModelError, match="only its owner can write to"), listening(tmp_path / "open" / "daemon.sock", None):
        pass


def test_a_free_port_is_found_and_told_and_a_taken_one_refused(tmp_path: Path) -> None:
    with listening(tmp_path / "one", 0) as sockets:
        port = sockets[1].getsockname()[1]
        assert places_of(sockets) == [str(tmp_path / "one"), f"http://127.0.0.1:{port}"]
        with (
            pytest.raises(MLConflictError, match=f"port {port}: expected a port of 127.0.0.1 that is free"),
            listening(tmp_path / "two", port),
        ):
            pass
        assert not (tmp_path / "two").exists()
