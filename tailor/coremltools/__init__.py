"""coremltools' own ``predict``, on any machine: a stand-in for the native module that its wheels have on macOS only.

Nothing of coremltools is imported here, nor by ``enable``: it imports the stand-in itself.
"""

from __future__ import annotations

from .native import Proxy
from .switch import disable, enable, enabled, is_enabled

__all__ = ["Proxy", "disable", "enable", "enabled", "is_enabled"]
