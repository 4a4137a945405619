"""Another attempt: after which failures, how often, and when."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import LaneLost


@dataclass(frozen=True, slots=True)
class Retry:
    """What is tried again, and how long after.

    ``attempts``  how many there are at most, the first included.
    ``on``        the exceptions after which there is another one; also where one of these is the cause of what was raised.
    ``first``, ``factor``, ``most``: the pause before the second attempt is ``first`` seconds, each later one ``factor`` times as long as
    the one before, and none longer than ``most``.

    Raises ``ValueError`` for what makes no sense.
    """

    attempts: int = 3
    on: tuple[type[Exception], ...] = (OSError, TimeoutError)
    first: float = 1.0
    factor: float = 2.0
    most: float = 60.0

    def __post_init__(self) -> None:
        if not isinstance(self.attempts, int) or self.attempts < 1:
            raise ValueError(f"retry: attempts: expected a whole number of at least 1, got {self.attempts!r}")
        for name, least in (("first", 0.0), ("factor", 1.0), ("most", 0.0)):
            seconds = getattr(self, name)
            if not isinstance(seconds, (int, float)) or not least <= seconds < math.inf:
                raise ValueError(f"retry: {name}: expected a number of at least {least:g}, got {seconds!r}")
        if not isinstance(self.on, Iterable) or not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in self.on):
            raise ValueError(f"retry: on: expected a tuple of exceptions, got {self.on!r}")
        object.__setattr__(self, "on", tuple(self.on))

    def after(self, error: BaseException, attempts: int) -> float | None:
        """Seconds to wait before the next attempt, when ``attempts`` have failed, the last with ``error``; ``None``: there is none."""
        if attempts >= self.attempts:
            return None
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, self.on):
            cause = cause.__cause__
        if cause is None:
            return None
        return float(min(self.most, self.first * self.factor ** (attempts - 1)))


LOST_LANE = Retry(attempts=4, on=(LaneLost,), first=0.0)
"""A lane that is lost under a job is not the job's fault, unless it happens again and again."""
