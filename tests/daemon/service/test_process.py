"""The daemon as a process: who is told what, and how it ends. Two processes, for each takes a second to begin."""

from __future__ import annotations

import json
import re
import signal
import socket
from pathlib import Path

import pytest

from tailor.daemon.service import process_of
from tests.cli.models import Terminal
from tests.daemon.service.running import ROOT, Heard, Process, daemon

CONTAINER = ROOT / "tailor" / "daemon" / "service" / "units" / "Containerfile"


def test_a_daemon_tells_how_it_is_until_it_is_stopped(tailor: Terminal, tmp_path: Path) -> None:
    settings, state = tmp_path / "tailor.toml", tmp_path / "state"
    settings.write_text('state = "state"\nstore = "store"\nkey_file = "a.key"\n[http]\nsocket = "s"\n')
    heard = Heard(tmp_path / "notify")
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "500000"}
    with heard.socket, daemon(["--config", settings, "--log-format", "json"], tmp_path, **told) as running:
        *before, ready = heard.until("READY")
        assert before[0] == {"STATUS": "starting"}
        assert ready == {"READY": "1", "STATUS": f"listening at {tmp_path / 's'}"}
        assert heard.until("WATCHDOG")[-1] == {"WATCHDOG": "1"}
        lines = [json.loads(line) for line in running.until("listening at")]
        assert any("a new key" in line["message"] for line in lines)
        assert (lines[-1]["level"], lines[-1]["logger"]) == ("info", "tailor.daemon.service.process")
        assert {path.name: path.stat().st_mode & 0o777 for path in state.iterdir()}.items() >= {
            "ledger.sqlite": 0o600,
            "daemon.lock": 0o600,
        }.items()

        assert process_of(state) == running.process.pid
        assert tailor("daemon", "--config", settings) == 1
        assert (
            f"{state}: expected a state folder that nobody uses, got one that the daemon with process id {running.process.pid} has"
            in tailor.err
        )

        code = re.search(r'CMD \["python", "-c", (".*?")\]', CONTAINER.read_text(encoding="utf-8").replace("\\\n", ""), re.DOTALL)
        assert code is not None
        exec(json.loads(code[1]).replace("/run/tailor/daemon.sock", str(tmp_path / "s")))  # the health check of the container

        for text, kind in (
            ("workers = 0\n", "settings_refused"),
            (settings.read_text() + "[updates]\nexamples = 3\n", "settings_reloaded"),
        ):
            settings.write_text(text)
            running.process.send_signal(signal.SIGHUP)
            assert int(heard.until("RELOADING")[-1]["MONOTONIC_USEC"]) > 0
            assert heard.until("READY")[-1]["STATUS"] == "running"
            message = running.until(kind)[-1]
        assert "updates" in message

        assert tailor("daemon", "stop", "--state", state) == 0, tailor.err
        assert tailor.out == f"the daemon with process id {running.process.pid} has ended\n"
        assert heard.until("STOPPING")[-1]["STOPPING"] == "1"
        assert (running.ended(), "stopped" in running.until("stopped")[-1]) == (0, True)
        assert not (tmp_path / "s").exists()
    assert tailor("daemon", "stop", "--state", state) == 1
    assert "got one that nobody uses" in tailor.err
    assert tailor("log", "--store", tmp_path / "store") == 1
    assert "expected a key file" in tailor.err  # it is encrypted


def test_systemds_socket_is_taken_and_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "given"))
        listener.listen()
        with daemon(["--state", tmp_path / "state", "--log-format", "text"], tmp_path, listener) as running:
            second_signal(running, tmp_path)
    assert process_of(tmp_path / "state") is None


def second_signal(running: Process, folder: Path) -> None:
    running.until("listening at")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(folder / "given"))
        client.sendall(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        client.sendall(b"POST /v1/sync HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")  # and nothing more, so that it waits
        running.process.terminate()
        running.until("SIGTERM: stopping, within 30 seconds")
        running.process.terminate()
        assert running.ended() == -signal.SIGTERM


HANGS = """
import threading
from anyio import to_thread
from tailor.daemon.service import process
async def hangs(daemon):
    process.log.info("hangs")
    {}
process._logged, process.GRACE = hangs, 0.5
"""


@pytest.mark.parametrize(
    ("where", "code"), [("await to_thread.run_sync(threading.Event().wait)", 75), ("threading.Event().wait()", -signal.SIGALRM)]
)
def test_what_hangs_is_ended(where: str, code: int, tmp_path: Path) -> None:
    """In a thread that nobody can cancel, and in the loop itself."""
    settings = tmp_path / "tailor.toml"
    settings.write_text('state = "state"\nstore = "store"\nstop_seconds = 0.5\n[http]\nsocket = "s"\n')
    with daemon(["--config", settings], tmp_path, before=HANGS.format(where)) as running:
        running.until("hangs")
        running.process.terminate()
        if code > 0:
            running.until("not stopped within 0.5 seconds, something hangs: ending with 75")
        assert running.ended() == code


def test_wrong_settings_have_an_exit_code_of_their_own(tailor: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "tailor.toml"
    for text, command, told in (
        ("workers = 0", ("daemon", "--config", file), f"{file}: line 1: workers: expected a whole number"),
        ("workers = 0", ("daemon", "check", file), f"{file}: line 1: workers: expected a whole number"),
        ("x", ("daemon", "stop", "--config", file), f"{file}: line 1: expected TOML"),
        ("x", ("backup", "--daemon", tmp_path / "b", "--config", file), f"{file}: line 1: expected TOML"),
    ):
        file.write_text(text)
        assert tailor(*command) == 78
        assert told in tailor.err
    file.write_text('state = "s"\n[models.a]\npath = "absent.mlmodel"\n')
    assert tailor("daemon", "check", file) == 0
    assert tailor.err == f"{tmp_path / 'absent.mlmodel'}: nothing is there\n"
    assert tailor("daemon", "check", file, "--json") == 0
    assert json.loads(tailor.out)["state"] == str(tmp_path / "s")
    file.write_text('store = "https://ann:secret@127.0.0.1/store"')
    assert tailor("daemon", "check", file) == 0
    assert "https://127.0.0.1/store" in tailor.out
    assert "secret" not in tailor.out
    assert tailor("daemon", "--port", "1", "check", file) == 2
    assert "expected it without a command, got it before 'check'" in tailor.err
    assert not (tmp_path / "s").exists()
