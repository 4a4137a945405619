"""Parts are all done whoever comes; memory is used again only when nobody has it any more."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tailor.runtime.network import mates, shared_crew
from tailor.runtime.network.crew import COUNTED, NetworkCrew, Shelf


@pytest.mark.parametrize("spare", [0, 1, 3])
@pytest.mark.parametrize("total", [0, 1, 2, 50])
def test_each_part_is_done_once(spare: int, total: int) -> None:
    done: list[int] = []
    crew = NetworkCrew()
    with mates(spare):
        crew.share(done.append, total)
    assert sorted(done) == list(range(total))
    assert f"{min(spare, max(0, total - 1))} mates" in repr(crew)


def test_mates_do_take_parts() -> None:
    """Each part waits until the other has begun: one thread alone would wait for ever."""
    both = threading.Barrier(2, timeout=30)
    with mates(1):
        shared_crew().share(lambda part: both.wait(), 2)
    assert both.n_waiting == 0


@pytest.mark.parametrize("spare", [0, 2])
def test_a_failure_is_the_callers(spare: int) -> None:
    def work(part: int) -> None:
        if part == 3:
            raise ValueError("part 3")

    crew = NetworkCrew()
    with mates(spare):
        for _ in range(2):  # the mates live on
            with pytest.raises(ValueError, match="part 3"):
                crew.share(work, 8)


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
