"""``tailor daemon users``, ``examples`` and ``remove``: who has what."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ..asking import PAGE, SHOWN, DaemonPlace, Json, User, Whose, ask, local, model_and_user, plain_record
from ..terminal import add_rows, file_size, print_json, results, table

if TYPE_CHECKING:
    from tailor.client import Client, ExampleRecord, UserRecord


class State(StrEnum):
    """Of an example."""

    WAITING = "waiting"
    TAKEN = "taken"
    LEARNED = "learned"
    SET_ASIDE = "set_aside"
    FORGOTTEN = "forgotten"


Most = Annotated[int, typer.Option("--most", min=1, help="Only so many.")]


def users(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Of which model.", show_default=False)],
    most: Most = 1000,
    daemon: DaemonPlace = None,
    as_json: Json = False,
) -> None:
    """List a model's users, their examples, and what comes next.

    \b
    Example: tailor daemon users Drawing
    """

    async def look(client: Client) -> list[UserRecord]:
        found: list[UserRecord] = []
        while len(found) < most:
            page = await client.users(model, after=found[-1].user if found else "", most=min(PAGE, most - len(found)))
            found += page
            if not page:
                break
        return found

    records = ask(daemon, look)
    if as_json:
        print_json({"users": plain_record(records)})
        return
    if not records:
        results().print(f"{model} has no users yet", markup=False)
        return
    columns = ("user", "waiting", "taken", "learned", "set aside", "size", "version", "next")
    rows = [(one.user, one.waiting, one.taken, one.learned, one.set_aside, file_size(one.size), _version(one), one.next) for one in records]
    results().print(add_rows(table("", *columns), rows))
    for one in records:
        if one.trouble is not None:
            results().print(f"{one.user}: {one.trouble}", markup=False)


def _version(user: UserRecord) -> str:
    return (user.version or "")[:SHOWN] if user.trouble is None else "trouble"


def examples(
    whose: Whose,
    user: User = None,
    state: Annotated[
        State | None, typer.Option("--state", metavar="STATE", help=f"Only in this state: {', '.join(State)}.", show_default=False)
    ] = None,
    most: Most = 100,
    daemon: DaemonPlace = None,
    as_json: Json = False,
) -> None:
    """List a user's examples, in the order they came.

    \b
    Example: tailor daemon examples Drawing anna --state set_aside
    """
    model, named = model_and_user(whose, user)

    async def look(client: Client) -> list[ExampleRecord]:
        found: list[ExampleRecord] = []
        while len(found) < most:
            asked = min(PAGE, most - len(found))
            page = await client.examples(
                model, named, state=state.value if state is not None else None, after=found[-1].id if found else "", most=asked
            )
            found += page
            if len(page) < asked:
                break
        return found

    records = ask(daemon, look)
    if as_json:
        print_json({"examples": plain_record(records)})
        return
    rows = [
        (one.id, one.state.replace("_", " "), one.source or "", local(one.received_at), (one.version or one.update or "")[:SHOWN])
        for one in records
    ]
    if rows:
        results().print(add_rows(table(f"{model}/{named}", "example", "state", "source", "received", "version or update"), rows))
    else:
        results().print("no examples", markup=False)


def remove(
    whose: Whose,
    user: User = None,
    daemon: DaemonPlace = None,
) -> None:
    """Remove a user and the examples, or a model that has no users.

    Versions of a user's model stay in the store.

    \b
    Example: tailor daemon remove Drawing/anna
    """
    if user is None and "/" not in whose:
        ask(daemon, lambda client: client.remove_model(whose))
        results().print(f"{whose}: removed", markup=False)
        return
    model, named = model_and_user(whose, user)
    ask(daemon, lambda client: client.remove_user(model, named))
    results().print(f"{model}/{named}: removed; versions in the store stay", markup=False)
