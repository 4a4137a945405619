"""Updates: planned with the examples that they take, changed as they go, ended with what becomes of those."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from sqlite3 import Connection
from typing import Any

from tailor.client import UpdateState

from ..errors import LedgerError, LedgerMissing
from ..rows import FINAL, FinalState, KeptUpdate, NewPlan, TrainingRow
from ..times import micros, moment, moment_if_any
from .models import check_base
from .users import count, owner_of

COLUMNS = (
    "p.identifier, u.model, u.name, p.state, p.reason, p.most, p.again, p.learned_too, p.examples, p.onto, p.base, p.parameters, "
    "p.attempts, p.epoch, p.losses, p.version, p.verdict, p.error, p.made_at, p.begun_at, p.ended_at "
    "FROM updates p JOIN users u ON u.number = p.owner "
)
DROPPED = 100
"""Old updates that are dropped at a time: others wait meanwhile."""

SELECT = f"SELECT {COLUMNS}"
NUMBERED = f"SELECT p.number, {COLUMNS}"


def _row(row: Sequence[Any]) -> KeptUpdate:
    identifier, model, user, state, reason, most, again, learned_too, examples, onto, base, parameters, *since = row
    attempts, epoch, losses, version, verdict, error, made_at, begun_at, ended_at = since
    return KeptUpdate(
        identifier=identifier,
        model=model,
        user=user,
        state=state,
        reason=reason,
        most=most,
        again=bool(again),
        learned_too=bool(learned_too),
        examples=examples,
        onto=onto,
        base=base,
        parameters=json.loads(parameters),
        attempts=attempts,
        epoch=epoch,
        losses=tuple(json.loads(losses)),
        version=version,
        verdict=None if verdict is None else json.loads(verdict),
        error=error,
        made_at=moment(made_at),
        begun_at=moment_if_any(begun_at),
        ended_at=moment_if_any(ended_at),
    )


def one(connection: Connection, identifier: str) -> KeptUpdate | None:
    """The update of that identifier."""
    found = connection.execute(SELECT + "WHERE p.identifier = ?", (identifier,)).fetchone()
    return None if found is None else _row(found)


def existing(connection: Connection, identifier: str) -> KeptUpdate:
    """The update of that identifier. Raises ``LedgerMissing``."""
    found = one(connection, identifier)
    if found is None:
        raise LedgerMissing(f"there is no update {identifier!r}")
    return found


def page(
    connection: Connection, model: str | None, user: str | None, states: Sequence[UpdateState], after: str, most: int
) -> list[KeptUpdate]:
    """The newest first, of those that were made before ``after``. Raises ``LedgerMissing``."""
    conditions: list[tuple[str, tuple[object, ...]]] = []
    if model is not None:
        conditions.append(("u.model = ?", (model,)))
    if user is not None:
        conditions.append(("u.name = ?", (user,)))
    if after:
        existing(connection, after)
        conditions.append(("p.number < (SELECT number FROM updates WHERE identifier = ?)", (after,)))
    rows: list[tuple[Any, ...]] = []
    for state in set(states) or (None,):  # a state at a time: its index has them in order
        both = conditions if state is None else [*conditions, ("p.state = ?", (state,))]
        where = " AND ".join(condition for condition, _ in both) or "TRUE"
        given = [value for _, some in both for value in some]
        rows += connection.execute(f"{NUMBERED}WHERE {where} ORDER BY p.number DESC LIMIT ?", (*given, most)).fetchall()
    return [_row(row) for _, *row in sorted(rows, key=itemgetter(0), reverse=True)[:most]]


def every_open(connection: Connection) -> list[KeptUpdate]:
    """Those that have not ended, the oldest first."""
    return [_row(row) for row in connection.execute(SELECT + "WHERE p.ended_at IS NULL ORDER BY p.number")]


def plan(connection: Connection, new: NewPlan) -> KeptUpdate | None:
    """The update, with the examples that it takes; ``None`` where none wait, or one is open.

    Raises ``LedgerMissing``, ``LedgerMoved``.
    """
    owner = owner_of(connection, new.model, new.user)
    waits = owner.waiting + (owner.set_aside if new.again else 0)
    if owner.open_update is not None or not waits:
        return None
    check_base(connection, new.model, new.base)
    if new.most < 1:
        raise LedgerError(f"update {new.identifier!r}: expected to take 1 example or more, got most = {new.most}")
    again = 0
    if new.again and owner.set_aside:
        sql = "UPDATE examples SET state = 'waiting', taken_by = NULL WHERE owner = ? AND state = 'set_aside'"
        again = connection.execute(sql, (owner.number,)).rowcount
    takes = min(waits, new.most)
    learned = owner.held - owner.waiting - owner.taken - owner.set_aside if new.learned_too else 0
    number = connection.execute(
        "INSERT INTO updates (identifier, owner, state, reason, most, again, learned_too, examples, onto, base, parameters, made_at) "
        "VALUES (?, ?, 'waiting', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(new.identifier, owner.number, new.reason, new.most, new.again, new.learned_too, takes + learned, new.onto, new.base),
            *(json.dumps(dict(new.parameters)), micros(new.made_at)),
        ),
    ).lastrowid
    connection.execute(
        "UPDATE examples SET state = 'taken', taken_by = ? WHERE sequence IN "
        "(SELECT sequence FROM examples WHERE owner = ? AND state = 'waiting' ORDER BY sequence LIMIT ?)",
        (number, owner.number, takes),
    )
    connection.execute("UPDATE users SET open_update = ? WHERE number = ?", (number, owner.number))
    count(connection, owner.number, waiting=again - takes, taken=takes, set_aside=-again)
    return existing(connection, new.identifier)


def change(connection: Connection, identifier: str, fields: Mapping[str, Any], check: Callable[[KeptUpdate], object] | None) -> KeptUpdate:
    """The update with those fields; one that has ended, as it is. Raises ``LedgerMissing``, and what ``check`` of it raises."""
    found = existing(connection, identifier)
    if check is not None:
        check(found)
    if fields.get("state") in FINAL:
        raise LedgerError(f"update {identifier!r}: expected a state that is not the end, got {fields['state']!r}: end_update ends it")
    if not found.is_open or not fields:
        return found
    written = {name: _written(value) for name, value in fields.items()}
    assigned = ", ".join(f"{name} = ?" for name in written)
    connection.execute(f"UPDATE updates SET {assigned} WHERE identifier = ?", (*written.values(), identifier))
    return existing(connection, identifier)


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return micros(value)
    if isinstance(value, Mapping):
        return json.dumps(dict(value))
    return json.dumps(list(value)) if isinstance(value, Sequence) and not isinstance(value, str) else value


def end(
    connection: Connection,
    identifier: str,
    state: FinalState,
    *,
    ended_at: datetime,
    version: str | None,
    verdict: Mapping[str, Any] | None,
    error: str | None,
    keep_content: bool,
    most: int,
) -> KeptUpdate:
    """The update, ended, and its examples learned or set aside; one that has ended, as it is. Raises ``LedgerMissing``.

    Drops the oldest of the user's updates, so that ``most`` stay.
    """
    found = existing(connection, identifier)
    if not found.is_open:
        return found
    if state not in FINAL:
        raise LedgerError(f"update {identifier!r}: expected one of {', '.join(FINAL)}, got {state!r}")
    owner = owner_of(connection, found.model, found.user)
    connection.execute(
        "UPDATE updates SET state = ?, version = ?, verdict = ?, error = ?, ended_at = ? WHERE identifier = ?",
        (state, version, None if verdict is None else json.dumps(dict(verdict)), error, micros(ended_at), identifier),
    )
    connection.execute("UPDATE users SET open_update = NULL WHERE number = ?", (owner.number,))
    its_own = "owner = ? AND state = 'taken'"  # a user has one open update, which has taken all that is taken
    if state != "completed":
        connection.execute(f"UPDATE examples SET state = 'set_aside' WHERE {its_own}", (owner.number,))
        count(connection, owner.number, taken=-owner.taken, set_aside=owner.taken)
    elif keep_content:
        connection.execute(f"UPDATE examples SET state = 'learned', version = ? WHERE {its_own}", (version, owner.number))
        count(connection, owner.number, taken=-owner.taken, learned=owner.taken)
    else:
        ((size,),) = connection.execute(f"SELECT ifnull(sum(size), 0) FROM examples WHERE {its_own}", (owner.number,)).fetchall()
        connection.execute(f"DELETE FROM contents WHERE sequence IN (SELECT sequence FROM examples WHERE {its_own})", (owner.number,))
        connection.execute(f"UPDATE examples SET state = 'learned', version = ?, size = 0 WHERE {its_own}", (version, owner.number))
        count(connection, owner.number, taken=-owner.taken, learned=owner.taken, held=-owner.taken, size=-size)
    _drop_old(connection, owner.number, most)
    return existing(connection, identifier)


def _drop_old(connection: Connection, owner: int, most: int) -> None:
    """Drops a user's updates but the last ``most``, and but those that say why examples are set aside. None is open."""
    connection.execute(
        "DELETE FROM updates WHERE number IN (SELECT number FROM updates WHERE owner = ?1 AND number <= "
        "(SELECT number FROM updates WHERE owner = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2) AND number NOT IN "
        "(SELECT taken_by FROM examples WHERE owner = ?1 AND state = 'set_aside' AND taken_by IS NOT NULL) ORDER BY number LIMIT ?3)",
        (owner, max(most, 1), DROPPED),
    )


def training_rows(connection: Connection, identifier: str) -> list[TrainingRow]:
    """What an open update learns from, in the order of arrival. Raises ``LedgerMissing``; ``LedgerError`` for one that has ended."""
    found = existing(connection, identifier)
    if not found.is_open:
        raise LedgerError(f"update {identifier!r}: expected one that is open, got one that has ended: {found.state}")
    owner = owner_of(connection, found.model, found.user).number
    sql = "SELECT sequence, id, source, time FROM examples WHERE owner = ? AND state = 'taken'"
    given = [owner]
    if found.learned_too:
        sql += (
            " UNION ALL SELECT e.sequence, e.id, e.source, e.time FROM examples e JOIN contents c ON c.sequence = e.sequence "
            "WHERE e.owner = ? AND e.state = 'learned'"
        )
        given.append(owner)
    rows = connection.execute(f"{sql} ORDER BY 1", given)
    return [TrainingRow(sequence, id, source, moment_if_any(time)) for sequence, id, source, time in rows]
