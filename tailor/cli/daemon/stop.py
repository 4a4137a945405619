"""``tailor daemon stop``: ends the daemon that has a state folder."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from tailor import MLModelError

from ..daemon_options import Config, State, service_errors
from ..terminal import results

PAUSE = 0.05


def stop(
    config: Config = None,
    state: State = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait until it has ended.")] = 60.0,
) -> None:
    """Have the daemon keep what it is at and end, and wait for that.

    It is found by the lock on its state folder, so that it need not answer.

    \b
    Example: tailor daemon stop
             tailor daemon stop --state /srv/tailor
    """
    with service_errors():
        from tailor.daemon.service import Asked, process_of

        asked = Asked(config, state)
        folder = asked.places(asked.settings()).state if state is None else state
        pid = process_of(folder)
        if pid is None:
            raise MLModelError(f"{folder}: expected the state folder of a daemon that runs, got one that nobody uses")
        end = time.monotonic() + timeout
        _terminate(pid, folder)
        while process_of(folder) == pid:
            if time.monotonic() > end:
                raise MLModelError(f"{folder}: expected process {pid} to end in {timeout:g} seconds, got one that goes on")
            time.sleep(PAUSE)  # what is waited for is another process, which tells nobody
    results().print(f"the daemon with process id {pid} has ended", markup=False)


def _terminate(pid: int, folder: Path) -> None:
    try:
        if pid == 0:
            raise ProcessLookupError
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        told = f"got {pid or 'none'}, which is none here (does it run in a container?)"
        raise MLModelError(f"{folder}: expected the process id of its daemon, {told}") from None
    except PermissionError:
        raise MLModelError(f"{folder}: expected a daemon of your own, got that of another user, with process id {pid}") from None
