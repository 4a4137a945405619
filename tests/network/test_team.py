"""The team: answers in order whatever the threads do, failures in order, and BLAS as it was found."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from threadpoolctl import ThreadpoolController

from tailor.runtime.network import Team, allowed, at_most, granted, one_blas_thread, team
from tailor.runtime.network.team import pieces


@pytest.mark.parametrize(("work", "size"), [(1_500_000, 32), (48_000_000, 1), (10**12, 1), (0, 1024), (100_000, 256)])
def test_pieces_depend_on_nothing_but_the_examples(work: int, size: int) -> None:
    assert pieces(2 * size + 1, work) == [slice(0, size), slice(size, 2 * size), slice(2 * size, 2 * size + 1)]
    assert pieces(0, work) == []


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_answers_are_taken_in_order(threads: int) -> None:
    team = Team(threads)
    meeting = threading.Barrier(min(threads, 2))
    seen: set[threading.Thread] = set()

    def work(number: int) -> int:
        seen.add(threading.current_thread())
        if number < 2:
            meeting.wait(timeout=30)  # the first two meet where there are two threads: nobody works alone
        return number * number

    taken: list[int] = []
    team.each(work, 50, taken.append)
    assert taken == [number * number for number in range(50)]
    assert (len(seen) > 1) == (threads > 1)
    team.close()
    assert {thread for thread in seen if thread.is_alive()} <= {threading.current_thread()}
    team.each(lambda number: number, 3, taken.append)  # closed: the caller does it alone
    assert taken[50:] == [0, 1, 2]


def test_one_piece_is_done_by_the_caller() -> None:
    team = Team(3)
    seen: list[threading.Thread] = []
    team.each(lambda number: threading.current_thread(), 1, seen.append)
    assert seen == [threading.current_thread()]
    assert "idle" in repr(team)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_failure_is_raised(threads: int) -> None:
    team = Team(threads)

    def work(number: int) -> int:
        if number in (3, 4):
            raise ValueError(f"piece {number}")
        return number

    taken: list[int] = []
    with pytest.raises(ValueError, match="piece 3"):
        team.each(work, 100, taken.append)
    assert taken == [0, 1, 2]
    team.close()


def blas_threads() -> list[int]:
    return [library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers]


def test_blas_is_held_to_one_thread_only_while_somebody_works() -> None:
    controller = ThreadpoolController()
    with controller.limit(limits=2, user_api="blas"):
        before = blas_threads()
        inside: list[list[int]] = []
        with one_blas_thread():
            inside.append(blas_threads())
            with one_blas_thread():
                inside.append(blas_threads())
            inside.append(blas_threads())
        assert all(set(threads) == {1} for threads in inside)
        assert blas_threads() == before
        with pytest.raises(KeyError), one_blas_thread():
            raise KeyError
        assert blas_threads() == before


def test_threads_that_were_granted_are_allowed_whatever_blas_was_told_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "processors", lambda: 8)
    monkeypatch.delenv(team.THREADS, raising=False)
    with ThreadpoolController().limit(limits=1, user_api="blas"):
        before = blas_threads()
        assert allowed() == 1
        with granted(2):
            assert (allowed(), set(blas_threads())) == (2, {2})
            with one_blas_thread():
                assert (allowed(), set(blas_threads())) == (2, {1})
            with at_most(1):
                assert Team().threads == 1
        assert (allowed(), blas_threads()) == (1, before)
        with one_blas_thread(), granted(2):
            assert (allowed(), set(blas_threads())) == (2, {1})
        assert (allowed(), blas_threads()) == (1, before)


def test_teams_may_be_shared_by_many_callers() -> None:
    team = Team(3)

    def call(start: int) -> list[int]:
        taken: list[int] = []
        team.each(lambda number: start + number, 20, taken.append)
        return taken

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, range(40))) == [list(range(start, start + 20)) for start in range(40)]
    team.close()
