"""Which turn is asked back for a job that finds no place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .job import Job, Priority
from .turn import Turn


def in_the_way(job: Job, turns: Sequence[Turn], urgency: Callable[[Turn], Priority], *, cores: bool) -> tuple[Turn, str] | None:
    """The turn that is to be given back, and why; ``None`` where there is none, or one is already.

    ``turns``: those whose place the job could have. Where it lacks only a core (``cores``), the turn that has most of them, if more than
    one; else the least urgent, if it is less urgent than the job. ``urgency``: of a turn's job.
    """
    if not turns or any(turn.yields for turn in turns):
        return None
    broad = max(turns, key=lambda turn: turn.threads)
    if cores and broad.threads > 1:
        return broad, f"job {job.identifier!r} needs a core"
    least = min(turns, key=urgency)
    return (least, f"job {job.identifier!r} is more urgent") if urgency(least) < job.priority else None
