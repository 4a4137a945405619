"""How an update goes: its epochs and their losses, of which no more are kept than a picture of them needs."""

from __future__ import annotations

from collections.abc import Sequence

MOST = 1000
"""Losses that are kept of an update."""


class Progress:
    """The ``epoch`` that ended last, counted from 0, and the ``losses`` of every ``stride``-th, from the first on.

    The stride is 1 at first, and doubles whenever there would be more than ``MOST`` losses.
    """

    def __init__(self, epoch: int | None = None, losses: Sequence[float] = ()) -> None:
        self.epoch = epoch
        self.losses = list(losses)
        self.stride = _stride(epoch or 0)

    def add(self, epoch: int, loss: float | None) -> None:
        """Takes in the end of an epoch. One that was heard of before is one that was left, and is taken up again."""
        before, self.stride, self.epoch = self.stride, max(self.stride, _stride(epoch)), epoch
        place, between = divmod(epoch, self.stride)
        self.losses = self.losses[:: self.stride // before][: place + (between > 0)]
        if loss is not None and not between:
            self.losses.append(loss)


def _stride(epoch: int) -> int:
    return 1 << (epoch // MOST).bit_length()
