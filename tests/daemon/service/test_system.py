"""What the daemon has to do with the system: the lock, systemd's socket, the log, and the files that start it."""

from __future__ import annotations

import io
import json
import logging
import os
import plistlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailor import MLConflictError, MLModelError
from tailor.daemon.service import locked, process_of, unit
from tailor.daemon.service.activation import activated_sockets
from tailor.daemon.service.installing import daemon_command
from tailor.daemon.service.logs import begin_log
from tailor.daemon.service.notify import Notifier
from tests.cli.models import Terminal
from tests.daemon.service.running import Heard

ME = str(os.getpid())


def test_one_at_a_time_has_a_state_folder(tmp_path: Path) -> None:
    assert process_of(tmp_path) is None
    with locked(tmp_path):
        assert process_of(tmp_path) == os.getpid()
        with pytest.raises(MLConflictError, match=f"nobody uses, got one that the daemon with process id {ME} has"), locked(tmp_path):
            pass
        (tmp_path / "daemon.lock").write_text("")  # as it is for a moment
        assert process_of(tmp_path) == 0
    assert process_of(tmp_path) is None
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        assert process_of(tmp_path) == os.getpid()


def test_systemd_is_told_by_datagrams(tmp_path: Path) -> None:
    heard = Heard(tmp_path / "n")
    with heard.socket:
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "n")})
        notifier.ready("listening")
        notifier.stopping(1.5)
        assert heard.next() == {"READY": "1", "STATUS": "listening"}
        assert heard.next() == {"STOPPING": "1", "STATUS": "stopping", "EXTEND_TIMEOUT_USEC": "1500000"}
    notifier.alive()  # nobody listens any more
    Notifier({}).ready("nobody asked")


def test_an_abstract_socket_is_told_too() -> None:
    if sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    heard = Heard(Path(f"\0tailor-{ME}"))
    with heard.socket:
        Notifier({"NOTIFY_SOCKET": f"@tailor-{ME}"}).status("here")
        assert heard.next() == {"STATUS": "here"}


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": ME}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_told_where_it_asks(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/n", **environment}).watchdog_seconds == seconds
    assert Notifier(environment).watchdog_seconds is None


def test_sockets_that_were_handed_to_somebody_else_are_left_alone() -> None:
    for environment in ({}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "x", "LISTEN_PID": ME}):
        assert activated_sockets(environment) == []


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The logger of the daemon; the others are set back at the end."""
    root, own = logging.getLogger(), logging.getLogger("tailor")
    before = root.handlers[:], root.level, own.level
    yield logging.getLogger("tailor.daemon")
    root.handlers[:], root.level, own.level = before
    logging.captureWarnings(False)


def said(log: logging.Logger, wanted: str, level: str = "info") -> str:
    """What comes of three messages, a failure among them."""
    before, sys.stderr = sys.stderr, io.StringIO()
    try:
        begin_log(wanted, level)
        log.debug("a detail")
        log.info("one\ntwo")
        try:
            raise ValueError("seven")
        except ValueError:
            log.exception("it failed")
        return sys.stderr.getvalue()
    finally:
        sys.stderr = before


def test_the_log_as_json_lines(log: logging.Logger) -> None:
    for wanted in ("json", "auto"):  # no terminal, no journald
        info, failed = map(json.loads, said(log, wanted).splitlines())
        assert (info["level"], info["logger"], info["message"]) == ("info", "tailor.daemon", "one\ntwo")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", info["time"])
        assert failed["level"] == "error"
        assert failed["exception"].endswith("ValueError: seven")


def test_the_log_for_journald_has_a_priority_on_every_line(log: logging.Logger) -> None:
    lines = said(log, "journald", "debug").splitlines()
    assert lines[:3] == ["<7>tailor.daemon: a detail", "<6>tailor.daemon: one", "<6>two"]
    assert lines[3] == "<3>tailor.daemon: it failed"
    assert all(line.startswith("<3>") for line in lines[3:])


def test_the_log_as_text_and_its_level(log: logging.Logger) -> None:
    assert re.match(r"\d\d:\d\d:\d\d INFO    one\ntwo\n\d\d:\d\d:\d\d ERROR   it failed\n", said(log, "text"))
    assert said(log, "text", "error").startswith(said(log, "text", "error")[:9] + "ERROR   it failed")


def test_journald_is_known_by_its_stream(log: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "stderr").open("w") as file:
        found = os.fstat(file.fileno())
        for stream, expected in (
            (f"{found.st_dev}:{found.st_ino}", "<6>tailor.daemon: hello"),
            (f"{found.st_dev}:{found.st_ino + 1}", "{"),
        ):
            monkeypatch.setenv("JOURNAL_STREAM", stream)
            monkeypatch.setattr(sys, "stderr", file)
            begin_log("auto", "info")
            log.info("hello")
            monkeypatch.undo()
            assert (tmp_path / "stderr").read_text().splitlines()[-1].startswith(expected)


# The files that start it


def analyzed(tmp_path: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What ``systemd-analyze`` says of a unit."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze, which is not here")
    file = tmp_path / "tailor.service"
    file.write_text(text.replace(" ".join(daemon_command()), "/bin/true"))  # the command need not be where systemd sees it
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "SYSTEMD_LOG_LEVEL": "warning"}
    return subprocess.run([program, *arguments, str(file)], capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tailor that is installed for everybody."""
    monkeypatch.setattr("tailor.daemon.service.installing.daemon_command", lambda: ["/opt/tailor/bin/tailor"])


