"""The queue against its definition, written as one sort over all jobs; and what keeps jobs."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailor.scheduler import Job, Priority, Queue


def nothing(_: Job) -> None:
    """What keeps no job."""


def drained(queue: Queue) -> list[str]:
    jobs = []
    while (taken := queue.take(nothing)) is not None:
        jobs.append(taken[0].identifier)
    return jobs


def test_priority_then_deadline_then_age() -> None:
    queue = Queue()
    for name, priority, deadline in [("old", 1, 9.0), ("late", 1, 50.0), ("young", 1, 9.0), ("urgent", 3, 99.0), ("idle", 0, 1.0)]:
        queue.add(Job(identifier=name, priority=Priority(priority), deadline=deadline))
    assert [job.identifier for job in queue] == ["urgent", "old", "young", "late", "idle"]
    assert drained(queue) == ["urgent", "old", "young", "late", "idle"]


def test_a_job_that_comes_back_keeps_its_age() -> None:
    queue = Queue()
    for name in "ab":
        queue.add(Job(identifier=name))
    taken = queue.take(nothing)
    assert taken is not None
    queue.add(*taken)
    assert drained(queue) == ["a", "b"]


def test_shares_have_time_as_their_weights_say() -> None:
    queue = Queue(weights={"ann": 2.0})
    order = []
    for name in ("ann", "bob"):
        queue.add(Job(identifier=name, share=name))
    for _ in range(9):
        taken = queue.take(nothing)
        assert taken is not None
        order.append(taken[0].identifier)
        queue.charge(taken[0].share, 1.0)
        queue.add(*taken)
    assert order.count("ann") == 6 and order.count("bob") == 3


def test_a_share_that_was_away_begins_level_with_the_others() -> None:
    queue = Queue()
    queue.add(Job(identifier="busy", share="ann"))
    for _ in range(10):
        taken = queue.take(nothing)
        assert taken is not None
        queue.charge("ann", 1.0)
        queue.add(*taken)
    queue.add(Job(identifier="new", share="bob"))
    order = []
    for _ in range(6):
        taken = queue.take(nothing)
        assert taken is not None
        order.append(taken[0].share)
        queue.charge(taken[0].share, 1.0)
        queue.add(*taken)
    assert order.count("bob") in (3, 4)  # not ten turns in a row


def test_what_keeps_a_job_keeps_its_kind_until_it_is_lifted() -> None:
    queue, asked = Queue(), []

    def kept(job: Job) -> Hashable | None:
        asked.append(job.identifier)
        return "power" if "heavy" in job.tags else None

    for number in range(1000):
        queue.add(Job(identifier=f"heavy {number}", tags=frozenset({"heavy"})))
    queue.add(Job(identifier="light"))
    first = queue.take(kept)
    assert first is not None and first[0].identifier == "light"
    assert asked == ["heavy 0", "light"]  # one asked for a thousand
    assert queue.take(kept) is None and queue.keeps("heavy 999") == "power"
    queue.lift("network")
    assert queue.take(kept) is None and asked == ["heavy 0", "light"]
    queue.lift("power")
    taken = queue.take(nothing)
    assert taken is not None and taken[0].identifier == "heavy 0" and queue.keeps("heavy 999") is None


def test_a_job_cannot_wait_twice_and_a_weight_is_above_zero() -> None:
    queue = Queue()
    queue.add(Job(identifier="a"))
    with pytest.raises(ValueError, match="'a' twice"):
        queue.add(Job(identifier="a"))
    with pytest.raises(ValueError, match="share 'ann': expected a number above 0, got 0"):
        Queue(weights={"ann": 0})


jobs = st.tuples(
    st.sampled_from(list(Priority)), st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from(["", "x", "y"]), st.sampled_from(["cpu", "gpu"])
)
moves = st.lists(st.one_of(st.tuples(st.just("add"), jobs), st.tuples(st.sampled_from(["take", "remove", "lift"]), st.integers(0, 9))))


@given(moves)
def test_the_queue_is_one_sort_over_all_jobs(moves: list[tuple[str, object]]) -> None:
    queue, model, numbers, lanes = Queue(), {}, iter(range(10_000)), {"cpu"}

    def kept(job: Job) -> Hashable | None:
        return None if set(job.lanes) & lanes else job.lanes

    for move, what in moves:
        if move == "add":
            priority, deadline, tag, lane = what  # type: ignore[misc]
            number = next(numbers)
            job = Job(identifier=str(number), priority=priority, deadline=deadline, tags=frozenset({tag} - {""}), lanes=(lane,))
            queue.add(job)
            model[job.identifier] = (-priority, deadline, number, lane)
        elif move == "remove" and model:
            name = list(model)[int(what) % len(model)]  # type: ignore[call-overload]
            assert queue.remove(name)
            assert name not in queue
            del model[name]
        elif move == "lift":
            lanes ^= {"gpu"}
            queue.lift_all()
        elif move == "take":
            able = [(rank, name) for name, rank in model.items() if rank[3] in lanes]
            taken = queue.take(kept)
            assert (taken[0].identifier if taken else None) == (min(able)[1] if able else None)
            if taken:
                del model[taken[0].identifier]
        assert len(queue) == len(model)
    assert [job.identifier for job in queue] == [name for _, name in sorted((rank[:3], name) for name, rank in model.items())]


shared = st.tuples(st.sampled_from(list(Priority)[:2]), st.sampled_from("abc"), st.sampled_from(["x", "y", "z"]))
changes = st.lists(
    st.one_of(
        st.tuples(st.just("add"), shared),
        st.tuples(st.sampled_from(["take", "remove", "lift"]), st.integers(0, 9)),
        st.tuples(st.just("charge"), st.tuples(st.sampled_from("abc"), st.sampled_from([0.5, 1.0, 3.0]))),
    ),
    max_size=60,
)


@given(changes)
def test_shares_are_one_sort_too_whatever_keeps_some_of_their_jobs(moves: list[tuple[str, Any]]) -> None:
    queue, waiting, used, level, open_tags = Queue(weights={"b": 2.0}), {}, dict.fromkeys("abc", 0.0), 0.0, {"x", "y"}

    def kept(job: Job) -> Hashable | None:
        return None if job.tags <= open_tags else job.tags

    for number, (move, what) in enumerate(moves):
        if move == "add":
            priority, share, tag = what
            if share not in {other for _, other, _ in waiting.values()}:
                used[share] = max(used[share], level)
            queue.add(Job(identifier=str(number), priority=priority, share=share, tags=frozenset({tag})), number)
            waiting[str(number)] = what
        elif move == "charge":
            queue.charge(*what)
            used[what[0]] += what[1] / (2.0 if what[0] == "b" else 1.0)
        elif move == "lift":
            open_tags ^= {"xyz"[what % 3]}
            queue.lift_all()
        elif move == "remove" and waiting:
            name = list(waiting)[what % len(waiting)]
            assert queue.remove(name) and not queue.remove(name)
            del waiting[name]
        elif move == "take":
            able = [(-priority, used[share], int(name)) for name, (priority, share, tag) in waiting.items() if tag in open_tags]
            taken = queue.take(kept)
            assert (taken and taken[1]) == (min(able)[2] if able else None)
            if taken:
                level = max(level, used[taken[0].share])
                del waiting[taken[0].identifier]
        assert len(queue) == len(waiting) and set(queue.lanes()) == ({("cpu",)} if waiting else set())
    expected = sorted(waiting, key=lambda name: (-waiting[name][0], used[waiting[name][1]], int(name)))
    assert [job.identifier for job in queue] == expected
