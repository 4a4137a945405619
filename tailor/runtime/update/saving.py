"""When an update's checkpoints are written, and the writing of them beside the training."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tailor.persistence import Checkpoint

from ..errors import MLCheckpointError
from .checkpoint import take_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from .training import Training


SHARE = 1 / 30
"""Of one processor's time, how much taking and writing checkpoints may cost."""


@dataclass(frozen=True, slots=True)
class MLCheckpoints:
    """Where an update keeps its last checkpoint, and when it is written: whole or not at all, over the one before.

    ``path``           the file. A checkpoint of something else that is there already is replaced when the first is written.
    ``every_batches``  after so many mini-batches.
    ``every_seconds``  after so many seconds, at the end of the mini-batch at work. With both, whichever comes first.
    ``on_stop``        also where the task is suspended or cancelled; it has been written when the state says so.
    ``keep``           also when all is learned, and the file stays when the task completes. Otherwise it is removed then, after
                       the completion handlers have returned: whoever needs longer to put the model away keeps the file until then.

    Training goes on while a thread writes what was copied between two mini-batches. A checkpoint that falls due before the
    thread is through, or before the last one has cost less than a thirtieth of a processor's time since, is taken as soon as it
    can be: of the newest moment. Where one cannot be written the task fails with an
    ``MLCheckpointError``; where the task fails, the file stays as it was last written.

    Raises ``MLCheckpointError`` naming the field that cannot be.
    """

    path: str | os.PathLike[str]
    every_batches: int | None = None
    every_seconds: float | None = None
    on_stop: bool = True
    keep: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, os.PathLike)) or not os.fspath(self.path):
            raise MLCheckpointError(f"checkpoints: path: expected the path of a file, got {self.path!r}")
        batches, seconds = self.every_batches, self.every_seconds
        if batches is not None and (not isinstance(batches, int) or isinstance(batches, bool) or batches < 1):
            raise MLCheckpointError(f"checkpoints: every_batches: expected a whole number of at least 1, or None, got {batches!r}")
        if seconds is not None and (not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds < float("inf")):
            raise MLCheckpointError(f"checkpoints: every_seconds: expected a number of at least 0, or None, got {seconds!r}")
        folder = Path(self.path).absolute().parent
        if not folder.is_dir() or Path(self.path).is_dir():
            raise MLCheckpointError(f"checkpoints: path: expected a file in a folder that exists, got {os.fspath(self.path)!r}")


class Saving:
    """Writes the checkpoints of one training, as ``MLCheckpoints`` says. Only one thread calls its methods at a time."""

    def __init__(self, when: MLCheckpoints) -> None:
        self.when = when
        self._batches = -1
        self._last: float | None = None
        self._cost = 0.0
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def at_boundary(self, training: Training) -> None:
        """Called before each mini-batch: begins to write where that is due and nothing is being written.

        Raises ``MLCheckpointError`` where the last one could not be written.
        """
        self._raise()
        self._batches += 1
        now = time.monotonic()
        self._last = now if self._last is None else self._last
        by_batches = self.when.every_batches is not None and self._batches >= self.when.every_batches
        by_seconds = self.when.every_seconds is not None and self._batches > 0 and now - self._last >= self.when.every_seconds
        busy = self._thread is not None and self._thread.is_alive()
        if busy or not (by_batches or by_seconds) or now - self._last < self._cost / SHARE:
            return
        begun = time.thread_time()
        checkpoint = take_checkpoint(training)
        self._batches, self._last, self._cost = 0, now, time.thread_time() - begun
        self._thread = threading.Thread(target=self._write, args=(checkpoint,), name="tailor-checkpoint")
        self._thread.start()

    def pass_by(self, batches: int) -> None:
        """Called after mini-batches at whose boundaries the training was not at hand."""
        self._batches += batches

    def finish(self, last: Callable[[], Checkpoint] | None) -> float:
        """Waits for what is being written, then writes what ``last`` takes; the seconds that all this took.

        Raises ``MLCheckpointError`` where either fails.
        """
        begun = time.monotonic()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._raise()
        if last is not None:
            write_checkpoint(self.when.path, last())
            self._batches = -1
        return time.monotonic() - begun

    def remove(self) -> None:
        """Removes the file. Raises ``MLCheckpointError`` where it cannot be."""
        try:
            os.unlink(self.when.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise MLCheckpointError(
                f"checkpoint {os.fspath(self.when.path)!r}: expected a file that can be removed, got {error.strerror}"
            ) from error

    def _write(self, checkpoint: Checkpoint) -> None:
        begun = time.thread_time()
        try:
            write_checkpoint(self.when.path, checkpoint)
        except Exception as error:  # raised at the next boundary, where somebody hears of it
            self._error = error
        self._cost += time.thread_time() - begun

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
