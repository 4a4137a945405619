"""What the commands share that run a daemon, rather than ask one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tailor import MLModelError

from .failures import ExitCode, report

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The settings. [default: ~/.config/tailor/tailor.toml]",
        show_default=False,
    ),
]
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="FOLDER",
        help="Where it keeps what it must not forget. [default: ~/.local/state/tailor]",
        show_default=False,
    ),
]


@contextmanager
def service_errors() -> Iterator[None]:
    """Around what uses ``tailor.daemon``: an extra that is missing is named, and wrong settings have an exit code of their own."""
    if os.name == "nt":
        raise MLModelError("daemon: expected Linux, macOS or another system with Unix sockets and signals, got Windows")
    try:
        yield
    except ImportError as error:
        if "pip install" not in str(error) and (error.name or "").startswith("tailor"):
            raise  # a mistake of ours, and no extra that is missing
        raise MLModelError(str(error) if "pip install" in str(error) else f"{error}: pip install 'tailor[daemon]'") from None
    except MLModelError as error:
        from tailor.daemon.configuration import SettingsError

        if isinstance(error, SettingsError):
            report(error, as_json=False)
            raise typer.Exit(ExitCode.SETTINGS) from error
        raise
