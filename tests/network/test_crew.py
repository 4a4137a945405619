"""Mates come when they are free; memory is used again only when nobody has it any more."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tailor.runtime.network import mates
from tailor.runtime.network.crew import COUNTED, NetworkCrew, Shelf


@pytest.mark.parametrize("spare", [0, 1, 3])
def test_mates_are_asked_and_the_caller_works_too(spare: int) -> None:
    """Each call waits until all have begun: fewer threads would wait for ever."""
    everyone, here, told = threading.Barrier(spare + 1, timeout=30), [], []

    def work(threads: int) -> None:
        told.append(threads)
        here.append(threading.get_ident())
        everyone.wait()

    crew = NetworkCrew()
    for _ in range(2):  # the mates live on
        with mates(spare):
            crew.gather(work)
    assert threading.get_ident() in here and set(told) == {spare + 1}
    assert f"{spare} mates" in repr(crew)


@pytest.mark.skipif(not COUNTED, reason="buffers are kept only where references are counted, in CPython with its lock")
def test_a_buffer_is_used_again_when_nobody_has_a_view_of_it() -> None:
    shelf = Shelf()
    x = shelf.empty((200, 200))
    view = x[3:, ::2].T
    first = x.ctypes.data
    del x
    other = shelf.empty((200, 200))
    assert not np.shares_memory(other, view)
    del view
    again = shelf.empty((100, 2, 190))
    assert again.ctypes.data == first and again.shape == (100, 2, 190) and again.dtype == np.float32
    assert shelf.empty((100, 100)).ctypes.data not in (first, other.ctypes.data)  # both are somebody's


def test_a_shelf_is_not_without_end() -> None:
    shelf = Shelf(most=3 * 80_000)
    kept = [shelf.empty((20_000,)) for _ in range(9)]
    assert len(shelf._buffers) <= 3
    for place, array in enumerate(kept):
        array[:] = place
    assert [array[0] for array in kept] == list(range(9))
