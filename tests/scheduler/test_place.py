"""Which of a job's lanes is taken: a table, worked out by hand."""

from __future__ import annotations

import pytest

from tailor.scheduler import Dispatcher, Estimate, Job
from tailor.scheduler.place import place


@pytest.mark.parametrize(
    ("lanes", "free", "seconds", "taken"),
    [
        ("a", "a", {}, "a"),
        ("a", "", {}, None),
        ("ab", "ab", {}, "a"),  # nothing is known: the preferred one
        ("ba", "ab", {}, "b"),
        ("ab", "b", {}, "b"),
        ("ab", "ab", {"a": 1.0}, "b"),  # one that was never tried is tried
        ("ab", "a", {"a": 1.0}, "a"),  # but not waited for
        ("abc", "abc", {"a": 1.0}, "b"),
        ("ab", "ab", {"a": 3.0, "b": 2.0}, "b"),  # both are known: the faster
        ("ab", "ab", {"a": 2.0, "b": 2.0}, "a"),
        ("ab", "a", {"a": 4.0, "b": 2.0}, "a"),  # the faster is taken: the other one, which takes twice as long
        ("ab", "a", {"a": 4.1, "b": 2.0}, None),  # far slower: the faster is waited for
        ("abc", "ac", {"a": 9.0, "b": 1.0, "c": 1.5}, "c"),
        ("abc", "ac", {"a": 9.0, "b": 1.0}, "c"),
        ("", "", {}, None),
    ],
)
def test_the_lane_that_is_taken(lanes: str, free: str, seconds: dict[str, float], taken: str | None) -> None:
    def cost(lane: str) -> Estimate | None:
        return Estimate(seconds[lane], 0.0, 1) if lane in seconds else None

    assert place(tuple(lanes), lambda lane: lane in free, cost) == taken


def test_each_lane_is_tried_once_and_then_the_fastest_is_taken() -> None:
    takes = {"cpu": 2.0, "process": 3.0, "gpu0": 0.5}
    dispatcher = Dispatcher(dict.fromkeys(takes, 1), cores=1)
    dispatcher.submit(Job(identifier="a", lanes=tuple(takes), model="m"), 0.0)
    taken = []
    for number in range(5):
        dispatcher.ask("a", float(number))
        (turn,) = dispatcher.decide(float(number)).turns
        taken.append(turn.lane)
        dispatcher.end_turn("a", takes[turn.lane], 1, number + 0.5)
    assert taken == ["cpu", "process", "gpu0", "gpu0", "gpu0"]
