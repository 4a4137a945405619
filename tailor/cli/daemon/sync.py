"""``tailor daemon sync`` and ``reload``: what a daemon does by itself, done now."""

from __future__ import annotations

import typer

from ..asking import DaemonPlace, Json, ask, local, plain_record
from ..failures import ExitCode
from ..terminal import add_rows, print_json, results, table


def sync(daemon: DaemonPlace = None, as_json: Json = False) -> None:
    """Sync the daemon's store with its remotes, now.

    Those are the places in its settings. The exit code is 1 where one of them could not be synced.

    \b
    Example: tailor daemon sync
    """
    records = ask(daemon, lambda client: client.sync())
    if as_json:
        print_json({"syncs": plain_record(records)})
    elif not records:
        results().print("no place to sync with: [[sync.remotes]] in the daemon's settings names them", soft_wrap=True, markup=False)
    else:
        rows = [(one.place, local(one.at), "done" if one.ok else "failed", one.text) for one in records]
        results().print(add_rows(table("", "place", "at", "outcome", ""), rows))
    if not all(one.ok for one in records):
        raise typer.Exit(ExitCode.FAILED)


def reload(daemon: DaemonPlace = None, as_json: Json = False) -> None:
    """Have the daemon read its settings again.

    Where they are wrong, it keeps those that it has.

    \b
    Example: tailor daemon reload
    """
    status = ask(daemon, lambda client: client.reload())
    if as_json:
        print_json(plain_record(status))
    else:
        results().print(f"settings: {status.settings or 'the defaults'}", markup=False, soft_wrap=True)
