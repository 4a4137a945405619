"""When an update is due: by number, by time, by a command only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tailor.daemon.configuration import Updates
from tailor.daemon.ledger import KeptUser
from tailor.daemon.updates.progress import MOST, Progress
from tailor.daemon.updates.rules import Due, NotYet, decide, spoken

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def user(waiting: int, *, since: float | None = 0.0, update: str | None = None) -> KeptUser:
    """A user whose first example came so many seconds before noon."""
    first = None if not waiting or since is None else NOON - timedelta(seconds=since)
    return KeptUser("m", "ann", waiting, 0, 0, 0, waiting, waiting, first, NOON, update)


@pytest.mark.parametrize(
    ("waiting", "since", "examples", "interval", "expected"),
    [
        (0, 0, 1, 1, "nothing waits"),
        (9, 0, 10, 0, "rules"),
        (10, 0, 10, 0, "examples"),
        (11, 0, 10, 0, "examples"),
        (1, 59, 0, 60, "rules"),
        (1, 60, 0, 60, "interval"),
        (1, 60, 10, 60, "interval"),
        (10, 60, 10, 60, "examples"),
        (5, 1e6, 0, 0, "command"),
        (5, 1e6, 10, 0, "rules"),
    ],
)
def test_what_is_due(waiting: int, since: float, examples: int, interval: float, expected: str) -> None:
    decided = decide(user(waiting, since=since), Updates(examples=examples, interval=interval), NOON)
    assert (decided.reason if isinstance(decided, Due) else decided.kind) == expected


def test_while_one_is_under_way_none_is_due() -> None:
    decided = decide(user(100, update="u7"), Updates(examples=1), NOON)
    assert isinstance(decided, NotYet) and decided.kind == "under way" and "u7" in decided.text and decided.look_at is None


def test_it_says_what_is_missing_and_when_to_look_again() -> None:
    decided = decide(user(3, since=600), Updates(examples=10, interval=3600), NOON)
    assert decided == NotYet("rules", "3 examples wait; 7 more or another 50 min would make an update", NOON + timedelta(minutes=50))
    assert isinstance(of_command := decide(user(1), Updates(examples=0), NOON), NotYet) and of_command.look_at is None


def test_a_clock_that_was_set_back_makes_nobody_wait_longer() -> None:
    decided = decide(user(1, since=-1e6), Updates(interval=60), NOON)
    assert isinstance(decided, NotYet) and decided.look_at == NOON + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "1 s"), (0.2, "1 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (90061, "1 d 1 h"), (86400 * 3 + 30, "3 d 30 s")],
)
def test_times_in_words(seconds: float, expected: str) -> None:
    assert spoken(seconds) == expected


@pytest.mark.parametrize("epochs", [1, 2, MOST, MOST + 1, 2 * MOST, 2 * MOST + 1, 5000, 20_000])
def test_losses_are_those_of_every_so_many_epochs_and_never_too_many(epochs: int) -> None:
    progress = Progress()
    for epoch in range(epochs):
        progress.add(epoch, float(epoch))
        assert len(progress.losses) <= MOST
    assert progress.losses == [float(epoch) for epoch in range(0, epochs, progress.stride)]
    assert progress.stride == 1 or epochs > progress.stride * MOST / 2  # no coarser than it has to be
    again = Progress(progress.epoch, progress.losses)
    assert again.stride == progress.stride


def test_epochs_that_are_learned_again_are_told_once() -> None:
    progress = Progress(4, [0.0, 1.0, 2.0, 3.0, 4.0])
    progress.add(3, 30.0)
    assert (progress.epoch, progress.losses) == (3, [0.0, 1.0, 2.0, 30.0])
    without = Progress()
    without.add(0, None)
    assert (without.epoch, without.losses) == (0, [])
