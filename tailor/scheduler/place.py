"""Which lane a job goes to, of those it may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .cost import Estimate

WORTH_WAITING = 2.0
"""How many times as long as on the fastest lane a step may take on a free one: while it is taken there, the fastest would
be free again."""


def place(lanes: Sequence[str], free: Callable[[str], bool], cost: Callable[[str], Estimate | None]) -> str | None:
    """The lane for the next turn; ``None`` where it is better to wait for one that is not free.

    ``lanes``: those that there are, the preferred one first. A free one that was never tried goes before those whose cost is known, so
    that it is tried; then the fastest. Where that is not free, another is taken unless it is far slower.
    """
    if len(lanes) == 1:
        return lanes[0] if free(lanes[0]) else None
    known = {lane: estimate.mean for lane in lanes if (estimate := cost(lane)) is not None}
    most = WORTH_WAITING * min(known.values(), default=0.0)
    worth = [lane for lane in lanes if free(lane) and known.get(lane, 0.0) <= most]
    return min(worth, key=lambda lane: known.get(lane, 0.0), default=None)
