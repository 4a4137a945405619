"""The kernels of steps, compiled one by one when a program first needs them, and the loop that calls them.

A kernel does one part of a step: ``kernel(record, part, parts, split, count, bases, offsets, aside)``, all 64-bit numbers: addresses
of the record, of the operands' addresses, of the table of taps and of room aside, and how many examples there are.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from inspect import getsource
from typing import Any

import numba
import numpy as np
from numba import types

from . import machine, maths, products, records, recurrent, strip, sweeps
from .machine import breathe, claim, compiled, counted, find_yield, perform, take
from .products import TABLE
from .records import COUNTERS, Function, Kind

PATIENCE = 4000
"""Looks at a counter before the processor is given to somebody else."""

SIGNATURE = types.void(*(types.int64,) * 8)

give_way: Any = None


@lru_cache(maxsize=1)
def _stamp() -> str:
    """Part of the names under which kernels are kept on disk: a change in any of the files that they are made of makes all of them anew.

    Numba looks at the file of the kernel alone, and at the values that its closure holds: so each kernel holds this one.
    """
    digest = sha256()
    for module in (machine, maths, products, records, recurrent, strip, sweeps):
        digest.update(getsource(module).encode())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=256)
def kernel(kind: Kind, code: int) -> int:
    """The address of the kernel of a kind of step; ``code``: which function, of a ``MAP``."""
    makers: dict[Kind, Any] = {
        Kind.PRODUCT: products.product,
        Kind.PACK: products.pack,
        Kind.POOL: sweeps.pool_kernel,
        Kind.NORM: sweeps.norm_kernel,
        Kind.COPY: sweeps.copy_kernel,
        Kind.BORDER: sweeps.border_kernel,
        Kind.RECURRENT: recurrent.recurrent,
    }
    body = sweeps.map_kernel(_stamp(), code) if kind is Kind.MAP else makers[kind](_stamp())
    body.__qualname__ = f"{kind.name.lower()}_{code}"  # for the reason that ``compiled`` gives
    try:
        made = numba.cfunc(SIGNATURE, cache=True, error_model="numpy")(body)
    except RuntimeError:  # there is no folder that can be written for what is compiled
        made = numba.cfunc(SIGNATURE, error_model="numpy")(body)
    KEPT.append(made)
    return int(made.address)


KEPT: list[Any] = []
"""What was compiled goes when nobody refers to it."""


@compiled
def _until(address, number):
    """Waits until the counter at ``address`` says ``number``."""
    looks = 0
    while counted(address) < number:
        looks += 1
        if looks < PATIENCE:
            breathe()
        else:
            give_way()


def _make(stamp: str) -> Any:
    def run(order, offsets, bases, count, counters):
        """Takes part in a run over ``count`` examples; returns when every step is done.

        ``order``: of each step the kernel, the record, in how many parts, how they are split, whether the next has to wait, and
        how many turns there are, each of so many parts, that all begin when those of the turn before are done. Then a thread
        takes the part that it had before, whose operands its cache still holds, and another one only where nobody else does.
        """
        _ = stamp
        aside = np.empty(TABLE, np.int64)
        place = counters.ctypes.data
        waited = 0
        for step in range(len(order)):
            parts, turns = order[step, 2], order[step, 5]
            here = place + 8 * COUNTERS * step
            mine = 0
            for turn in range(turns):
                if turns > 1:
                    _until(here + 64, turn * parts)
                number, found = 0, False
                while True:
                    if turns == 1:
                        part = claim(here)
                        if part >= parts:
                            break
                    else:
                        while number < parts and not take(here + 8 * ((mine + number) % parts), turn):
                            number += 1
                        if number == parts:
                            break
                        mine, number, found = (mine + number) % parts, 0, True
                        part = turn * parts + mine
                    perform(
                        order[step, 0],
                        order[step, 1],
                        part,
                        parts,
                        order[step, 3],
                        count,
                        bases.ctypes.data,
                        offsets.ctypes.data,
                        aside.ctypes.data,
                    )
                    claim(here + 64)
                if turns > 1 and not found and not order[step, 4]:
                    break  # others have all parts in hand, and the next step need not wait for them
            if order[step, 4]:
                for before in range(waited, step + 1):
                    _until(place + 8 * COUNTERS * before + 64, order[before, 2] * order[before, 5])
                waited = step + 1

    return run


@lru_cache(maxsize=1)
def loop() -> Any:
    """The loop that runs programs, compiled for this processor, from disk where it has been before."""
    global give_way
    give_way = find_yield()  # no part of the closure, which is part of the name on disk
    return _compiled(_make(_stamp()))


@lru_cache(maxsize=1)
def linger() -> Any:
    """``linger(address, seen, looks)``: looks at the number at ``address`` until it is another than ``seen``, or often enough."""
    return _compiled(_make_linger(_stamp()))


def _make_linger(stamp: str) -> Any:
    def wait(address, seen, looks):
        _ = stamp
        while looks > 0 and counted(address) == seen:
            breathe()
            looks -= 1

    return wait


def _compiled(function: Any) -> Any:
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder that can be written
        return numba.njit(**options)(function)


def compile_all() -> None:
    """The loop and the kernels of all kinds of steps, so that no prediction has to wait for one."""
    loop()
    for kind in Kind:
        for code in Function if kind is Kind.MAP else (0,):
            kernel(kind, code)
