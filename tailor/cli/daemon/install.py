"""``tailor daemon install``: the file by which the system starts the daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from ..daemon_options import service_errors
from ..terminal import results


def install(
    system: Annotated[bool, typer.Option("--system/--user", help="For the whole machine, or for you.")] = False,
    show: Annotated[bool, typer.Option("--print", help="Print it, and write nothing.")] = False,
) -> None:
    """Write the file by which the system starts the daemon.

    And keeps it going: for systemd, or for launchd on macOS. Nothing is started or enabled: the
    commands for that are printed.

    \b
    Example: tailor daemon install
             sudo tailor daemon install --system
    """
    with service_errors():
        from tailor.daemon.service import unit
        from tailor.persistence import write_atomically

        made = unit("system" if system else "user")
        if show:
            results().print(made.text, markup=False, soft_wrap=True, end="")
            return
        made.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(made.path, made.text.encode(), mode=0o644)
    results().print("\n".join([f"{made.path}: written; next:", *(f"    {command}" for command in made.then)]), markup=False, soft_wrap=True)
