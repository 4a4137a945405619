"""``tailor daemon update`` and ``updates``: begin an update now, and look at those that there are."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tailor import MLParameterKey

from ..asking import PAGE, SHOWN, DaemonPlace, Json, User, Whose, ask, local, model_and_user, plain_record, progress_of
from ..failures import ExitCode
from ..settings import read_settings
from ..terminal import add_rows, print_json, progress, results, table

if TYPE_CHECKING:
    from tailor.client import Client, EventRecord, UpdateRecord


class State(StrEnum):
    """Of an update."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    COMMITTING = "committing"
    COMPLETED = "completed"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


def update(
    whose: Whose,
    user: User = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="How often to go through the examples.", show_default=False)] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter: learningRate=0.01. Can be repeated.", show_default=False),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also of examples that were set aside.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended; the exit code is 1 unless it completed.")] = False,
    daemon: DaemonPlace = None,
    as_json: Json = False,
) -> None:
    """Begin an update of what waits, without waiting for a rule.

    \b
    Example: tailor daemon update Drawing anna --wait
             tailor daemon update Drawing/anna --epochs 5 --set learningRate=0.01
    """
    model, whom = model_and_user(whose, user)
    parameters = read_settings([*(settings or []), *([] if epochs is None else [f"{MLParameterKey.EPOCHS}={epochs}"])])

    def tell(event: EventRecord) -> None:
        if not as_json:
            progress().print(event.text, markup=False)

    async def go(client: Client) -> UpdateRecord:
        begun = await client.update(model, whom, {str(key): value for key, value in parameters.items()}, again=again)
        return await client.wait(begun, progress=tell) if wait else begun

    show_update(ended := ask(daemon, go), as_json)
    if wait and ended.state != State.COMPLETED.value:
        raise typer.Exit(ExitCode.FAILED)


def updates(
    whose: Annotated[str | None, typer.Argument(metavar="MODEL/USER", help="Whose; without it, everybody's.", show_default=False)] = None,
    user: User = None,
    states: Annotated[
        list[State] | None,
        typer.Option("--state", metavar="STATE", help=f"Only in this state: {', '.join(State)}. Can be repeated.", show_default=False),
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=PAGE, help="Only so many, the newest.")] = 20,
    daemon: DaemonPlace = None,
    as_json: Json = False,
) -> None:
    """List updates, the newest first.

    \b
    Example: tailor daemon updates --state running --state waiting
             tailor daemon updates Drawing/anna
    """
    model, whom = (None, None) if whose is None else model_and_user(whose, user)
    records = ask(daemon, lambda client: client.updates(model, whom, states=[state.value for state in states or ()], most=most))
    if as_json:
        print_json({"updates": plain_record(records)})
    elif not records:
        results().print("no updates")
    else:
        rows = [
            (
                one.identifier[:SHOWN],
                f"{one.model}/{one.user}",
                one.state,
                one.examples,
                progress_of(one),
                local(one.made_at),
                one.error or "",
            )
            for one in records
        ]
        results().print(add_rows(table("", "update", "of", "state", "examples", "progress", "made", ""), rows))


def show_update(update: UpdateRecord, as_json: bool) -> None:
    """Prints an update."""
    if as_json:
        print_json(plain_record(update))
        return
    parts = [
        f"{update.examples} examples",
        progress_of(update),
        f"version {update.version[:SHOWN]}" if update.version else "",
        update.error or "",
    ]
    told = ", ".join(part for part in parts if part)
    results().print(f"{update.model}/{update.user}: update {update.identifier[:SHOWN]} is {update.state}: {told}", markup=False)
