"""What is done with each table: functions of a connection, inside a transaction that is somebody else's."""

from . import events, examples, forgetting, intake, models, syncs, updates, users

__all__ = ["events", "examples", "forgetting", "intake", "models", "syncs", "updates", "users"]
