"""What a scheduler has done, and what it has to do, as one frozen record."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ..dispatch import Dispatcher
from ..events import Outcome
from ..turn import Standing


@dataclass(frozen=True, slots=True)
class LaneUse:
    """A lane: its ``workers``, how many of them are ``busy``, and the ``seconds`` of work done there.

    ``use``: from 0 to 1, the part of its workers' time since the first job came for which turns had them.
    """

    workers: int
    busy: int
    seconds: float
    use: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a scheduler has done up to ``time``, in seconds on its clock, and what it has to do.

    ``running`` have a turn, ``waiting`` wait in the queue for one, ``held`` wait for their time or for other jobs, ``resting`` ask
    for none. ``mean_wait`` and ``longest_wait``: seconds in the queue before the first turn, of the jobs that have begun.
    ``share_seconds``: of work, by share. ``lost_workers``: workers and devices that vanished under their work.
    """

    time: float
    submitted: int
    running: int
    waiting: int
    held: int
    resting: int
    finished: Mapping[Outcome, int]
    turns: int
    retries: int
    lost_workers: int
    events_missed: int
    mean_wait: float
    longest_wait: float
    lanes: Mapping[str, LaneUse]
    share_seconds: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """Of work, on all lanes."""
        return sum(lane.seconds for lane in self.lanes.values())

    def __str__(self) -> str:
        ended = ", ".join(f"{count} {outcome.value}" for outcome, count in self.finished.items())
        at_hand = f"{self.running} at work, {self.waiting} waiting, {self.held} held, {self.resting} resting"
        waits = f"waited {self.mean_wait:.3g} s on average, {self.longest_wait:.3g} s at most"
        lines = [
            f"{self.submitted} job{'s' * (self.submitted != 1)}: {at_hand}, {ended}",
            f"{self.turns} turn{'s' * (self.turns != 1)}, {self.seconds:.3g} s of work; {waits}",
            *(
                f"{name}: {lane.busy} of {lane.workers} busy, {lane.seconds:.3g} s of work, in use {lane.use:.0%} of the time"
                for name, lane in self.lanes.items()
            ),
            *(f"share {name!r}: {seconds:.3g} s of work" for name, seconds in self.share_seconds.items() if name),
        ]
        if self.retries or self.lost_workers or self.events_missed:
            lines.append(f"{self.retries} retries, {self.lost_workers} lost workers, {self.events_missed} events missed")
        return "\n".join(lines)


def statistics(dispatcher: Dispatcher, now: float, missed: int = 0) -> Statistics:
    """What ``dispatcher`` has done up to ``now``; ``missed``: how many events nobody read in time."""
    tally, standing = dispatcher.tally, Counter(entry.standing for entry in dispatcher)
    at_work: defaultdict[str, float] = defaultdict(float)
    for turn in dispatcher.turns.values():
        at_work[turn.lane] += now - turn.begun
    past = now - tally.since
    lanes = {
        name: LaneUse(
            workers,
            dispatcher.busy[name],
            tally.by_lane.get(name, 0.0),
            min(1.0, (tally.held.get(name, 0.0) + at_work[name]) / (workers * past)) if workers and past > 0 else 0.0,
        )
        for name, workers in dispatcher.capacity.items()
    }
    return Statistics(
        time=now,
        submitted=tally.submitted,
        running=standing[Standing.AT_WORK],
        waiting=standing[Standing.WAITING],
        held=standing[Standing.HELD],
        resting=standing[Standing.RESTING],
        finished=dict(tally.finished),
        turns=tally.turns,
        retries=tally.retries,
        lost_workers=tally.lost,
        events_missed=missed,
        mean_wait=tally.waited / tally.begun if tally.begun else 0.0,
        longest_wait=tally.longest_wait,
        lanes=lanes,
        share_seconds=dict(tally.by_share),
    )
