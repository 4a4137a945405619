"""What can go wrong between a job and its turn."""

from __future__ import annotations


class SchedulerError(RuntimeError):
    """The root of what the scheduler raises, besides ``ValueError`` for what makes no sense."""


class SchedulerFull(SchedulerError):
    """As many jobs wait as may; this one was not taken on."""


class SchedulerClosed(SchedulerError):
    """The scheduler does not run: it was not entered, or is being left."""


class JobCancelled(SchedulerError):
    """The job was cancelled before it was done."""


class TurnWithdrawn(SchedulerError):
    """The job's holder wants no turn any more."""


class DependencyFailed(SchedulerError):
    """A job that had to be done before this one did not end well; this one never began."""


class BudgetExhausted(SchedulerError):
    """No step more fits into the job's budget. What was done is done; with another budget it can go on."""


class LaneLost(SchedulerError):
    """What runs a lane's work is gone or has no room: a worker process has died, a device has vanished or has no memory.

    The piece of work at hand has not happened. ``lane``: the lane's name, where it is known. ``gone``: whether the lane
    itself is of no more use, to this job or any other.
    """

    def __init__(self, message: str, *, lane: str | None = None, gone: bool = False) -> None:
        super().__init__(message)
        self.lane = lane
        self.gone = gone
