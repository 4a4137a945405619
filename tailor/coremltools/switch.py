"""Putting the stand-in where coremltools looks for its native module, and taking it away again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

from tailor.runtime import MLUnsupportedError

from .native import MODULE, STAND_IN

_PACKAGE = "coremltools"


def enable() -> None:
    """Makes ``coremltools.models.MLModel(...).predict(...)`` work for what tailor supports.

    Before or after coremltools is imported; models that were loaded before cannot predict, those loaded from now on can.
    On macOS it does nothing, for there coremltools predicts by itself. Once is enough, twice does no harm.

    Raises ``ModuleNotFoundError`` where coremltools is not installed, ``MLUnsupportedError`` where its native module, or
    someone else's stand-in, is there already.
    """
    if sys.platform == "darwin" or is_enabled():
        return
    if _PACKAGE not in sys.modules and find_spec(_PACKAGE) is None:
        raise ModuleNotFoundError("tailor.coremltools: coremltools is not installed; pip install 'tailor[coremltools]'", name=_PACKAGE)
    if MODULE in sys.modules:
        raise MLUnsupportedError(f"tailor.coremltools: expected no module {MODULE}, got {sys.modules[MODULE]!r}")
    sys.modules[MODULE] = STAND_IN
    theirs = vars(STAND_IN)
    for imported in _imported():
        # What failed to load is None there, or not there at all.
        for name in [name for name, value in vars(imported).items() if value is None and name in theirs]:
            setattr(imported, name, theirs[name])


def disable() -> None:
    """Makes coremltools what it was; models that were loaded meanwhile go on predicting."""
    if not is_enabled():
        return
    del sys.modules[MODULE]
    ours = {id(value) for name, value in vars(STAND_IN).items() if name.startswith("_ML")}
    for imported in _imported():
        for name in [name for name, value in vars(imported).items() if id(value) in ours]:
            setattr(imported, name, None)
        if vars(imported).get("libcoremlpython") is STAND_IN:
            del imported.libcoremlpython


def is_enabled() -> bool:
    """Whether ``enable`` was called last; never on macOS."""
    return sys.modules.get(MODULE) is STAND_IN


@contextmanager
def enabled() -> Iterator[None]:
    """``enable`` for a block; afterwards it is as it was before."""
    before = is_enabled()
    enable()
    try:
        yield
    finally:
        if not before:
            disable()


def _imported() -> list[ModuleType]:
    """The modules of coremltools that are imported, less the stand-in."""
    names = [name for name in sys.modules if name.partition(".")[0] == _PACKAGE and name != MODULE]
    return [module for name in names if isinstance(module := sys.modules.get(name), ModuleType)]
