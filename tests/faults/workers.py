"""Kills worker processes with SIGKILL at random moments while updates learn in them, and compares the ends with undisturbed ones."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from tailor import MLMetricKey, MLModelConfiguration, MLScheduling, MLUpdateContext, MLUpdateProgressHandlers, MLUpdateTask, Runtime
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tailor.scheduler import ProcessLane
from tests.faults.training import RATES, examples, model

EPOCHS = 60

DELAY = 2.5
"""Seconds between a moment of the training and the kill, at most: a worker is at work, or it is being started, reads the model ..."""
SHARE = 0.25
"""Nor more than this share of what all updates take undisturbed: half of their epochs are still to come after the last moment."""


@dataclass(frozen=True, slots=True)
class Report:
    """How many workers were killed, how many stretches were lost by that, and how each update ended: found and expected hashes."""

    kills: int
    lost: int
    ends: Sequence[tuple[str, str]]

    @property
    def equal(self) -> int:
        """How many updates ended with the bits of the undisturbed one."""
        return sum(found == expected for found, expected in self.ends)


class Killer:
    """Kills a worker of ``lane`` at the end of so many ones of the first half of ``epochs``, a random moment later."""

    def __init__(self, lane: ProcessLane, kills: int, epochs: int, delay: float, generator: random.Random) -> None:
        self.kills = 0
        self._lane = lane
        self._delay = delay
        self._generator = generator
        self._epochs = 0
        self._due = sorted(generator.sample(range(1, max(kills + 1, epochs // 2)), kills))
        self._more = anyio.Event()

    def epoch_ended(self) -> None:
        """Called at the end of each epoch of any update."""
        self._epochs += 1
        self._more.set()

    async def run(self) -> None:
        """Until so many were killed."""
        async with anyio.create_task_group() as group:
            for due in self._due:
                while self._epochs < due:
                    self._more = anyio.Event()
                    await self._more.wait()
                group.start_soon(self._kill, self._generator.uniform(0.0, self._delay))

    async def _kill(self, delay: float) -> None:
        await anyio.sleep(delay)
        while True:
            for worker in self._generator.sample(workers := self._lane.processes, len(workers)):
                if not _is_dying(worker):
                    os.kill(worker, signal.SIGKILL)
                    self.kills += 1
                    return
            await anyio.sleep(0.01)


async def run_workers(updates: int, kills: int, seed: int, epochs: int = EPOCHS, delay: float = DELAY) -> Report:
    """So many updates at the same time on a lane of two worker processes, of which ``kills`` are killed before the updates are through."""
    await _update(0, epochs)  # not the first one is timed, which compiles
    begun = time.perf_counter()
    expected = [(await _update(number, epochs)).model.content_hash for number in range(updates)]
    delay = min(delay, SHARE * (time.perf_counter() - begun))
    found: dict[int, str] = {}
    lost = 0

    async def learn(number: int) -> None:
        nonlocal lost
        context = await _update(number, epochs, runtime, killer)
        found[number] = context.model.content_hash
        lost += context.task._losses

    async with ProcessLane(2) as lane:
        killer = Killer(lane, kills, updates * epochs, delay, random.Random(seed))
        async with Runtime(lanes={"process": lane}) as runtime, anyio.create_task_group() as group:
            group.start_soon(killer.run)
            async with anyio.create_task_group() as learning:
                for number in range(updates):
                    learning.start_soon(learn, number)
            group.cancel_scope.cancel()  # there is nobody left to kill
    return Report(killer.kills, lost, [(found[number], expected[number]) for number in range(updates)])


async def _update(number: int, epochs: int, runtime: Runtime | None = None, killer: Killer | None = None) -> MLUpdateContext:
    def handler(context: MLUpdateContext) -> None:
        epoch = int(context.metrics[MLMetricKey.EPOCH_INDEX])
        if epoch in RATES:
            context.task.resume(with_parameters={Key.LEARNING_RATE: RATES[epoch]})
        if killer is not None:
            killer.epoch_ended()

    return await MLUpdateTask(
        model(epochs),
        examples(),
        MLModelConfiguration(parameters={Key.SEED: number}),
        progress_handlers=MLUpdateProgressHandlers(Event.EPOCH_END, handler),
        runtime=runtime,
        scheduling=None if runtime is None else MLScheduling(lanes=("process",), most_losses=10**6),
    )


def _is_dying(process: int) -> bool:
    """Whether it was killed already: it may be there for a moment yet."""
    try:
        return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
