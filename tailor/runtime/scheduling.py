"""When and where a task's turns come: what is told to the scheduler of its runtime."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tailor.scheduler import Budget, Conditions, Job, Priority, Retry

from .errors import MLParameterError

if TYPE_CHECKING:
    from .task import MLTask


@dataclass(frozen=True, slots=True, kw_only=True)
class MLScheduling:
    """What a task asks of the scheduler of its ``Runtime``.

    ``priority``, ``deadline`` (seconds on the scheduler's clock, ``anyio.current_time()``), then age: the order in which tasks go.
    ``budget``      what the task may use. Where no step more fits, it is SUSPENDED, and can go on with ``resume(budget=...)``.
    ``conditions``  what must hold around it while it works.
    ``share``       whose time it takes (a user); among equally urgent tasks, whoever has had least of it goes first.
    ``tags``        what the runtime's limits are counted by.
    ``after``       tasks that must have completed before; where one fails, this one does.
    ``not_before``  the earliest time, on the scheduler's clock.
    ``retry``       what is tried again, and how often, when the training data or a checkpoint's file cannot be read or written.
    ``lanes``       the lanes that it may use, the preferred one first; by default the runtime chooses.
    ``most_losses`` how often it goes on elsewhere after a worker process died under it or a device was lost.

    Raises ``MLParameterError`` for a field that makes no sense.
    """

    priority: Priority = Priority.UTILITY
    deadline: float = math.inf
    budget: Budget = field(default_factory=Budget)
    conditions: Conditions = field(default_factory=Conditions)
    share: str = ""
    tags: frozenset[str] = frozenset()
    after: Sequence[MLTask[Any]] = ()
    not_before: float = -math.inf
    retry: Retry | None = None
    lanes: Sequence[str] | None = None
    most_losses: int = 3

    def __post_init__(self) -> None:
        for name, kind in (("budget", Budget), ("conditions", Conditions)):
            if not isinstance(getattr(self, name), kind):
                raise MLParameterError(f"scheduling: {name}: expected {kind.__name__}, got {getattr(self, name)!r}")
        if self.retry is not None and not isinstance(self.retry, Retry):
            raise MLParameterError(f"scheduling: retry: expected Retry or None, got {self.retry!r}")
        if not isinstance(self.after, Sequence) or not all(hasattr(task, "task_identifier") for task in self.after):
            raise MLParameterError(f"scheduling: after: expected a list of tasks, got {self.after!r}")
        if not isinstance(self.share, str):
            raise MLParameterError(f"scheduling: share: expected a string, got {self.share!r}")
        if isinstance(self.lanes, str) or not isinstance(self.lanes, Sequence | None):
            raise MLParameterError(f"scheduling: lanes: expected a list of names, got {self.lanes!r}")
        if isinstance(self.most_losses, bool) or not isinstance(self.most_losses, int) or self.most_losses < 0:
            raise MLParameterError(f"scheduling: most_losses: expected a whole number of at least 0, got {self.most_losses!r}")
        self.job("task", "", ("cpu",))  # sees to the other fields

    def job(self, identifier: str, model: str, lanes: Sequence[str]) -> Job:
        """The job of a task: ``model`` is what its cost is learned by."""
        try:
            return Job(
                identifier=identifier,
                priority=self.priority,
                deadline=self.deadline,
                share=self.share,
                tags=self.tags,
                lanes=tuple(lanes if self.lanes is None else self.lanes),
                after=frozenset(task.task_identifier for task in self.after if task.error is not None or not task.state.is_final),
                not_before=self.not_before,
                conditions=self.conditions,
                budget=self.budget,
                model=model,
            )
        except ValueError as error:
            raise MLParameterError(f"scheduling: {error}") from error


NO_SCHEDULING = MLScheduling()
