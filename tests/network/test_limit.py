"""The promise of one BLAS thread holds even where somebody else in the process changes the setting meanwhile."""

from __future__ import annotations

from threading import Thread

import pytest
from threadpoolctl import ThreadpoolController

from tailor.runtime.network.team import one_blas_thread


def test_a_setting_that_somebody_else_changes_is_put_right_by_the_next_user_and_restored_after_the_last() -> None:
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    if not libraries:
        pytest.skip("NumPy has no BLAS here whose threads can be counted")
    before = [library.get_num_threads() for library in libraries]
    try:
        for library in libraries:
            library.set_num_threads(2)
        with one_blas_thread():
            assert {library.get_num_threads() for library in libraries} == {1}
            libraries[0].set_num_threads(2)
            with one_blas_thread():
                assert {library.get_num_threads() for library in libraries} == {1}
            assert {library.get_num_threads() for library in libraries} == {1}
        assert {library.get_num_threads() for library in libraries} == {2}
    finally:
        for library, threads in zip(libraries, before, strict=True):
            library.set_num_threads(threads)


def test_it_holds_in_every_thread_whichever_was_first() -> None:
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    if not libraries:
        pytest.skip("NumPy has no BLAS here whose threads can be counted")
    found: list[int] = []

    def work() -> None:
        with one_blas_thread():
            found.extend(library.get_num_threads() for library in libraries)

    before = [library.get_num_threads() for library in libraries]
    try:
        for library in libraries:
            library.set_num_threads(2)  # from here on threadpoolctl 3.8 takes this thread for the one that decides
        thread = Thread(target=work)
        thread.start()
        thread.join()
        assert found == [1] * len(libraries)
        assert {library.get_num_threads() for library in libraries} == {2}
    finally:
        for library, threads in zip(libraries, before, strict=True):
            library.set_num_threads(threads)
