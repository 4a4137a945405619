"""What goes between a lane and one of its worker processes: numbered messages over a connection that only these two have.

Objects go as Python pickles them. That is safe here, and nowhere else: both ends are processes of this program, of the same
code, and the connection has no name by which a third could find it. What comes from files or the network is never read so.
"""

from __future__ import annotations

import struct
import threading
from enum import IntEnum
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from traceback import format_exception_only
from typing import Any, TypeAlias

from ..errors import SchedulerError

Packed: TypeAlias = bytes | memoryview

PROTOCOL = 5
HEAD = struct.Struct("<Bq")


class Kind(IntEnum):
    """What a message is: the first four go to the worker, the others come from it."""

    WORK = 1
    ANSWER = 2
    REFUSAL = 3
    TOLD = 4
    FORGET = 5
    RESULT = 6
    FAILURE = 7
    QUESTION = 8


class Link:
    """One end. Any thread may send, one at a time receives. Both raise ``OSError`` or ``EOFError`` where the other end is gone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, kind: Kind, number: int, body: Packed) -> None:
        """Sends a message about the piece of work ``number``."""
        with self._sending:
            self._connection.send_bytes(HEAD.pack(kind, number))
            self._connection.send_bytes(body)

    def receive(self) -> tuple[Kind, int, bytes]:
        """Waits for the next message."""
        kind, number = HEAD.unpack(self._connection.recv_bytes())
        return Kind(kind), number, self._connection.recv_bytes()

    def close(self) -> None:
        """Lets the other end know that there is nothing more to come."""
        self._connection.close()


def packed(what: object) -> Packed:
    """``what`` as bytes; raises whatever an object raises that cannot be packed."""
    return ForkingPickler.dumps(what, PROTOCOL)


def unpacked(body: Packed) -> Any:
    """What was packed; raises whatever comes of it where its modules are not here."""
    return ForkingPickler.loads(body)


def packed_error(error: BaseException, *about: object) -> Packed:
    """An error with what else there is about it; one that cannot be sent, or does not come out as it was, goes as its text."""
    try:
        body = packed((error, *about))
        if type(unpacked(body)[0]) is type(error):
            return body
    except Exception:  # an error of somebody else's may do anything here: its text is sent then, below
        pass
    text = "".join(format_exception_only(error)).strip()
    return packed((SchedulerError(f"process lane: an error that cannot be sent between processes: {text}"), *about))
