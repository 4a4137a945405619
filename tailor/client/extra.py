"""What the client needs beyond tailor itself, with what to install where it is missing."""

from __future__ import annotations

try:
    import httpcore
    import msgspec
except ImportError as error:
    raise ImportError(f"tailor.client needs {error.name or 'msgspec and httpcore'}: pip install 'tailor[daemon]'") from error

__all__ = ["httpcore", "msgspec"]
