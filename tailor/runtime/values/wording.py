"""How error messages call a value that came: its kind and shape, never its bulk."""

from __future__ import annotations

import numpy as np
from PIL import Image

_LONGEST = 60


def quoted(text: object) -> str:
    """``repr`` of a value, cut in the middle where it is long: a path says most at its end."""
    whole = repr(text)
    return whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST // 3]}...{whole[-_LONGEST * 2 // 3 :]}"


def wording(value: object) -> str:
    """A phrase for what came: ``a str 'cat'``, ``a float32 array of shape [3, 4]``, ``an image 30x20 of mode RGB``."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, np.ndarray):
        return f"{_article(str(value.dtype))} array of shape {list(value.shape)}"
    if isinstance(value, Image.Image):
        return f"an image {value.width}x{value.height} of mode {value.mode}"
    name = type(value).__name__
    if isinstance(value, (bool, int, float, str, np.generic)):
        return f"{_article(name)} {quoted(value.item() if isinstance(value, np.generic) else value)}"
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f"{_article(name)} of {len(value)}"
    return _article(name)


def _article(name: str) -> str:
    return f"an {name}" if name[:1].lower() in "aeiou" and not name.startswith("ui") else f"a {name}"
