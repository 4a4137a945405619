"""``jit``: a NumPy function and the compiled loop that computes the same, faster.

Numba is imported at the first call of a loop, not before: importing it costs as much as everything else together. Where
it is missing, refuses the NumPy it finds, or is switched off (``TAILOR_NO_NUMBA=1``), the NumPy twin answers. So it does
for arrays of an accelerator, on which NumPy's functions run by dispatch.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from .op import Array

P = ParamSpec("P")
R = TypeVar("R")

HAVE_NUMBA: bool = os.environ.get("TAILOR_NO_NUMBA", "") in ("", "0") and find_spec("numba") is not None


class Kernel(Generic[P, R]):
    """A loop for Numba and the NumPy function it must agree with; calling it calls whichever there is.

    Compiled when first called, once for each kind of arguments, without the GIL, and kept on disk where a folder can be
    written. No fastmath: the order of additions is the one written, so equal arguments give equal bits.
    """

    def __init__(self, loop: Callable[P, R], twin: Callable[P, R], before: Callable[[], None] | None = None) -> None:
        self.loop = loop
        self.twin = twin
        self._before = before
        self._call: Callable[P, R] | None = None if HAVE_NUMBA else twin

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the loop answers, or its twin."""
        if args and elsewhere(args[0]):
            return self.twin(*args, **kwargs)
        # Two threads that come here first at once both get a dispatcher: a little work twice, no harm.
        call = self._call or self._ready()
        return call(*args, **kwargs)

    def __repr__(self) -> str:
        state = "not called yet" if self._call is None else "NumPy" if self._call is self.twin else "Numba"
        return f"<Kernel {self.loop.__module__}.{self.loop.__qualname__}: {state}>"

    def _ready(self) -> Callable[P, R]:
        try:
            if self._before is not None:
                self._before()
            self._call = _compiled(self.loop)
        except ImportError as error:
            warnings.warn(f"Numba cannot be imported, NumPy is used instead: {error}", RuntimeWarning, stacklevel=3)
            self._call = self.twin
        return self._call


def _compiled(loop: Callable[P, R]) -> Callable[P, R]:
    import numba

    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    compiled: Callable[P, R]
    try:
        compiled = numba.njit(cache=True, **options)(loop)
    except RuntimeError:  # there is no folder that can be written for what is compiled
        compiled = numba.njit(**options)(loop)
    return compiled


def jit(twin: Callable[P, R], before: Callable[[], None] | None = None) -> Callable[[Callable[P, R]], Kernel[P, R]]:
    """Decorates the loop that computes what ``twin`` does: ``@jit(twin=...)``; ``before`` is called once, before it is compiled."""

    def decorate(loop: Callable[P, R]) -> Kernel[P, R]:
        return Kernel(loop, twin, before)

    return decorate


def elsewhere(array: object) -> bool:
    """Whether it is an array of another library, an accelerator's, that takes part in NumPy's dispatch protocols."""
    return not isinstance(array, np.ndarray) and hasattr(array, "__array_function__")


def plain(array: Array) -> Array:
    """``array``, or a copy of it where its memory is not C-contiguous, aligned and writable.

    Each other layout would have a loop compiled again, in the middle of a run. What lies elsewhere no loop takes.
    """
    return array if elsewhere(array) or array.flags.carray else np.array(array, order="C")