@pytest.mark.parametrize("whose", ["user", "system"])
def test_systemd_finds_nothing_wrong_with_its_units(whose: str, tmp_path: Path, command: None) -> None:
    made = unit(whose, platform="linux", environment={"XDG_CONFIG_HOME": "/c"})
    where = {"user": "/c/systemd/user/tailor.service", "system": "/etc/systemd/system/tailor.service"}
    assert str(made.path) == where[whose]
    assert "ExecStart=/opt/tailor/bin/tailor daemon\n" in made.text
    text = made.text.replace("/opt/tailor/bin/tailor", "/bin/true")
    verified = analyzed(tmp_path, text, "verify", f"--{whose}", "--man=no")
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_systems_unit_is_exposed_to_little(tmp_path: Path, command: None) -> None:
    found = analyzed(tmp_path, unit("system", platform="linux").text, "security", "--offline=true", "--no-pager", "--threshold=15")
    exposure = re.search(r"Overall exposure level for tailor.service: ([\d.]+)", found.stdout)
    assert exposure is not None, found.stdout + found.stderr
    assert float(exposure[1]) <= 1.5


def test_launchd_gets_a_list_of_properties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("tailor.daemon.service.installing.daemon_command", lambda: ["/opt/a & <b>/tailor"])
    made = unit("user", platform="darwin")
    told = plistlib.loads(made.text.encode())
    assert told["ProgramArguments"] == ["/opt/a & <b>/tailor", "daemon"]
    assert (told["Label"], told["RunAtLoad"], told["KeepAlive"], told["Umask"]) == ("tailor.daemon", True, {"SuccessfulExit": False}, 0o077)
    assert made.path == tmp_path / "Library" / "LaunchAgents" / "tailor.daemon.plist"
    assert told["StandardErrorPath"] == str(tmp_path / "Library" / "Logs" / "tailor.log")


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (["/opt/tailor", "-m"], "/opt/tailor -m"),
        (["/opt/my models/tailor"], '"/opt/my models/tailor"'),
        (["/opt/100%/$x"], '"/opt/100%%/$$x"'),
        (['/opt/a"b\\c'], '"/opt/a\\"b\\\\c"'),
    ],
)
def test_what_systemd_reads_as_something_else_is_escaped(command: list[str], written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailor.daemon.service.installing.daemon_command", lambda: command)
    assert f"ExecStart={written} daemon\n" in unit("user", platform="linux").text


def test_what_cannot_be_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailor.daemon.service.installing.daemon_command", lambda: ["/home/ann/bin/tailor"])
    with pytest.raises(MLModelError, match="such as in /opt, got /home/ann/bin/tailor"):
        unit("system", platform="linux")
    for whose, platform in (("system", "darwin"), ("user", "win32")):
        with pytest.raises(MLModelError, match=f"got {platform} and a {whose}'s"):
            unit(whose, platform=platform)


def test_install_writes_a_file_and_says_what_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tailor: Terminal) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert tailor("daemon", "install", "--print") == 0, tailor.err
    printed = tailor.out
    assert list(tmp_path.iterdir()) == []
    assert tailor("daemon", "install") == 0, tailor.err
    path = tmp_path / "systemd" / "user" / "tailor.service"
    assert path.read_text() == printed
    assert tailor.out.splitlines() == [
        f"{path}: written; next:",
        "    systemctl --user daemon-reload",
        "    systemctl --user enable --now tailor",
    ]
