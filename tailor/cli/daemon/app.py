"""``tailor daemon``: the commands for a daemon and those who work with it."""

from __future__ import annotations

import typer

from .add import add
from .check import check
from .control import cancel, pause, resume, set_parameters
from .history import forget, history, rollback
from .install import install
from .page import page
from .predict import predict
from .register import models, register
from .run import run
from .stop import stop
from .sync import reload, sync
from .update import update, updates
from .users import examples, remove, users

daemon = typer.Typer(name="daemon", rich_markup_mode=None)
daemon.callback(invoke_without_command=True)(run)
WORK = (register, models, users, add, examples, predict, update, updates, pause, resume, cancel)
PAST = (history, rollback, forget, remove, sync, reload, page)
SERVICE = (check, install, stop)
for command in (*WORK, *PAST, *SERVICE):
    daemon.command()(command)
daemon.command("set")(set_parameters)
