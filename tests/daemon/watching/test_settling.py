"""When a file counts as complete, told by hand: a file that has not changed for three seconds."""

from __future__ import annotations

from math import inf

from tailor.daemon.watching.files import Found, Stamp
from tailor.daemon.watching.settling import Settling


def found(name: str, written: int, age: float = 0.0) -> Found:
    """A file that was last written at the time ``written``, which is all that tells it from itself."""
    return Found(name, Stamp(1, written, written, 1, 1), age)


def names(settling: Settling, now: float) -> list[str]:
    return [one.name for one in settling.ready(now)]


def test_a_file_is_complete_once_it_has_not_changed_for_so_long() -> None:
    for age, complete_at in [(0.0, 103.0), (2.0, 101.0), (3.0, 100.0), (1000.0, 100.0), (-5.0, 103.0)]:
        settling = Settling(3.0)
        settling.saw(found("a", 1, age), 100.0)
        assert settling.next() == complete_at
        assert names(settling, complete_at) == ["a"]
        assert names(settling, complete_at - 0.001) == []


def test_one_that_changes_waits_anew_and_one_that_does_not_waits_no_longer() -> None:
    settling = Settling(3.0)
    settling.saw(found("a", 1), 100.0)
    settling.saw(found("a", 1, 2.0), 102.0)
    assert names(settling, 103.0) == ["a"]
    settling.saw(found("a", 2), 103.0)
    assert (names(settling, 105.9), settling.next()) == ([], 106.0)


def test_what_is_done_stays_done_until_it_changes() -> None:
    settling = Settling(0.0)
    settling.saw(found("a", 1), 0.0)
    settling.done(found("a", 1))
    settling.saw(found("a", 1), 1.0)
    assert (names(settling, 9.0), settling.next()) == ([], inf)
    settling.saw(found("a", 2), 2.0)
    settling.done(found("a", 1))  # read before it changed: what it is now is not done
    assert names(settling, 9.0) == ["a"]


def test_what_is_gone_is_forgotten_and_new_when_it_comes_back() -> None:
    settling = Settling(0.0)
    for name in "abc":
        settling.saw(found(name, 1), 0.0)
        settling.done(found(name, 1))
    settling.gone("a")
    settling.only({"c"})
    for name in "abc":
        settling.saw(found(name, 1), 1.0)
    assert names(settling, 1.0) == ["a", "b"]


def test_files_come_in_the_order_in_which_they_were_written() -> None:
    settling = Settling(0.0)
    for name, written in [("b", 2), ("c", 1), ("a", 2), ("d", 3)]:
        settling.saw(found(name, written), 0.0)
    assert names(settling, 0.0) == ["c", "a", "b", "d"]
