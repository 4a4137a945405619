"""A job that asks alone is decided on as by the way that all others take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tailor.scheduler import Budget, Dispatcher, Job, Surroundings, Turn

jobs = st.tuples(
    st.sampled_from(["", "x"]),
    st.sampled_from([("cpu",), ("gpu", "cpu"), ("gpu",)]),
    st.sampled_from([frozenset[str](), frozenset({"t"})]),
    st.sampled_from([Budget(), Budget(steps=3)]),
    st.sampled_from([0.0, 3.0]),
)


def asked(dispatcher: Dispatcher, name: str, now: float, *, alone: bool) -> list[Turn]:
    turn = dispatcher.ask_alone(name, now) if alone else None
    if turn is not None:
        return [turn]
    dispatcher.ask(name, now)
    return dispatcher.decide(now).turns


@given(st.lists(st.tuples(jobs, st.booleans()), max_size=30))
def test_what_is_asked_alone_is_decided_alike(moves: list[tuple[tuple[str, tuple[str, ...], frozenset[str], Budget, float], bool]]) -> None:
    around = Surroundings(external_power=True)
    both = [Dispatcher({"cpu": 2, "gpu": 1}, cores=2, limits={"t": 1}, weights={"x": 2.0}, around=around) for _ in range(2)]
    for number, ((share, lanes, tags, budget, later), ends) in enumerate(moves):
        now, name = float(number), str(number)
        job = Job(identifier=name, share=share, lanes=lanes, tags=tags, budget=budget, not_before=now + later)
        for dispatcher in both:
            dispatcher.submit(job, now, narrow=True)
        begun = [asked(dispatcher, name, now, alone=alone) for dispatcher, alone in zip(both, (True, False), strict=True)]
        assert fields(begun[0]) == fields(begun[1])
        if ends and both[0].turns:
            first = next(iter(both[0].turns))
            for dispatcher in both:
                dispatcher.end_turn(first, 1.0, 0, now + 0.5)
                dispatcher.finish(first, True, now + 0.5)
            after = [[turn.identifier for turn in dispatcher.decide(now + 0.5).turns] for dispatcher in both]
            assert after[0] == after[1]
        assert both[0].queue.had(share) == both[1].queue.had(share)
        assert (both[0].free_cores, both[0].busy, both[0].tagged) == (both[1].free_cores, both[1].busy, both[1].tagged)


def fields(turns: list[Turn]) -> list[tuple[object, ...]]:
    return [(turn.identifier, turn.lane, turn.steps, turn.seconds, turn.threads, turn.begun) for turn in turns]
