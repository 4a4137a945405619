"""Whether updates keep to their budgets, and how much they make of them.

One training with checkpoints is given one budget after the other: from 50 ms to 2 s, half of them by a deadline, half in seconds of
work. After each it is SUSPENDED, and its checkpoint written. Told are, by length, the part of the budget that was used on the mean and
at least, and by how much the worst went over it, without the checkpoint and with it; the longest mini-batch, and by how much any budget
was overrun beyond the longest mini-batch in it and 10 ms. The longest checkpoint and pause of the whole process are told too, which
other programs on the machine cause: nothing here can keep to a time while it does not run, or the disk does not write. All in
milliseconds.
Prints a Markdown table.

    python benchmarks/budgets.py [--runs 200] [--longest 2] [--folder /somewhere]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import anyio
import numpy as np

from tailor import Budget, Checkpoint, MLArrayBatchProvider, MLCheckpoints, MLModel, MLModelConfiguration, MLUpdateTask, Runtime
from tailor import MLParameterKey as Key
from tailor.runtime.format import NeuralNetworkBuilder, SgdParams, array_feature
from tailor.runtime.update import saving
from tailor.runtime.update.position import Note
from tailor.runtime.update.training import Training
from tailor.scheduler import JobPaused

GOAL_USE, GOAL_OVER = 0.85, 0.010
SHORTEST = 0.05
CLASSES = (0.1, 0.25, 0.5, 1.0, 2.0)
PIXELS, HIDDEN, LABELS, BATCH, EXAMPLES = 784, 128, 10, 32, 2048


@dataclass
class Run:
    """One budget of ``seconds``, by a deadline or not; ``used`` of it (of seconds of work: those that the turns took, and the checkpoint),
    ``writing`` of that the checkpoint, and ``paused`` in all;
    ``step`` and ``longest``: what a mini-batch took then, as the scheduler has learned it, and the longest one."""

    seconds: float
    by_deadline: bool
    used: float
    writing: float
    paused: float
    step: float
    longest: float

    @property
    def over(self) -> float:
        """Seconds beyond the budget."""
        return max(0.0, self.used - self.seconds)

    @property
    def work_over(self) -> float:
        """Seconds of that when the checkpoint began to be written: what the work itself went over."""
        return max(0.0, self.used - self.writing - self.seconds)

    @property
    def share(self) -> float:
        """The part of the budget that was used."""
        return min(1.0, self.used / self.seconds)


def model(hidden: int = HIDDEN) -> MLModel:
    """Two layers, whose mini-batches take about a millisecond."""
    rng = np.random.default_rng(0)
    builder = NeuralNetworkBuilder([array_feature("image", (PIXELS,))], [array_feature("output", (LABELS,))])
    sizes, names = [PIXELS, hidden, LABELS], ["image", "h", "z"]
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        weights = (rng.normal(size=(outputs, inputs)) / inputs**0.5).astype(np.float32)
        builder.add_inner_product(
            f"dense{number}", weights, np.zeros(outputs, np.float32), inputs, outputs, True, names[number], names[number + 1]
        )
    builder.add_softmax("softmax", "z", "output")
    builder.make_updatable(["dense0", "dense1"])
    builder.set_categorical_cross_entropy_loss("loss", "output")
    builder.set_sgd_optimizer(SgdParams(lr=1e-4, batch=BATCH, momentum=0.0))
    builder.set_epochs(1_000_000, allowed_set=[1, 1_000_000])
    return MLModel.from_spec(builder.spec, "budgets")


class Pauses:
    """Seconds for which this process did not run though it wanted to, as a thread notices that wakes every few milliseconds."""

    def __init__(self) -> None:
        self.total = 0.0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Pauses:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._ends.wait(0.005):
            now = time.monotonic()
            self.total += max(0.0, now - before - 0.007)
            before = now


async def measured(runs: int, longest: float, folder: Path) -> list[Run]:
    """One training under so many budgets, in a random order."""
    rng = np.random.default_rng(1)
    data = MLArrayBatchProvider(
        {
            "image": rng.random((EXAMPLES, PIXELS), np.float32),
            "output_true": rng.integers(0, LABELS, (EXAMPLES, 1)).astype(np.int32),
        }
    )
    draw = random.Random(2)
    lengths = [SHORTEST * (longest / SHORTEST) ** (number / max(1, runs - 1)) for number in range(runs)]
    draw.shuffle(lengths)
    found: list[Run] = []
    writing = [0.0]
    write = saving.write_checkpoint

    def timed(path: Path, checkpoint: Checkpoint) -> None:
        begin = time.monotonic()
        write(path, checkpoint)
        writing.append(time.monotonic() - begin)

    batches, worked = [0.0], [0.0]
    step = Training._step

    def timed_step(training: Training) -> list[Note]:
        begin = time.monotonic()
        notes = step(training)
        batches.append(time.monotonic() - begin)
        return notes

    saving.write_checkpoint = timed  # type: ignore[assignment]
    Training._step = timed_step  # type: ignore[method-assign]
    async with Runtime(cores=1) as runtime:
        task = MLUpdateTask(
            model(),
            data,
            MLModelConfiguration(parameters={Key.SEED: 1}, threads=1),
            runtime=runtime,
            checkpoints=MLCheckpoints(folder / "checkpoint"),
        )
        runtime.scheduler.observers.add(lambda event: worked.append(event.seconds) if isinstance(event, JobPaused) else None)
        task.resume(budget=Budget(steps=1))  # the first mini-batch of all builds the network
        await task.paused()
        with Pauses() as pauses:
            for number, seconds in enumerate(lengths):
                begin, paused = anyio.current_time(), pauses.total
                batches[:], worked[:] = [0.0], []
                by_deadline = number % 2 == 0
                task.resume(budget=Budget(deadline=begin + seconds) if by_deadline else Budget(seconds=seconds))
                await task.paused()
                used = anyio.current_time() - begin if by_deadline else sum(worked) + writing[-1]
                found.append(Run(seconds, by_deadline, used, writing[-1], pauses.total - paused, _step(runtime), max(batches)))
        task.cancel()
    return found


def _step(runtime: Runtime) -> float:
    """Seconds of a mini-batch, as the scheduler has learned them; 0 where it knows nothing yet."""
    found = [known["cpu"][0] for known in runtime.scheduler.costs.plain().values() if "cpu" in known]
    return found[0] if found else 0.0


def row(name: str, runs: list[Run]) -> str:
    """A line of the table."""
    worst = max(runs, key=lambda run: run.over)
    beyond = max(max(0.0, run.over - GOAL_OVER - run.longest) for run in runs)
    cells = [
        str(len(runs)),
        f"{statistics.mean(run.share for run in runs):.1%}",
        f"{min(run.share for run in runs):.1%}",
        f"{max(run.work_over for run in runs) * 1e3:.1f}",
        f"{worst.over * 1e3:.1f}",
        f"{max(run.longest for run in runs) * 1e3:.1f}",
        f"{beyond * 1e3:.1f}",
        f"{max(run.writing for run in runs) * 1e3:.1f}",
        f"{max(run.paused for run in runs) * 1e3:.0f}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--runs", type=int, default=200, help="budgets")
    arguments.add_argument("--longest", type=float, default=2.0, help="seconds of the longest")
    arguments.add_argument("--folder", default=None, help="where the checkpoint is written")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        runs = anyio.run(measured, chosen.runs, chosen.longest, Path(folder))
    step = statistics.median(run.step for run in runs)
    print(f"{len(runs)} budgets of {SHORTEST:g} s to {chosen.longest:g} s; a mini-batch takes {step * 1e3:.1f} ms.\n")
    print("| budgets | runs | mean use | least | work over | all over | mini-batch | all over beyond one and 10 ms | checkpoint | pause |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    below = 0.0
    for bound in CLASSES:
        some = [run for run in runs if below < run.seconds <= bound + 1e-9]
        below = bound + 1e-9
        if some:
            print(row(f"up to {bound:g} s", some))
    for name, some in (("deadlines", [run for run in runs if run.by_deadline]), ("seconds", [run for run in runs if not run.by_deadline])):
        if some:
            print(row(name, some))
    print(row("all", runs))
    print(f"\nGoals: a mean use of {GOAL_USE:.0%}, and nothing beyond one mini-batch and {GOAL_OVER * 1e3:.0f} ms.")


if __name__ == "__main__":
    main()
