"""The ledger's examples as plain Python: lists that are counted whenever somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tailor.daemon.configuration import Limits
from tailor.daemon.ledger import KeptUser, NewRow


class Refused(Exception):
    """Nothing is changed; ``args`` say which error it is."""


@dataclass
class Example:
    row: NewRow
    received_at: datetime
    state: str = "waiting"
    body: bytes | None = None
    update: str | None = None
    version: str | None = None


@dataclass
class User:
    added_at: datetime
    examples: list[Example] = field(default_factory=list)
    update: str | None = None
    learned_too: bool = False

    def of(self, state: str) -> list[Example]:
        return [example for example in self.examples if example.state == state]

    def held(self) -> list[Example]:
        return [example for example in self.examples if example.body is not None]

    def size(self) -> int:
        return sum(len(example.body or b"") for example in self.held())

    def training(self) -> list[Example]:
        return [
            example
            for example in self.examples
            if example.state == "taken" or (self.learned_too and example.state == "learned" and example.body is not None)
        ]

    def told(self, model: str, name: str) -> KeptUser:
        waiting = self.of("waiting")
        return KeptUser(
            *(model, name, len(waiting), len(self.of("taken")), len(self.of("learned")), len(self.of("set_aside"))),
            *(len(self.held()), self.size(), waiting[0].received_at if waiting else None, self.added_at, self.update),
        )


class Reference:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.users: dict[tuple[str, str], User] = {}

    def add(self, model: str, name: str, rows: Sequence[NewRow], at: datetime) -> tuple[int, int, int]:
        user = self.users.get((model, name))
        if user is None:
            if len(self.users) >= self.limits.users:
                raise Refused("users")
            if sum(key[1] == name for key in self.users) >= self.limits.models_per_user:
                raise Refused("models_per_user")
            user = User(at)
        known = {example.row.id: example for example in user.examples}
        fresh: list[Example] = []
        for index, row in enumerate(rows):
            there = known.get(row.id)
            if there is None:
                known[row.id] = Example(row, at, body=row.body)
                fresh.append(known[row.id])
            elif there.state not in ("learned", "forgotten") and there.row.digest != row.digest:
                raise Refused("conflict", index, row.id)
        size = sum(len(example.row.body) for example in fresh)
        if fresh:
            if len(user.held()) + len(fresh) > self.limits.examples_per_user:
                raise Refused("examples_per_user")
            if user.size() + size > self.limits.bytes_per_user:
                raise Refused("bytes_per_user")
            if sum(other.size() for other in self.users.values()) + size > self.limits.bytes:
                raise Refused("bytes")
        self.users[model, name] = user
        user.examples += fresh
        return len(fresh), len(rows) - len(fresh), len(user.of("waiting"))

    def plan(self, user: User, identifier: str, most: int, again: bool, learned_too: bool) -> int | None:
        waiting = [example for example in user.examples if example.state == "waiting" or (again and example.state == "set_aside")]
        if user.update is not None or not waiting:
            return None
        for number, example in enumerate(waiting):
            taken = number < most
            example.state, example.update = ("taken", identifier) if taken else ("waiting", None)
        user.update, user.learned_too = identifier, learned_too
        return len(user.training())

    def end(self, user: User, state: str, version: str, keep: bool) -> None:
        for example in user.of("taken"):
            example.state = "learned" if state == "completed" else "set_aside"
            if state == "completed":
                example.version = version
                example.body = example.body if keep else None
        user.update = None

    def forget(self, user: User, ids: Sequence[str], labels: Sequence[str | int], sources: Sequence[str]) -> int:
        found = [
            example
            for example in user.examples
            if example.state != "forgotten"
            and (example.row.id in ids or any(same(example.row.label, label) for label in labels) or example.row.source in sources)
        ]
        if user.update is not None and any(example in user.training() for example in found):
            raise Refused("busy")
        for example in found:
            example.state, example.body, example.update, example.version = "forgotten", None, None, None
            example.row = NewRow(example.row.id, b"", b"")
        return len(found)


def same(one: object, other: object) -> bool:
    """A label is a text or a number: "1" is not 1."""
    return type(one) is type(other) and one == other
