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

from . import machine, maths, products, records, sweeps
from .machine import breathe, claim, counted, find_yield, perform
from .products import TABLE
from .records import COUNTERS, Kind

PATIENCE = 4000
"""Looks at a counter before the processor is given to somebody else."""

SIGNATURE = types.void(*(types.int64,) * 8)

give_way: Any = None


@lru_cache(maxsize=1)
def _stamp() -> str:
    """Part of the names under which kernels are kept on disk: a change in any of the files that they are made of makes all of them anew."""
    digest = sha256()
    for module in (machine, maths, products, records, sweeps):
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
    }
    body = sweeps.map_kernel(_stamp(), code) if kind is Kind.MAP else makers[kind](_stamp())
    try:
        made = numba.cfunc(SIGNATURE, cache=True, error_model="numpy")(body)
    except RuntimeError:  # there is no folder that can be written for what is compiled
        made = numba.cfunc(SIGNATURE, error_model="numpy")(body)
    KEPT.append(made)
    return int(made.address)


KEPT: list[Any] = []
"""What was compiled goes when nobody refers to it."""


def _make(stamp: str) -> Any:
    def run(order, offsets, bases, count, counters):
        """Takes part in a run over ``count`` examples; returns when every step is done.

        ``order``: of each step the kernel, the record, in how many parts, how they are split, and whether the next has to wait.
        """
        stamp  # noqa: B018
        aside = np.empty(TABLE, np.int64)
        place = counters.ctypes.data
        waited = 0
        for step in range(len(order)):
            parts = order[step, 2]
            here = place + 8 * COUNTERS * step
            while True:
                part = claim(here)
                if part >= parts:
                    break
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
            if order[step, 4]:
                for before in range(waited, step + 1):
                    looks = 0
                    while counted(place + 8 * COUNTERS * before + 64) < order[before, 2]:
                        looks += 1
                        if looks < PATIENCE:
                            breathe()
                        else:
                            give_way()
                waited = step + 1

    return run


@lru_cache(maxsize=1)
def loop() -> Any:
    """The loop that runs programs, compiled for this processor, from disk where it has been before."""
    global give_way
    give_way = find_yield()  # no part of the closure, which is part of the name on disk
    run, options = _make(_stamp()), {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(run)
    except RuntimeError:
        return numba.njit(**options)(run)
