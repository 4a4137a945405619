"""One worker process, as its lane sees it: started, given work, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from multiprocessing import Pipe
from typing import Any

from ..errors import LaneLost, SchedulerError
from ..processors import processors
from .channel import Channel
from .link import Kind, Link, Packed, unpacked

BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerProcess:
    """One process, one ``of`` so many, and this end of the link to it. ``lost``: whether it is of no more use.

    Raises ``LaneLost`` where it cannot be started.
    """

    def __init__(self, of: int) -> None:
        here, there = Pipe()
        self.link = Link(here)
        self.lost = False
        self._number = 0
        try:
            self.process = _started(there.fileno(), of)
        except OSError as error:
            self.link.close()
            raise LaneLost(f"process lane: a worker could not be started: {error}") from error
        finally:
            there.close()

    def work(self, body: Packed, channel: Channel) -> Any:
        """Lets it do one piece of work, and answers its questions meanwhile; what comes of it."""
        self.lost = True  # until it has said how that ended
        try:
            kind, body = self._exchanged(body, channel)
        except (EOFError, OSError) as error:
            raise LaneLost(f"process lane: worker {self.process.pid} {self._how()}; the work that it had has not happened") from error
        self.lost = False
        try:
            came = unpacked(body)
        except Exception as error:
            raise SchedulerError(f"process lane: expected an answer that can be read here, got {type(error).__name__}: {error}") from error
        if kind is Kind.RESULT:
            return came
        failure, told, refused = came
        failure.add_note(f"in worker process {self.process.pid}:\n{told}")
        raise failure from channel._refusal if refused else None

    def _exchanged(self, body: Packed, channel: Channel) -> tuple[Kind, Packed]:
        self._number += 1
        self.link.send(Kind.WORK, self._number, body)
        channel._sent(self, self._number)
        try:
            while True:
                kind, _, body = self.link.receive()
                if kind is not Kind.QUESTION:
                    return kind, body
                self.link.send(*channel._reply(self._number, body))
        finally:
            channel._over()

    def _how(self) -> str:
        """How it ended."""
        try:
            code = self.process.wait(1.0)  # a process that dies lets go of its files a little earlier
        except subprocess.TimeoutExpired:
            return "has closed its connection"
        name = next((known.name for known in signal.Signals if known == -code), f"signal {-code}")
        return f"was ended by {name}" if code < 0 else f"has ended with exit code {code}"

    def end(self, seconds: float) -> None:
        """Ends it, by force where it takes longer than so many seconds."""
        self.link.close()
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _started(handle: int, of: int) -> subprocess.Popen[bytes]:
    """A worker, one ``of`` so many, at the other end of the connection ``handle``."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    if not any(name in environment for name in BLAS_THREADS):
        environment |= dict.fromkeys(BLAS_THREADS, str(max(1, processors() // of)))
    # -P: the folder that it is started in is no place to import from, unless it is one here
    command = [sys.executable, "-P", "-c", f"from tailor.scheduler.lanes.worker import main; main({handle})"]
    if sys.platform == "win32":
        os.set_handle_inheritable(handle, True)
        inherited = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, startupinfo=inherited)
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[handle])
