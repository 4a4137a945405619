"""Where tests find the real models: a folder beside the project, absent on most machines."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"


def shared_model(name: str) -> Path:
    """The path of a real model or data file; skips the test where it is absent."""
    path = SHARED_MODELS / name
    if not path.exists():
        pytest.skip(f"needs ../shared/models/{name}, which is absent")
    return path
