"""``tailor daemon``: runs it, in the foreground, until somebody stops it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..daemon_options import Config, State, service_errors


class Format(StrEnum):
    """How the log is written."""

    auto = "auto"
    text = "text"
    json = "json"
    journald = "journald"


def run(
    context: typer.Context,
    config: Config = None,
    state: State = None,
    socket: Annotated[
        Path | None,
        typer.Option("--socket", metavar="PATH", help="Where it listens. [default: the user's socket]", show_default=False),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Listen on 127.0.0.1, too, with a token.", show_default=False)
    ] = None,
    log_format: Annotated[Format | None, typer.Option("--log-format", help="How the log on stderr is written.", show_default=False)] = None,
) -> None:
    """Run the daemon, or ask one that runs.

    Without a command it runs here until SIGTERM or Ctrl-C, then keeps what it
    is at and ends. SIGHUP makes it read its settings again. Its log goes to
    stderr. It works without any settings. The exit code is 78 where its
    settings are wrong.

    \b
    Example: tailor daemon
             tailor daemon --config tailor.toml --port 8765
             tailor daemon register Drawing.mlmodel
    """
    if context.invoked_subcommand is not None:
        if given := [name for name, value in context.params.items() if value is not None]:
            expected = f"expected it without a command, got it before {context.invoked_subcommand!r}"
            raise typer.BadParameter(expected, param_hint=f"--{given[0].replace('_', '-')}")
        return
    with service_errors():
        from tailor.daemon.service import Asked, run_daemon

        run_daemon(Asked(config, state, socket, port, log_format.value if log_format is not None else None))
