"""Kills trainings with SIGKILL at random moments, takes them up again, and compares the end with that of one never stopped."""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.faults.training import BATCHES, train

LIMIT = 300.0
"""Seconds after which a training that says nothing has hung."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one training: how often it was killed, behind which of the mini-batches told of, and what became of it."""

    moments: tuple[int, ...]
    found: str
    expected: str

    @property
    def equal(self) -> bool:
        """Whether the model is the one of the training that was never stopped, to the bit."""
        return self.found == self.expected


def run_kills(trainings: int, seed: int) -> Iterator[Outcome]:
    """Trains, and kills each training once or more often; every process is one of its own."""
    generator = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        expected = _to_the_end(folder / "undisturbed")
        for number in range(trainings):
            yield _disturbed(folder / str(number), expected, generator)
    finally:
        shutil.rmtree(folder)


def _disturbed(folder: Path, expected: str, generator: random.Random) -> Outcome:
    moments: list[int] = []
    while not moments or generator.random() < 0.3:
        behind = 0 if generator.random() < 0.15 else generator.randrange(BATCHES)  # 0: while it begins, or reads its checkpoint
        told = _killed(folder, behind, generator.random())
        if told is not None:
            moments.append(told)
        elif moments:
            break
        else:  # it was faster
            shutil.rmtree(folder)
    outcome = Outcome(tuple(moments), _to_the_end(folder), expected)
    shutil.rmtree(folder)
    return outcome


def _killed(folder: Path, behind: int, delay: float) -> int | None:
    """Kills a training a moment after so many mini-batches; how many there were, or ``None`` where it came to its end before."""
    process, told = _started(folder)
    try:
        heard = 0
        while heard < behind:
            if _next(told) is None:
                break
            heard += 1
        # A random moment is the point: of a mini-batch and the writing of its checkpoint, or of the beginning of a process.
        process.join(delay * (0.01 if heard else 0.3))
        process.kill()
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL):
            raise RuntimeError(f"expected a training that is killed or done, got exit code {process.exitcode}; what it says is above")
        return heard if process.exitcode else None
    finally:
        told.close()
        process.kill()
        process.join()


def _to_the_end(folder: Path) -> str:
    """SHA-256 of the model that comes out."""
    process, told = _started(folder)
    with told:
        while _next(told) is not None:
            pass
        process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"expected a training to come to its end, got exit code {process.exitcode}; what it says is above")
    return hashlib.sha256((folder / "trained.mlmodel").read_bytes()).hexdigest()


def _started(folder: Path) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    folder.mkdir(exist_ok=True)
    context = multiprocessing.get_context("forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn")
    context.set_forkserver_preload([train.__module__])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=train, args=(folder, there), name=f"training in {folder.name}")  # type: ignore[attr-defined]
    process.start()
    there.close()
    return process, here


def _next(told: Connection) -> tuple[int, int] | None:
    """The next mini-batch; ``None`` at the end. Raises ``TimeoutError`` where the process says nothing for too long."""
    if not told.poll(LIMIT):
        raise TimeoutError(f"expected a mini-batch within {LIMIT:.0f} s, got none")
    try:
        moment: tuple[int, int] = told.recv()
        return moment
    except EOFError:
        return None
