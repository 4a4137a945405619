"""The door of updates: when they are made, the engine that makes them, and what is asked of it."""

from .checkpoints import Checkpoints
from .commands import Commands
from .engine import Engine
from .parts import Parts
from .telling import as_record, as_user_record, forecast, why, why_user

__all__ = ["Checkpoints", "Commands", "Engine", "Parts", "as_record", "as_user_record", "forecast", "why", "why_user"]
