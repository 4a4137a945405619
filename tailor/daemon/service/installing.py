"""Files by which a system starts the daemon and keeps it going: for systemd and launchd, beside this one in ``units``."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeAlias
from xml.sax.saxutils import escape

from tailor import MLModelError

Whose: TypeAlias = Literal["user", "system"]

ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$"})
HOMES = ("/home", "/root", "/run/user")
"""What a system's service cannot see, with ``ProtectHome=yes``."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A file, where it belongs, and the commands that use it then."""

    path: Path
    text: str
    then: tuple[str, ...]


def unit(whose: Whose, *, platform: str | None = None, environment: Mapping[str, str] = os.environ) -> Unit:
    """What starts the daemon of one user, or of the machine. Raises ``MLModelError`` where there is nothing for this system."""
    command, platform = daemon_command(), platform or sys.platform
    if platform.startswith("linux"):
        return _systemd(whose, command, environment)
    if platform == "darwin" and whose == "user":
        return _launchd(command)
    raise MLModelError(f"install: expected Linux with systemd, or a user's daemon on macOS, got {platform} and a {whose}'s")


def daemon_command() -> list[str]:
    """How this tailor is started, with absolute paths: its command beside Python, else Python with the module."""
    beside = Path(sys.executable).with_name("tailor")
    found = str(beside) if beside.is_file() else shutil.which("tailor")
    return [os.path.abspath(found)] if found is not None else [sys.executable, "-m", "tailor.cli"]


def _systemd(whose: Whose, command: Sequence[str], environment: Mapping[str, str]) -> Unit:
    text = _template(f"{whose}.service").replace("{command}", " ".join(_quoted(part) for part in command))
    if whose == "user":
        home = environment.get("XDG_CONFIG_HOME", "")
        base = Path(home) if os.path.isabs(home) else Path.home() / ".config"
        path, control = base / "systemd" / "user" / "tailor.service", "systemctl --user"
    else:
        if command[0].startswith(tuple(f"{folder}/" for folder in HOMES)):
            expected = "expected tailor to be installed where the system's services see it, such as in /opt"
            raise MLModelError(f"install: {expected}, got {command[0]}, in somebody's home folder")
        path, control = Path("/etc/systemd/system/tailor.service"), "sudo systemctl"
    return Unit(path, text, (f"{control} daemon-reload", f"{control} enable --now tailor"))


def _launchd(command: Sequence[str]) -> Unit:
    path = Path.home() / "Library" / "LaunchAgents" / "tailor.daemon.plist"
    log = Path.home() / "Library" / "Logs" / "tailor.log"
    arguments = "\n".join(f"\t\t<string>{escape(part)}</string>" for part in [*command, "daemon"])
    text = _template("launchd.plist").replace("{arguments}", arguments).replace("{log}", escape(str(log)))
    return Unit(path, text, (f"launchctl bootstrap gui/$UID {path}",))


def _template(name: str) -> str:
    return (files(__package__) / "units" / name).read_text(encoding="utf-8")


def _quoted(part: str) -> str:
    """An argument as systemd reads it, whatever is in it."""
    told = part.translate(ESCAPES)
    return f'"{told}"' if told != part or any(sign.isspace() or sign in "';" for sign in part) else told
