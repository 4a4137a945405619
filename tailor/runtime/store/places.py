"""Where the store is when nobody says where."""

from __future__ import annotations

import os
from pathlib import Path


def default_place() -> str:
    """``tailor/store`` in the folder that the system has for a user's data."""
    data = os.environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(data):  # as the XDG specification has it
        data = os.environ["LOCALAPPDATA"] if os.name == "nt" and os.environ.get("LOCALAPPDATA") else str(Path.home() / ".local" / "share")
    return str(Path(data) / "tailor" / "store")
