"""The ``tailor`` command: its commands, and what its exit code says."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from .archive import export, import_
from .backup import backup
from .check import check
from .codegen import codegen
from .daemon import daemon
from .diff import diff
from .doctor import doctor
from .events import events
from .explain import explain
from .failures import ExitCode, report
from .forget import forget
from .inspect import inspect
from .keys import keys
from .log import log
from .merge import merge
from .predict import predict
from .profile import profile
from .prune import prune
from .rebase import rebase
from .restore import restore
from .rollback import rollback
from .snapshot import snapshot
from .status import status
from .sync import sync
from .tag import tag
from .top import top
from .update import update
from .verify import verify
from .why import why

ABOUT = """Runs and personalises Core ML models.

\b
Exit codes: 0 done; 1 it failed, and stderr says why; 2 the command line is
wrong; 130 interrupted. Results go to stdout, progress and errors to stderr.
With --json results are JSON, and an error is {"error": {...}} on stderr.
"""

app = typer.Typer(name="tailor", help=ABOUT, pretty_exceptions_enable=False, rich_markup_mode=None)
MODELS = (inspect, predict, explain, profile, update, forget, snapshot, restore, doctor, check, codegen)
STORES = (backup, sync, log, diff, tag, rollback, merge, rebase, verify, prune, export)
DAEMON = (status, top, why, events)
for command in (*MODELS, *STORES, *DAEMON):
    app.command()(command)
app.command("import")(import_)
app.add_typer(keys, name="keys")
app.add_typer(daemon, name="daemon")


def _version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"tailor {version('tailor')}")
        except PackageNotFoundError:
            typer.echo("tailor, not installed")
        raise typer.Exit


@app.callback()
def begin(
    show_version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show errors with a traceback (or set TAILOR_TRACEBACK=1).")] = False,
) -> None:
    """Options that every command has; what they ask for is done elsewhere."""


@cache
def _parser() -> Callable[..., Any]:
    """All commands; typer would look at each function again for every run."""
    return typer.main.get_command(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line (``sys.argv`` unless ``arguments`` are given) and gives the exit code; raises nothing."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        main(["--help"])
        return ExitCode.USAGE
    try:
        status = _parser()(given, prog_name="tailor", standalone_mode=False)
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else ExitCode.FAILED
    except BaseException as error:
        if "--traceback" in given or os.environ.get("TAILOR_TRACEBACK"):
            raise
        return report(error, as_json="--json" in given)
    if status == ExitCode.INTERRUPTED:  # typer has made an exit code of the KeyboardInterrupt
        return report(KeyboardInterrupt(), as_json="--json" in given)
    return status if isinstance(status, int) else ExitCode.DONE
